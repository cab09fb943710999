-- recheck: when to look at a prompt again. Whoever moved it on meanwhile has said so already. One that ended, died or is
-- lost needs no check.
-- KEYS 1 record 2 deadlines
-- ARGV 1 promptId 2 next check 3 phases that need none 4 phases it was seen in 5 looks in a row that found no job
--      6 '1' where its cancellation was seen 7 now
-- {'again'} {'moved'} {'ended'}
local phase = redis.call('HGET', KEYS[1], 'phase')
if not phase or lists(ARGV[3], phase) then
  redis.call('ZREM', KEYS[2], ARGV[1])
  return {'ended'}
end
if not lists(ARGV[4], phase) then return {'moved'} end
local missed = ARGV[6] == '' and redis.call('HEXISTS', KEYS[1], 'cancelRequested') == 1
redis.call('ZADD', KEYS[2], 'XX', missed and ARGV[7] or ARGV[2], ARGV[1])
if ARGV[5] == '0' then redis.call('HDEL', KEYS[1], 'misses') else redis.call('HSET', KEYS[1], 'misses', ARGV[5]) end
return {'again'}
