-- renew: the entry is still being worked on; its idle time starts again, its delivery count stays.
-- KEYS 1 stream   ARGV 1 entry 2 consumer
if not held(KEYS[1], ARGV[1], ARGV[2]) then return {'lost'} end
redis.call('XCLAIM', KEYS[1], 'relay', ARGV[2], 0, ARGV[1], 'JUSTID')
return {'renewed'}
