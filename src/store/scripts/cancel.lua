-- cancel: what Omni does not have ends here, what it may have is marked and looked at right away. Whoever waited leaves
-- the line; whoever holds the slot keeps it until its end is out.
-- KEYS 1 record 2 waiting 3 deadlines 4 inbox 5 audit
-- ARGV 1 promptId 2 now 3 next check 4 finding 5 phases that end here 6 phases that are marked 7 who
-- {'cancelled'} {'requested'} {'phase', phase} {'missing'}
local phase = redis.call('HGET', KEYS[1], 'phase')
if not phase then return {'missing'} end
if lists(ARGV[5], phase) then
  redis.call('HSET', KEYS[1], 'phase', 'finishing', 'at:finishing', ARGV[2], 'cancelRequested', ARGV[2])
  redis.call('LREM', KEYS[2], 1, ARGV[1])
  redis.call('ZADD', KEYS[3], 'NX', ARGV[3], ARGV[1])
  redis.call('XADD', KEYS[4], '*', 'entry', ARGV[4])
  audit(KEYS[5], ARGV[7], 'cancel', ARGV[1])
  return {'cancelled'}
end
if not lists(ARGV[6], phase) then return {'phase', phase} end
if redis.call('HSETNX', KEYS[1], 'cancelRequested', ARGV[2]) == 1 then audit(KEYS[5], ARGV[7], 'cancel', ARGV[1]) end
redis.call('ZADD', KEYS[3], 'XX', 'LT', ARGV[2], ARGV[1])
return {'requested'}
