-- progress (data plane): how far a job is. Each iteration stands once, none after a later one, none after an entry of a later
-- rank. With the first the mark says what `omni.job.submitted` says: should that come late, it does not follow.
-- KEYS 1 stream 2 mark 3 the last iteration
-- ARGV 1 type and 2 rank of the mark 3 retention, ms 4 longest stream 5 wake channel 6 conversation 7 iteration 8.. fields
-- 1 written, 0 not
local rank = tonumber(string.match(redis.call('GET', KEYS[2]) or '0', '^%d+'))
if rank > tonumber(ARGV[2]) then return 0 end
if tonumber(redis.call('GET', KEYS[3]) or '-1') >= tonumber(ARGV[7]) then return 0 end
local id = append(KEYS[1], ARGV[3], ARGV[4], ARGV[5], ARGV[6], unpack(ARGV, 8))
redis.call('SET', KEYS[3], ARGV[7], 'PX', ARGV[3])
if rank < tonumber(ARGV[2]) then
  redis.call('SET', KEYS[2], ARGV[2] .. ' ' .. ARGV[1] .. ' ' .. id, 'PX', ARGV[3])
end
return 1
