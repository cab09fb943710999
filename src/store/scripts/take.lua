-- take: prompts whose check is due, each for one replica: whoever takes one moves its check forward, as a lease.
-- KEYS 1 deadlines
-- ARGV 1 now 2 how many at most 3 end of the lease
-- {when the next one is due or '', promptId...}
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, id in ipairs(due) do redis.call('ZADD', KEYS[1], 'XX', ARGV[3], id) end
local next = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return {next[2] or '', unpack(due)}
