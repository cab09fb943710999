-- defer: the entry waits in `due` until its time. The record of its prompt keeps for how long it waited for what in which
-- stage, what it waits for now, and what failed.
-- KEYS 1 stream 2 due 3 entries of due 4 record
-- ARGV 1 entry 2 consumer 3 when 4 member 5 what to put back 6 now 7 stage 8 cause 9 attempt that failed or '' 10 its error
if not held(KEYS[1], ARGV[1], ARGV[2]) then return {'lost'} end
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[4])
redis.call('HSET', KEYS[3], ARGV[4], ARGV[5])
if redis.call('EXISTS', KEYS[4]) == 1 then
  redis.call('HINCRBY', KEYS[4], 'waited:' .. ARGV[7] .. ':' .. ARGV[8], ARGV[3] - ARGV[6])
  redis.call('HSET', KEYS[4], 'waits', ARGV[7] .. ' ' .. ARGV[8] .. ' ' .. ARGV[3])
  if ARGV[9] ~= '' then redis.call('HSET', KEYS[4], 'failed:' .. ARGV[7] .. ':' .. ARGV[9], ARGV[6] .. ' ' .. ARGV[10]) end
end
finished(KEYS[1], ARGV[1])
return {'deferred'}
