-- receive: dedupe marks and inbox entry, together.
-- KEYS 1 inbox 2 mark of the event 3 mark of the job's final state
-- ARGV 1 entry 2 life of the marks, ms 3 jobId
-- 1 stored, 0 a duplicate
-- Omni's ids of events are short: one that another job's event had is another event.
if redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2], 'GET') == ARGV[3] then return 0 end
if not redis.call('SET', KEYS[3], '1', 'NX', 'PX', ARGV[2]) then return 0 end
redis.call('XADD', KEYS[1], '*', 'entry', ARGV[1])
return 1
