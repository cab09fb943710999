-- send: queued -> sending, before the POST. Whoever finds `sending` never POSTs.
-- KEYS 1 record 2 slot 3 deadlines 4 prompts
-- ARGV 1 promptId 2 entry 3 consumer 4 now 5 next check 6 keyId 7 phases from which it may be sent 8 sender
--      9 Omni's id of the user or '' 10 what kept it from being read, since it was queued
-- {'go', conversationId or ''} {'phase', phase} {'cancelled'} {'missing'} {'lost'}
if not held(KEYS[4], ARGV[2], ARGV[3]) then return {'lost'} end
local record = redis.call('HMGET', KEYS[1], 'phase', 'sender', 'jobId', 'cancelRequested')
local phase, job = record[1], record[3]
if not phase then return {'missing'} end
-- Of its sender alone: the same call again, whose answer was lost.
local again = phase == 'sending' and record[2] == ARGV[8] and not job
if not again and not lists(ARGV[7], phase) then return {'phase', phase} end
-- Omni's answer to an earlier create came when nobody waited for it any more.
if job then
  redis.call('HSET', KEYS[1], 'phase', 'submitted', 'at:submitted', ARGV[4])
  redis.call('ZADD', KEYS[3], 'XX', ARGV[4], ARGV[1])
  return {'phase', 'submitted'}
end
if record[4] then return {'cancelled'} end
redis.call('HSET', KEYS[1], 'phase', 'sending', 'at:sending', ARGV[4], 'keyId', ARGV[6], 'userId', ARGV[9],
  'sender', ARGV[8], 'held', ARGV[10])
redis.call('ZADD', KEYS[3], 'XX', ARGV[5], ARGV[1])
return {'go', redis.call('HGET', KEYS[2], 'conversationId') or ''}
