-- meet: which version of stored shapes stands here. One that is older than the caller's, or none, becomes the caller's.
-- KEYS 1 shape   ARGV 1 the version that the caller stores
local stored = redis.call('GET', KEYS[1]) or '0'
if (tonumber(stored) or math.huge) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1])
  return ARGV[1]
end
return stored
