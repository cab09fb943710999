-- receive: dedupe marks and inbox entry, together.
-- KEYS 1 inbox 2 mark of the event 3 mark of the job's final state
-- ARGV 1 entry 2 life of the marks, ms 3 jobId
-- 1 stored, 0 a duplicate
-- Omni's ids of events are short: one that another job's event had is another event.
local seen = redis.call('MGET', KEYS[2], KEYS[3])
if seen[1] == ARGV[3] or seen[2] then return 0 end
-- First, so that nothing is marked that could not be stored.
redis.call('XADD', KEYS[1], '*', 'entry', ARGV[1])
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2])
redis.call('SET', KEYS[3], '1', 'PX', ARGV[2])
return 1
