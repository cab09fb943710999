-- sent: Omni's 201. Recorded also on a prompt that moved on meanwhile: then it changes nothing else. A prompt that was to
-- be cancelled meanwhile is looked at right away.
-- KEYS 1 record 2 job 3 slot 4 alias 5 deadlines
-- ARGV 1 promptId 2 jobId 3 conversationId 4 chat url or '' 5 now 6 next check 7 phases that become submitted
--      8 conversation 9 life of job, ms
-- {'recorded', phase} {'other', jobId} {'taken', promptId} {'missing'}
local known = redis.call('HMGET', KEYS[1], 'phase', 'jobId')
if not known[1] then return {'missing'} end
if known[2] and known[2] ~= ARGV[2] then return {'other', known[2]} end
local owner = redis.call('GET', KEYS[2])
if owner and owner ~= ARGV[1] then return {'taken', owner} end
redis.call('HSET', KEYS[1], 'jobId', ARGV[2], 'conversationId', ARGV[3])
if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 'omniChatUrl', ARGV[4]) end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[9])
if redis.call('EXISTS', KEYS[3]) == 1 then
  redis.call('HSETNX', KEYS[3], 'conversationId', ARGV[3])
  if redis.call('HGET', KEYS[3], 'conversationId') == ARGV[3] then bind(KEYS[4], redis.call('PTTL', KEYS[3]), ARGV[8]) end
end
if not lists(ARGV[7], known[1]) then return {'recorded', known[1]} end
redis.call('HSET', KEYS[1], 'phase', 'submitted', 'at:submitted', ARGV[5])
local cancelled = redis.call('HEXISTS', KEYS[1], 'cancelRequested') == 1
redis.call('ZADD', KEYS[5], 'XX', cancelled and ARGV[5] or ARGV[6], ARGV[1])
return {'recorded', 'submitted'}
