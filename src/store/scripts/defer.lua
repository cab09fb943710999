-- defer: the entry waits in `due` until its time.
-- KEYS 1 stream 2 due 3 entries of due
-- ARGV 1 entry 2 consumer 3 when 4 member 5 what to put back
if not held(KEYS[1], ARGV[1], ARGV[2]) then return {'lost'} end
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[4])
redis.call('HSET', KEYS[3], ARGV[4], ARGV[5])
finished(KEYS[1], ARGV[1])
return {'deferred'}
