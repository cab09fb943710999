-- unsend: sending -> queued, when it is certain that Omni did not take the job (no byte sent, 429, 409, 401).
-- KEYS 1 record   ARGV 1 now
if redis.call('HGET', KEYS[1], 'phase') ~= 'sending' or redis.call('HEXISTS', KEYS[1], 'jobId') == 1 then return 0 end
redis.call('HSET', KEYS[1], 'phase', 'queued', 'at:queued', ARGV[1])
return 1
