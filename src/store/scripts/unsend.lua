-- unsend: sending -> queued, when it is certain that Omni did not take the job (no byte sent, 429, 409, 401). Whoever
-- claimed the entry meanwhile found `sending` and ended it: then the prompt is put back.
-- KEYS 1 record 2 prompts
-- ARGV 1 now 2 entry 3 consumer 4 promptId 5 sender
-- 1 put back, 2 put back and to be cancelled, 0 nothing to put back
if redis.call('HGET', KEYS[1], 'phase') ~= 'sending' or redis.call('HEXISTS', KEYS[1], 'jobId') == 1 then return 0 end
if redis.call('HGET', KEYS[1], 'sender') ~= ARGV[5] then return 0 end
local pending = redis.pcall('XPENDING', KEYS[2], 'relay', ARGV[2], ARGV[2], 1, ARGV[3])
redis.call('HSET', KEYS[1], 'phase', 'queued', 'at:queued', ARGV[1])
if pending.err or #pending == 0 then
  redis.call('XADD', KEYS[2], '*', 'entry', '{"v":1,"promptId":"' .. ARGV[4] .. '"}')
end
return redis.call('HEXISTS', KEYS[1], 'cancelRequested') == 1 and 2 or 1
