-- page: the next members of what is ordered by time, behind a cursor. It changes nothing; as a script it sees one moment, so
-- that members of the same millisecond are neither skipped nor repeated.
-- KEYS 1 dead or runs   ARGV 1 from which time on, or infinity 2 to which, or infinity 3 member at the first time that was
--      seen, or '' 4 how many 5 'newest' or 'oldest' first
-- {member, time, member, time, …}

-- Redis orders members by their bytes; a comparison in Lua goes by the server's locale.
local function precedes(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

local newest = ARGV[5] == 'newest'
local function read(offset, count)
  if newest then
    return redis.call('ZREVRANGEBYSCORE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES', 'LIMIT', offset, count)
  end
  return redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES', 'LIMIT', offset, count)
end

local found, offset, count = {}, 0, tonumber(ARGV[4])
while true do
  local page = read(offset, count)
  for i = 1, #page, 2 do
    local behind = newest and precedes(page[i], ARGV[3]) or not newest and precedes(ARGV[3], page[i])
    if ARGV[3] == '' or page[i + 1] ~= ARGV[1] or behind then
      found[#found + 1] = page[i]
      found[#found + 1] = page[i + 1]
      if #found == 2 * count then return found end
    end
  end
  if #page < 2 * count then return found end
  offset = offset + count
end
