-- refuse: the prompt cannot be submitted; what its readers are owed goes to the inbox with the decision.
-- KEYS 1 record 2 prompts 3 inbox
-- ARGV 1 entry 2 consumer 3 now 4 finding 5 phases that may finish
-- {'refused'} {'phase', phase or ''} {'lost'}
if not held(KEYS[2], ARGV[1], ARGV[2]) then return {'lost'} end
local phase = redis.call('HGET', KEYS[1], 'phase')
finished(KEYS[2], ARGV[1])
if not phase or not lists(ARGV[5], phase) then return {'phase', phase or ''} end
redis.call('HSET', KEYS[1], 'phase', 'finishing', 'at:finishing', ARGV[3])
redis.call('XADD', KEYS[3], '*', 'entry', ARGV[4])
return {'refused'}
