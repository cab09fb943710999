-- finish: a final state of the job is known; adopts the job of a create whose outcome was unknown.
-- KEYS 1 record 2 job 3 inbox 4 granted and 5 state of a key's budget 6 deadlines
-- ARGV 1 promptId 2 jobId or '' 3 now 4 phases that may finish 5 life of job, ms 6 entry or '' 7 consumer
--      8 how long a create may take to be recorded, ms 9 the key that the budget is of, or '': nothing will be asked of Omni
--      10 limit and 11 window, ms, of the budget
-- {'finishing', what `grant` replies in three words, or empty ones, the fields read here} {'terminal', phase} {'other', jobId} {'recording'} {'missing'} {'lost'}
-- An entry that a failover took with it is nobody's: whoever still works on it must not leave the prompt `finishing`, where
-- no look finds it soon.
if ARGV[6] ~= '' and not held(KEYS[3], ARGV[6], ARGV[7]) then return {'lost'} end
-- In the order of `ENDING` (inbox.rs).
local known = redis.call('HMGET', KEYS[1], 'phase', 'jobId', 'at:sending', 'keyId', 'conversation', 'conversationId',
  'omniChatUrl', 'metadata', 'request', 'traceparent', 'at:accepted', 'cancelRequested', 'expiring')
if not known[1] then return {'missing'} end
-- What overtook the answer to its create waits for it; after that the create's outcome is unknown.
if known[1] == 'sending' and tonumber(ARGV[3]) - tonumber(known[3] or '0') < tonumber(ARGV[8]) then return {'recording'} end
if ARGV[2] ~= '' and known[2] and known[2] ~= ARGV[2] then return {'other', known[2]} end
if not lists(ARGV[4], known[1]) then return {'terminal', known[1]} end
if ARGV[2] ~= '' and not known[2] then
  known[2] = ARGV[2]
  redis.call('HSET', KEYS[1], 'jobId', ARGV[2])
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[5])
end
-- A dead letter has no next check.
if known[1] == 'dead' then redis.call('ZADD', KEYS[6], ARGV[3], ARGV[1]) end
if known[1] ~= 'finishing' then
  known[1] = 'finishing'
  redis.call('HSET', KEYS[1], 'phase', 'finishing', 'at:finishing', ARGV[3])
end
-- The request that follows is granted here where it goes out with the key that created the job.
local granted = {}
if ARGV[9] ~= '' and (known[4] or ARGV[9]) == ARGV[9] then
  granted = grant_finish(KEYS[4], KEYS[5], 1, tonumber(ARGV[10]), tonumber(ARGV[11]))
end
return {'finishing', granted[1] or '', granted[2] or '', granted[3] or '', unpack(known)}
