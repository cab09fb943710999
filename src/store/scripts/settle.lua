-- settle: the prompt's terminal entry is out. Phase, answers, slot, waiting line, deadline, dead letter, ack: together.
-- KEYS 1 record 2 slot 3 waiting 4 deadlines 5 inbox 6 answers 7 prompts 8 turns 9 ready 10 record of the heir 11 job
--      12 alias 13 dead 14 letter 15 backlog 16 ended
-- ARGV 1 promptId 2 entry 3 consumer 4 phase 5 phases that may end so 6 now 7 tenant 8 heir or '' 9 window
--      10 retention, ms 11 life of a free slot, ms 12 longest answers 13 oldest answer, ms 14 published entry
--      15 wake channel 16 conversation 17 conversationId or '' 18.. fields for answers
-- {'settled'} {'already'} {'lost'} {'again', heir or '', conversationId or ''}: what is to be passed
if not held(KEYS[5], ARGV[2], ARGV[3]) then return {'lost'} end
local phase = redis.call('HGET', KEYS[1], 'phase')
if phase and not lists(ARGV[5], phase) then
  finished(KEYS[5], ARGV[2])
  return {'already'}
end
local heir = successor(KEYS[2], KEYS[3], ARGV[1])
local bound = redis.call('HGET', KEYS[2], 'conversationId') or ARGV[17]
if (heir and heir ~= ARGV[8]) or bound ~= ARGV[17] then return {'again', heir or '', bound} end
if ghost(KEYS[3], heir, KEYS[10]) then return {'again', successor(KEYS[2], KEYS[3], ARGV[1]), bound} end

if phase then
  redis.call('HSET', KEYS[1], 'phase', ARGV[4], 'at:' .. ARGV[4], ARGV[6], 'entry', ARGV[14])
  redis.call('HDEL', KEYS[1], 'request')
  leave(KEYS[15], KEYS[1])
  redis.call('HINCRBY', KEYS[16], ARGV[4], 1)
  redis.call('PEXPIRE', KEYS[1], ARGV[10])
  redis.call('PEXPIRE', KEYS[11], ARGV[10])
end
local oldest = math.max(0, tonumber(redis.call('TIME')[1]) * 1000 - tonumber(ARGV[13]))
redis.call('XADD', KEYS[6], 'MAXLEN', '~', ARGV[12], '*', unpack(ARGV, 18))
redis.call('XTRIM', KEYS[6], 'MINID', '~', string.format('%.0f', oldest))
-- Without a record it is the letter of a refused intake entry, which stays.
if phase then
  redis.call('DEL', KEYS[14])
  if redis.call('ZREM', KEYS[13], ARGV[1]) == 1 then redis.call('HINCRBY', KEYS[2], 'dead', -1) end
end
redis.call('ZREM', KEYS[4], ARGV[1])
if not heir then redis.call('LREM', KEYS[3], 1, ARGV[1]) end
if heir then release(KEYS[2], KEYS[3], heir, KEYS[10], ARGV[6], KEYS[7], KEYS[8], KEYS[9], ARGV[7], ARGV[9]) end
local slot = redis.call('HMGET', KEYS[2], 'active', 'dead')
if not slot[1] and tonumber(slot[2] or '0') <= 0 then
  redis.call('PEXPIRE', KEYS[2], ARGV[11])
end
if bound ~= '' and redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('HSETNX', KEYS[2], 'conversationId', bound)
  bind(KEYS[12], KEYS[2], ARGV[16])
end
finished(KEYS[5], ARGV[2])
redis.call('PUBLISH', ARGV[15], ARGV[16])
return {'settled'}
