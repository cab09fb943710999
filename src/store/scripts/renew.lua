-- renew: the entry is still being worked on; its idle time starts again, its delivery count stays, or becomes another.
-- KEYS 1 stream   ARGV 1 entry 2 consumer 3 deliveries, or ''
if not held(KEYS[1], ARGV[1], ARGV[2]) then return {'lost'} end
if ARGV[3] == '' then
  redis.call('XCLAIM', KEYS[1], 'relay', ARGV[2], 0, ARGV[1], 'JUSTID')
else
  redis.call('XCLAIM', KEYS[1], 'relay', ARGV[2], 0, ARGV[1], 'RETRYCOUNT', ARGV[3], 'JUSTID')
end
return {'renewed'}
