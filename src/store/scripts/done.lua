-- done: nothing more to do for this entry.
-- KEYS 1 stream   ARGV 1 entry 2 consumer
if not held(KEYS[1], ARGV[1], ARGV[2]) then return {'lost'} end
finished(KEYS[1], ARGV[1])
return {'done'}
