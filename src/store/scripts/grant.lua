-- grant: whether the next requests of one of Omni's keys may go out now, and else when. What may is counted at once.
-- Finishing goes before starting: whoever finishes may use all of the window; while one of them, or a poll inside the
-- polls' share, waits for room, nothing else takes it. A start is charged with what its job will need later as well.
-- KEYS 1 granted: when each request of the window went out 2 charged: the same for starts, with what they will need 3 polls 4 state
-- ARGV 1 finish, poll, start, look: how many starts could go, or used: how much of the window is 2 requests (look: starts) 3 limit 4 window, ms 5 what a start will need later
-- {'go', when, requests used or promised} {'wait', ms} {'closed', ms, why} {'room', starts, ms until there is room} {'used', requests used or promised}
local class, n, limit, window = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- For those who wait to come back in.
local grace = math.ceil(window / 60)

local function used(times)
  local first = redis.call('LINDEX', times, 0)
  while first and first + window <= now do
    redis.call('LPOP', times)
    first = redis.call('LINDEX', times, 0)
  end
  return redis.call('LLEN', times)
end

-- When `more` fit beside those in the window without exceeding `most`; more than fit at all fit alone.
local function fits(times, more, most)
  local leaving = used(times) + math.min(more, most) - most
  if leaving <= 0 then return now end
  return redis.call('LINDEX', times, leaving - 1) + window
end

-- Answers how many there are then.
local function count(times, more)
  local all
  for _ = 1, more do all = redis.call('RPUSH', times, now) end
  redis.call('PEXPIRE', times, window)
  return all
end

local state = redis.call('HMGET', KEYS[4], 'closed', 'why', 'finishing', 'polling')
local function until_when(field) return tonumber(field or 0) end
local closed, finishing, polling = until_when(state[1]), until_when(state[3]), until_when(state[4])

-- Keeps room that comes free at `at` for this class.
local function keep(field, at)
  redis.call('HSET', KEYS[4], field, at + grace)
  redis.call('PEXPIRE', KEYS[4], at + grace + window - now)
end

local function starts_at(requests)
  local room = math.max(fits(KEYS[1], requests, limit), fits(KEYS[2], requests + tonumber(ARGV[5]), limit))
  return math.max(room, finishing, polling)
end

if class == 'used' then return {'used', math.max(used(KEYS[1]), used(KEYS[2]))} end
if class == 'look' then
  if closed > now then return {'closed', closed - now, state[2]} end
  local at = starts_at(1)
  if at > now then return {'room', 0, at - now} end
  local charged = math.floor((limit - used(KEYS[2])) / (1 + tonumber(ARGV[5])))
  return {'room', math.max(1, math.min(n, limit - used(KEYS[1]), charged)), 0}
end

local at
if class == 'finish' then
  at = math.max(fits(KEYS[1], n, limit), closed)
  if at > now then keep('finishing', at) end
elseif class == 'poll' then
  local share = math.max(1, math.floor(limit * 2 / 5))
  local mine = fits(KEYS[3], n, share)
  -- Beyond their share polls take what nobody else is about to need.
  local idle = fits(KEYS[1], n, math.max(1, math.floor(limit * 3 / 5)))
  at = math.max(math.min(math.max(mine, fits(KEYS[1], n, limit)), idle), finishing, closed)
  if mine <= now and at > now then keep('polling', at) end
else
  at = math.max(starts_at(n), closed)
end
if closed > now then return {'closed', at - now, state[2]} end
if at > now then return {'wait', at - now} end

local granted = count(KEYS[1], n)
if class == 'start' then count(KEYS[2], math.min(limit, n + tonumber(ARGV[5]))) end
if class == 'poll' then count(KEYS[3], n) end
return {'go', now, math.max(granted, used(KEYS[2]))}
