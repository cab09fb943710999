-- halt: somebody stops a run. Who drives it learns of it before the next letters.
-- KEYS 1 run 2 running 3 audit   ARGV 1 id 2 now 3 who
-- {'stopped'} {'ended'} {'unknown'}
local state = redis.call('HGET', KEYS[1], 'state')
if state ~= 'running' then
  redis.call('ZREM', KEYS[2], ARGV[1])
  return {state and 'ended' or 'unknown'}
end
redis.call('HSET', KEYS[1], 'state', 'stopped', 'endedAt', ARGV[2])
redis.call('ZREM', KEYS[2], ARGV[1])
audit(KEYS[3], ARGV[3], 'stop', ARGV[1])
return {'stopped'}
