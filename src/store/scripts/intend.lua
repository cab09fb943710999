-- intend: its time is over while Omni works on it. Stored before Omni is asked to cancel, so that the end of a job that
-- was cancelled for this reason is told as such.
-- KEYS 1 record   ARGV 1 now 2 phases in which Omni may work on it
-- 1 stored, 0 it moved on
local phase = redis.call('HGET', KEYS[1], 'phase')
if not phase or not lists(ARGV[2], phase) then return 0 end
redis.call('HSETNX', KEYS[1], 'expiring', ARGV[1])
return 1
