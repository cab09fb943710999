-- close: Omni turned one of its keys away; nobody asks with it for a while.
-- KEYS 1 state
-- ARGV 1 for how long, ms, or '': longer each time it happens again soon 2 first and 3 longest pause of that, ms 4 why
-- {for how long, ms; 1 where it was open, or closed for another reason}
local now = clock()
local state = redis.call('HMGET', KEYS[1], 'closed', 'why', 'strikes')
local closed, longest = tonumber(state[1] or 0), tonumber(ARGV[3])
local pause = tonumber(ARGV[1])
if not pause then
  -- Requests that were out together are turned away together: that is one strike.
  local strikes = tonumber(state[3] or 0)
  if closed <= now then strikes = redis.call('HINCRBY', KEYS[1], 'strikes', 1) end
  pause = math.min(longest, tonumber(ARGV[2]) * 2 ^ math.min(30, strikes - 1))
end
local news = closed <= now or state[2] ~= ARGV[4]
closed = math.max(closed, now + math.ceil(pause))
redis.call('HSET', KEYS[1], 'closed', closed, 'why', ARGV[4])
redis.call('PEXPIRE', KEYS[1], closed - now + 2 * longest)
return {closed - now, news and 1 or 0}
