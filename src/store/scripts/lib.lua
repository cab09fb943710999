-- Shared by the moves. Every move declares its keys, checks first, writes last.

-- Whether the entry is pending for this consumer: a claimed entry cannot be settled by its former owner.
local function held(stream, id, consumer)
  return #redis.call('XPENDING', stream, 'relay', id, id, 1, consumer) == 1
end

-- Ends an entry.
local function finished(stream, id)
  redis.call('XACK', stream, 'relay', id)
  redis.call('XDEL', stream, id)
end

-- Adds an entry to a stream and forgets what is too much or too old there; its id, which is the answer, tells the time.
local function add(stream, longest, life, ...)
  local id = redis.call('XADD', stream, 'MAXLEN', '~', longest, '*', ...)
  local oldest = math.max(0, tonumber(string.match(id, '^%d+')) - tonumber(life))
  redis.call('XTRIM', stream, 'MINID', '~', string.format('%d', oldest))
  return id
end

-- Writes an entry to a conversation and wakes its readers. Answers the entry's id.
local function append(stream, life, longest, wake, conversation, ...)
  local id = add(stream, longest, life, ...)
  redis.call('PEXPIRE', stream, life)
  redis.call('PUBLISH', wake, conversation)
  return id
end

-- Whether ` a b c ` names the word.
local function lists(words, word)
  return string.find(words, ' ' .. word .. ' ', 1, true) ~= nil
end

-- Writes down who changed what, with details (JSON) where there are any, and forgets what is older than 90 days.
local function audit(stream, who, what, id, details)
  local more = (details or '') ~= '' and {'details', details} or {}
  local oldest = math.max(0, tonumber(redis.call('TIME')[1]) - 90 * 86400) * 1000
  oldest = string.format('%.0f', oldest)
  redis.call('XADD', stream, 'MINID', '~', oldest, '*', 'who', who, 'what', what, 'id', id, unpack(more))
end

-- Changes what the backlog holds in all, and of a tenant where there is one. What is down to nothing goes.
local function weigh(backlog, prompts, bytes, tenant)
  for _, whose in ipairs(tenant == '' and {''} or {'', ':' .. tenant}) do
    for field, by in pairs({prompts = prompts, bytes = bytes}) do
      if redis.call('HINCRBY', backlog, field .. whose, by) <= 0 then redis.call('HDEL', backlog, field .. whose) end
    end
  end
end

-- Counts a prompt in. Its record keeps what it counts for, so that it is counted once, and out as it was counted in.
local function enter(backlog, record, tenant, bytes)
  if redis.call('HSETNX', record, 'backlog', bytes .. ' ' .. tenant) == 1 then weigh(backlog, 1, bytes, tenant) end
end

-- Counts out what a record kept to be counted for, if anything.
local function discount(backlog, kept)
  local bytes, tenant = string.match(kept or '', '^(%d+) (.*)$')
  if bytes then weigh(backlog, -1, -bytes, tenant) end
end

-- Counts a prompt out, if it is in.
local function leave(backlog, record)
  discount(backlog, redis.call('HGET', record, 'backlog'))
  redis.call('HDEL', record, 'backlog')
end

-- Whether a tenant is paused: its turn never comes, so its score is infinite, whether it has prompts or not.
local function paused(turns, tenant)
  return tonumber(redis.call('ZSCORE', turns, tenant) or '0') == math.huge
end

-- Gives a tenant that has prompts a turn a hair behind the one that is next: at the same score it would come before others by
-- its name, and again whenever it leaves and joins.
local function join(turns, tenant)
  local first = redis.call('ZRANGEBYSCORE', turns, '-inf', '(+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  redis.call('ZADD', turns, string.format('%.17g', tonumber(first[2] or '0') + 0.0001), tenant)
end

-- Takes a prompt that is not sent out of every line it may wait in.
local function unqueue(id, waiting, ready, turns, tenant, due, entries, member)
  redis.call('LREM', waiting, 1, id)
  local gone = redis.call('LREM', ready, 1, id) > 0 and redis.call('LLEN', ready) == 0
  if gone and not paused(turns, tenant) then redis.call('ZREM', turns, tenant) end
  redis.call('ZREM', due, member)
  redis.call('HDEL', entries, member)
end

-- How many entries of the stream nobody has read: who is free reads at once, so these wait for a handler or the budget.
local function unread(stream)
  local length = redis.call('XLEN', stream)
  if length == 0 then return 0 end
  local pending = redis.pcall('XPENDING', stream, 'relay')
  return length - (pending.err and 0 or pending[1])
end

-- Puts a prompt whose conversation is free into its tenant's queue, or straight into the stream while few stand there unread
-- and nobody waits for a turn.
local function enqueue(prompts, turns, ready, tenant, id, window)
  local turn = redis.call('ZSCORE', turns, tenant)
  if not turn and redis.call('ZCOUNT', turns, '-inf', '(+inf') == 0 and unread(prompts) < tonumber(window) then
    redis.call('XADD', prompts, '*', 'entry', '{"v":1,"promptId":"' .. id .. '"}')
    return
  end
  redis.call('RPUSH', ready, id)
  if not turn then join(turns, tenant) end
end

-- The prompt that is next in a conversation when `id` lets go of it: '' for none, false when `id` does not hold it.
local function successor(slot, waiting, id)
  if redis.call('HGET', slot, 'active') ~= id then return false end
  return redis.call('LINDEX', waiting, 0) or ''
end

-- Drops an heir whose record is lost: nobody can ask for it or answer it any more.
local function ghost(waiting, heir, heir_record)
  if not heir or heir == '' or redis.call('EXISTS', heir_record) == 1 then return false end
  redis.call('LPOP', waiting)
  return true
end

-- Binds Omni's conversation to ours unless it is bound to another. The alias never ends before its slot, which lives for
-- `life` ms, or for good where that is 0.
local function bind(alias, life, conversation)
  local owner = redis.call('GET', alias)
  if owner and owner ~= conversation then return end
  if life > 0 then
    redis.call('SET', alias, conversation, 'PX', life + 1000)
  else
    redis.call('SET', alias, conversation)
  end
end

-- Hands the conversation to `heir`, or frees it. An heir whose end is known already holds it and is not asked for.
local function release(slot, waiting, heir, heir_record, now, prompts, turns, ready, tenant, window)
  if heir == '' then
    redis.call('HDEL', slot, 'active')
    return
  end
  redis.call('LPOP', waiting)
  redis.call('HSET', slot, 'active', heir)
  if redis.call('HGET', heir_record, 'phase') ~= 'waiting' then return end
  redis.call('HSET', heir_record, 'phase', 'queued', 'at:queued', now)
  enqueue(prompts, turns, ready, tenant, heir, window)
end

-- Counts what a run decided, where one did: together with the decision, so that no crash comes between.
local function count(run, word)
  if run ~= '' then redis.call('HINCRBY', run, word, 1) end
end

-- The time of Redis, unix milliseconds.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- How many requests of a budget's window are in `times`, which holds when each went out. Those that left it are forgotten.
local function spent(times, window, now)
  local first = redis.call('LINDEX', times, 0)
  while first and first + window <= now do
    redis.call('LPOP', times)
    first = redis.call('LINDEX', times, 0)
  end
  return first and redis.call('LLEN', times) or 0
end

-- When `more` fit beside those in the window without exceeding `most`; more than fit at all fit alone.
local function room_at(times, window, now, more, most)
  local leaving = spent(times, window, now) + math.min(more, most) - most
  if leaving <= 0 then return now end
  return redis.call('LINDEX', times, leaving - 1) + window
end

-- Counts that `more` go out.
local function spend(times, window, now, more)
  for _ = 1, more do redis.call('RPUSH', times, now) end
  redis.call('PEXPIRE', times, window)
end

-- Keeps room that comes free at `at` for a class, and a little longer, for those who wait to come back in.
local function reserve(state, class, at, window, now)
  local grace = math.ceil(window / 60)
  redis.call('HSET', state, class, at + grace)
  redis.call('PEXPIRE', state, at + grace + window - now)
end

-- Whether requests that finish jobs may go out now: they may use all of the window. Replies as `grant` does.
local function grant_finish(granted, state, n, limit, window)
  local now = clock()
  local known = redis.call('HMGET', state, 'closed', 'why')
  local closed = tonumber(known[1] or 0)
  local at = math.max(room_at(granted, window, now, n, limit), closed)
  if at > now then reserve(state, 'finishing', at, window, now) end
  if closed > now then return {'closed', at - now, known[2]} end
  if at > now then return {'wait', at - now} end
  spend(granted, window, now, n)
  return {'go', now}
end
