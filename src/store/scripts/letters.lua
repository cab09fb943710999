-- letters: the next open letters by time, newest first, behind a cursor. It changes nothing; as a script it sees letters
-- of one moment, so that those of the same millisecond are neither skipped nor repeated.
-- KEYS 1 dead   ARGV 1 latest or '+inf' 2 earliest or '-inf' 3 id at the latest time that was seen, or '' 4 how many
-- {id, time, id, time, …}

-- Redis orders members by their bytes; a comparison in Lua goes by the server's locale.
local function precedes(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

local found, offset, count = {}, 0, tonumber(ARGV[4])
while true do
  local page = redis.call('ZREVRANGEBYSCORE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES', 'LIMIT', offset, count)
  for i = 1, #page, 2 do
    local seen = ARGV[3] ~= '' and page[i + 1] == ARGV[1] and not precedes(page[i], ARGV[3])
    if not seen then
      found[#found + 1] = page[i]
      found[#found + 1] = page[i + 1]
      if #found == 2 * count then return found end
    end
  end
  if #page < 2 * count then return found end
  offset = offset + count
end
