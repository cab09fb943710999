-- promote: what is due goes back to its stage. A member is `<stage>:<entry>`, or `submit:<promptId>`.
-- KEYS 1 due 2 entries of due 3 prompts 4 inbox
-- ARGV 1 now 2 how many at most
-- {how many moved, when the next one is due or ''}
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, member in ipairs(due) do
  local entry = redis.call('HGET', KEYS[2], member)
  if entry then
    local stream = string.sub(member, 1, 7) == 'submit:' and KEYS[3] or KEYS[4]
    redis.call('XADD', stream, '*', 'entry', entry)
  end
  redis.call('HDEL', KEYS[2], member)
  redis.call('ZREM', KEYS[1], member)
end
local next = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return {#due, next[2] or ''}
