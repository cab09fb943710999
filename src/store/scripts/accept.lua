-- accept: idempotency, record, slot or waiting line, tenant's queue, first check, backlog. Past its limit the backlog takes
-- nothing new; what was accepted before is known first. Before the files of a prompt are written somebody looks only.
-- KEYS 1 record 2 slot 3 waiting 4 alias 5 deadlines 6 idempotency 7 prompts 8 turns 9 ready 10 intake
--      11 backlog
-- ARGV 1 promptId 2 tenant 3 conversation 4 user 5 conversationId or '' 6 now 7 first check 8 window
--      9 fingerprint or '' (no idempotency key) 10 its life, ms 11 intake entry or '' 12 consumer 13 bytes
--      14 most prompts 15 most bytes 16 most prompts of a tenant 17 most bytes of a tenant 18 '1' to look only
--      19 request 20 metadata 21 traceparent 22 '1' where a conversation of Omni's that is not known here may be continued
-- {'accepted', phase} {'same', promptId} {'reused'} {'user'} {'bound', conversation} {'rebound'} {'unknown'} {'full', 'tenant' or 'all'}
-- {'lost'} {'free'}: nothing stands in its way
local entry = ARGV[11]
if entry ~= '' then
  if not held(KEYS[10], entry, ARGV[12]) then return {'lost'} end
  -- Pushed prompts are accepted in order, whoever reads them.
  if redis.call('XPENDING', KEYS[10], 'relay', '-', '+', 1)[1][1] ~= entry then return {'lost'} end
end

if ARGV[9] ~= '' then
  local known = redis.call('GET', KEYS[6])
  if known then
    local id, fingerprint = string.match(known, '^(%S+) (%S+)$')
    if fingerprint ~= ARGV[9] then return {'reused'} end
    if entry ~= '' then finished(KEYS[10], entry) end
    return {'same', id}
  end
end

local slot = redis.call('HMGET', KEYS[2], 'user', 'conversationId', 'active')
if slot[1] and slot[1] ~= ARGV[4] then return {'user'} end
if ARGV[5] ~= '' then
  local owner = redis.call('GET', KEYS[4])
  if owner and owner ~= ARGV[3] then return {'bound', owner} end
  if slot[2] and slot[2] ~= ARGV[5] then return {'rebound'} end
  if slot[3] and not slot[2] then return {'rebound'} end
  if not slot[2] and ARGV[22] == '' then return {'unknown'} end
end

local held_back = redis.call('HMGET', KEYS[11], 'prompts', 'bytes', 'prompts:' .. ARGV[2], 'bytes:' .. ARGV[2])
local function full(which, limit) return tonumber(held_back[which] or '0') >= tonumber(ARGV[limit]) end
if ARGV[2] ~= '' and (full(3, 16) or full(4, 17)) then return {'full', 'tenant'} end
if full(1, 14) or full(2, 15) then return {'full', 'all'} end
if ARGV[18] ~= '' then return {'free'} end

-- Where there is no slot yet, nobody waits and nothing ends by itself.
local known = slot[1] or slot[2] or slot[3]
local free = not slot[3] and not (known and redis.call('LLEN', KEYS[3]) > 0)
local phase = free and 'queued' or 'waiting'
-- The record is new, and keeps what it counts for in the backlog.
redis.call('HSET', KEYS[1], 'v', '1', 'phase', phase, 'at:accepted', ARGV[6], 'at:' .. phase, ARGV[6],
  'conversation', ARGV[3], 'request', ARGV[19], 'metadata', ARGV[20], 'traceparent', ARGV[21],
  'backlog', ARGV[13] .. ' ' .. ARGV[2])
local function more(which, by) return tonumber(held_back[which] or '0') + by end
redis.call('HSET', KEYS[11], 'prompts', more(1, 1), 'bytes', more(2, ARGV[13]))
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[11], 'prompts:' .. ARGV[2], more(3, 1), 'bytes:' .. ARGV[2], more(4, ARGV[13]))
end
if free then
  redis.call('HSET', KEYS[2], 'user', ARGV[4], 'active', ARGV[1])
  enqueue(KEYS[7], KEYS[8], KEYS[9], ARGV[2], ARGV[1], ARGV[8])
else
  redis.call('HSET', KEYS[2], 'user', ARGV[4])
  redis.call('HSET', KEYS[1], 'behind', slot[3] or redis.call('LINDEX', KEYS[3], 0))
  redis.call('RPUSH', KEYS[3], ARGV[1])
end
if known then redis.call('PERSIST', KEYS[2]) end
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[2], 'conversationId', ARGV[5])
  bind(KEYS[4], 0, ARGV[3])
end
redis.call('ZADD', KEYS[5], ARGV[7], ARGV[1])
if ARGV[9] ~= '' then redis.call('SET', KEYS[6], ARGV[1] .. ' ' .. ARGV[9], 'PX', ARGV[10]) end
if entry ~= '' then finished(KEYS[10], entry) end
return {'accepted', phase}
