-- turn: the next prompt of the tenant whose turn it is goes into the stream, unless enough stand there for whoever is
-- free: an entry in the stream has had its turn, and a turn behind many others is none.
-- KEYS 1 turns 2 ready of the tenant 3 prompts
-- ARGV 1 tenant 2 stride (1 / weight) 3 how many may stand in the stream unread
-- {'moved', promptId} {'changed'} {'idle'} {'enough'}
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
-- The turns of those who are paused come last, which is never.
if #first == 0 or tonumber(first[2]) == math.huge then return {'idle'} end
if unread(KEYS[3]) >= tonumber(ARGV[3]) then return {'enough'} end
if first[1] ~= ARGV[1] then return {'changed'} end
local id = redis.call('LPOP', KEYS[2])
if id then redis.call('XADD', KEYS[3], '*', 'entry', '{"v":1,"promptId":"' .. id .. '"}') end
if redis.call('LLEN', KEYS[2]) == 0 then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZINCRBY', KEYS[1], ARGV[2], ARGV[1])
end
return {'moved', id or ''}
