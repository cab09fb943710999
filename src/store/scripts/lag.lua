-- lag: what waits in streams. Changes nothing.
-- KEYS 1 and all that follow: streams
-- for each {entries that nobody has read, age in ms of the oldest}
local now = clock()
local found = {}
for _, stream in ipairs(KEYS) do
  local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  local since = first and tonumber(string.match(first[1], '^%d+')) or now
  table.insert(found, {math.max(0, unread(stream)), math.max(0, now - since)})
end
return found
