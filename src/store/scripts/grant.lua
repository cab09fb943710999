-- grant: whether the next requests of one of Omni's keys may go out now, and else when. What may is counted at once.
-- Finishing goes before starting: whoever finishes may use all of the window; while one of them, or a poll inside the
-- polls' share, waits for room, nothing else takes it. A start is charged with what its job will need later as well.
-- KEYS 1 granted: when each request of the window went out 2 charged: the same for starts, with what they will need 3 polls 4 state
-- ARGV 1 finish, poll, start, look: how many starts could go, or used: how much of the window is 2 requests (look: starts) 3 limit 4 window, ms 5 what a start will need later
-- {'go', when} {'wait', ms} {'closed', ms, why} {'room', starts, ms until there is room} {'used', requests used or promised}
local class, n, limit, window = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if class == 'finish' then return grant_finish(KEYS[1], KEYS[4], n, limit, window) end
local now = clock()
if class == 'used' then return {'used', math.max(spent(KEYS[1], window, now), spent(KEYS[2], window, now))} end

local state = redis.call('HMGET', KEYS[4], 'closed', 'why', 'finishing', 'polling')
local function until_when(field) return tonumber(field or 0) end
local closed, finishing, polling = until_when(state[1]), until_when(state[3]), until_when(state[4])

local function fits(times, more, most) return room_at(times, window, now, more, most) end
local function starts_at(requests)
  local room = math.max(fits(KEYS[1], requests, limit), fits(KEYS[2], requests + tonumber(ARGV[5]), limit))
  return math.max(room, finishing, polling)
end

if class == 'look' then
  if closed > now then return {'closed', closed - now, state[2]} end
  local at = starts_at(1)
  if at > now then return {'room', 0, at - now} end
  local charged = math.floor((limit - spent(KEYS[2], window, now)) / (1 + tonumber(ARGV[5])))
  return {'room', math.max(1, math.min(n, limit - spent(KEYS[1], window, now), charged)), 0}
end

local at
if class == 'poll' then
  local share = math.max(1, math.floor(limit * 2 / 5))
  local mine = fits(KEYS[3], n, share)
  -- Beyond their share polls take what nobody else is about to need.
  local idle = fits(KEYS[1], n, math.max(1, math.floor(limit * 3 / 5)))
  at = math.max(math.min(math.max(mine, fits(KEYS[1], n, limit)), idle), finishing, closed)
  if mine <= now and at > now then reserve(KEYS[4], 'polling', at, window, now) end
else
  at = math.max(starts_at(n), closed)
end
if closed > now then return {'closed', at - now, state[2]} end
if at > now then return {'wait', at - now} end

spend(KEYS[1], window, now, n)
if class == 'start' then spend(KEYS[2], window, now, math.min(limit, n + tonumber(ARGV[5]))) end
if class == 'poll' then spend(KEYS[3], window, now, n) end
return {'go', now}
