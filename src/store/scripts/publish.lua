-- publish (data plane): once. The mark remembers how far a prompt's entries have come: nothing of the same rank or an
-- earlier one is written again, nothing at all after a terminal entry.
-- KEYS 1 stream 2 mark 3 payload
-- ARGV 1 type 2 rank 3 retention, ms 4 longest stream 5 wake channel 6 conversation 7 payload or '' 8.. fields
-- {'published', entry} {'refused', type, entry}
local mark = redis.call('GET', KEYS[2])
if mark then
  local rank, kind, id = string.match(mark, '^(%d+) (%S+) (%S+)$')
  if tonumber(rank) >= tonumber(ARGV[2]) then return {'refused', kind, id} end
end
if ARGV[7] ~= '' then redis.call('SET', KEYS[3], ARGV[7], 'PX', ARGV[3]) end
local id = append(KEYS[1], ARGV[3], ARGV[4], ARGV[5], ARGV[6], unpack(ARGV, 8))
redis.call('SET', KEYS[2], ARGV[2] .. ' ' .. ARGV[1] .. ' ' .. id, 'PX', ARGV[3])
return {'published', id}
