-- run: a run is written down, and held by whoever wants to drive it first. Runs whose life is over are forgotten.
-- KEYS 1 runs 2 running 3 run 4 lease 5 audit
-- ARGV 1 id 2 now 3 its life, ms 4 driver or '' 5 life of the lease, ms 6 who 7 details 8.. fields
-- {'running'}
redis.call('HSET', KEYS[3], unpack(ARGV, 8))
redis.call('PEXPIRE', KEYS[3], ARGV[3])
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
if ARGV[4] ~= '' then redis.call('SET', KEYS[4], ARGV[4], 'PX', ARGV[5]) end
local oldest = string.format('%.0f', ARGV[2] - ARGV[3])
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', oldest, 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[1], id)
end
audit(KEYS[5], ARGV[6], 'run', ARGV[1], ARGV[7])
return {'running'}
