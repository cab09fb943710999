-- conclude: a finding of our own ends the prompt: out of every line it may wait in, and what its readers are owed goes to
-- the inbox with the decision.
-- KEYS 1 record 2 inbox 3 deadlines 4 waiting 5 ready 6 turns 7 due 8 entries of due
-- ARGV 1 promptId 2 now 3 phases in which it was found so 4 finding 5 next check 6 tenant 7 its member of due
-- {'concluded'} {'phase', phase or ''}
local phase = redis.call('HGET', KEYS[1], 'phase')
if not phase or not lists(ARGV[3], phase) then return {'phase', phase or ''} end
redis.call('HSET', KEYS[1], 'phase', 'finishing', 'at:finishing', ARGV[2])
redis.call('LREM', KEYS[4], 1, ARGV[1])
if redis.call('LREM', KEYS[5], 1, ARGV[1]) > 0 and redis.call('LLEN', KEYS[5]) == 0 then
  redis.call('ZREM', KEYS[6], ARGV[6])
end
redis.call('ZREM', KEYS[7], ARGV[7])
redis.call('HDEL', KEYS[8], ARGV[7])
redis.call('XADD', KEYS[2], '*', 'entry', ARGV[4])
redis.call('ZADD', KEYS[3], 'XX', ARGV[5], ARGV[1])
return {'concluded'}
