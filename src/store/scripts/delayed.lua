-- delayed: a request took long, and may have reached Omni only now: it is counted as if it had been granted now.
-- KEYS 1 granted
-- ARGV 1 when it was granted 2 window, ms
-- 1, or 0 where it is not counted any more
if redis.call('LREM', KEYS[1], -1, ARGV[1]) == 0 then return 0 end
redis.call('RPUSH', KEYS[1], clock())
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
