-- drive: who drives a run writes down what it takes next, keeps the lease, and learns whether to go on; or ends the run.
-- KEYS 1 run 2 lease 3 groups 4 running
-- ARGV 1 id 2 driver 3 life of the lease, ms 4 how it ends, or '' 5 now 6 life of the groups, ms 7 failed 8 number of words
--      that are fields 9.. fields, then groups
-- {'on'} {'lost'} {'ended'}
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return {'lost'} end
local state, fields = redis.call('HGET', KEYS[1], 'state'), tonumber(ARGV[8])
if state then redis.call('HSET', KEYS[1], 'failed', ARGV[7]) end
if state == 'running' then
  redis.call('HSET', KEYS[1], unpack(ARGV, 9, 8 + fields))
  if #ARGV > 8 + fields then
    redis.call('HSET', KEYS[3], unpack(ARGV, 9 + fields))
    redis.call('PEXPIRE', KEYS[3], ARGV[6])
  end
  if ARGV[4] == '' then
    redis.call('PEXPIRE', KEYS[2], ARGV[3])
    return {'on'}
  end
  redis.call('HSET', KEYS[1], 'state', ARGV[4], 'endedAt', ARGV[5])
end
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('DEL', KEYS[2])
return {'ended'}
