-- bury: what cannot be done is kept, the conversation is freed, the readers are told; together.
-- KEYS 1 record 2 slot 3 waiting 4 deadlines 5 stream 6 inbox 7 dead 8 letter 9 prompts 10 turns 11 ready 12 record of the heir
--      13 alias 14 backlog
-- ARGV 1 promptId or '' 2 entry, '' where no delivery is held 3 consumer 4 now 5 tenant 6 heir or '' 7 window 8 finding or '' 9 letter's id
--      10 phases that may die 11 history (a JSON array a death) 12 conversation 13 conversationId or ''
--      14.. fields of the letter
-- {'buried'} {'already'} {'lost'} {'again', heir or '', conversationId or ''}: what is to be passed
local delivery = ARGV[2] ~= ''
if delivery and not held(KEYS[5], ARGV[2], ARGV[3]) then return {'lost'} end
local phase = ARGV[1] ~= '' and redis.call('HGET', KEYS[1], 'phase')
if not delivery and not (phase and lists(ARGV[10], phase)) then return {'already'} end
if phase and phase ~= 'dead' and not lists(ARGV[10], phase) then
  finished(KEYS[5], ARGV[2])
  return {'already'}
end
local heir = phase and successor(KEYS[2], KEYS[3], ARGV[1])
local bound = phase and redis.call('HGET', KEYS[2], 'conversationId') or ''
if (heir and heir ~= ARGV[6]) or bound ~= ARGV[13] then return {'again', heir or '', bound} end
if ghost(KEYS[3], heir, KEYS[12]) then return {'again', successor(KEYS[2], KEYS[3], ARGV[1]), bound} end

local open = redis.call('ZSCORE', KEYS[7], ARGV[9])
-- Readers are told of the first death; again only where what died is that notice.
local told = phase ~= 'dead' and redis.call('EXISTS', KEYS[8]) == 1
local before = redis.call('HMGET', KEYS[8], 'history', 'firstAt')
local history = ARGV[11]
if before[1] and before[1] ~= '' then history = before[1] .. '\n' .. history end
redis.call('HDEL', KEYS[8], 'closed', 'fields')
redis.call('PERSIST', KEYS[8])
redis.call('HSET', KEYS[8], unpack(ARGV, 14))
redis.call('HSET', KEYS[8], 'history', history, 'firstAt', before[2] or ARGV[4], 'lastAt', ARGV[4])
redis.call('ZADD', KEYS[7], ARGV[4], ARGV[9])
if phase then
  redis.call('HSET', KEYS[1], 'phase', 'dead', 'at:dead', ARGV[4])
  leave(KEYS[14], KEYS[1])
  if not open then redis.call('HINCRBY', KEYS[2], 'dead', 1) end
  redis.call('ZREM', KEYS[4], ARGV[1])
  if heir then
    release(KEYS[2], KEYS[3], heir, KEYS[12], ARGV[4], KEYS[9], KEYS[10], KEYS[11], ARGV[5], ARGV[7])
  else
    redis.call('LREM', KEYS[3], 1, ARGV[1])
  end
  redis.call('PERSIST', KEYS[2])
  if bound ~= '' then bind(KEYS[13], 0, ARGV[12]) end
end
if ARGV[8] ~= '' and not told then redis.call('XADD', KEYS[6], '*', 'entry', ARGV[8]) end
if delivery then finished(KEYS[5], ARGV[2]) end
return {'buried'}
