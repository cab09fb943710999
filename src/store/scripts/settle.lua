-- settle: the prompt's terminal entry is out. Phase, answers, slot, waiting line, deadline, dead letter, ack: together.
-- KEYS 1 record 2 slot 3 waiting 4 deadlines 5 inbox 6 answers 7 prompts 8 turns 9 ready 10 record of the heir 11 job
--      12 alias 13 dead 14 letter 15 backlog 16 ended
-- ARGV 1 promptId 2 entry 3 consumer 4 phase 5 phases that may end so 6 now 7 tenant 8 heir or '' 9 window
--      10 retention, ms 11 life of a free slot, ms 12 longest answers 13 oldest answer, ms 14 published entry
--      15 conversation 16 conversationId or '' 17.. fields for answers
-- {'settled'} {'already'} {'lost'} {'again', heir or '', conversationId or ''}: what is to be passed
if not held(KEYS[5], ARGV[2], ARGV[3]) then return {'lost'} end
local record = redis.call('HMGET', KEYS[1], 'phase', 'backlog', 'at:dead')
local phase, backlog, died = record[1], record[2], record[3]
if phase and not lists(ARGV[5], phase) then
  finished(KEYS[5], ARGV[2])
  return {'already'}
end
local slot = redis.call('HMGET', KEYS[2], 'active', 'conversationId', 'dead')
local active, bound, dead = slot[1], slot[2] or ARGV[16], tonumber(slot[3] or '0')
local heir = active == ARGV[1] and (redis.call('LINDEX', KEYS[3], 0) or '')
if (heir and heir ~= ARGV[8]) or bound ~= ARGV[16] then return {'again', heir or '', bound} end
if ghost(KEYS[3], heir, KEYS[10]) then return {'again', redis.call('LINDEX', KEYS[3], 0) or '', bound} end

if phase then
  redis.call('HSET', KEYS[1], 'phase', ARGV[4], 'at:' .. ARGV[4], ARGV[6], 'entry', ARGV[14])
  redis.call('HDEL', KEYS[1], 'request', 'backlog')
  discount(KEYS[15], backlog)
  redis.call('HINCRBY', KEYS[16], ARGV[4], 1)
  redis.call('PEXPIRE', KEYS[1], ARGV[10])
  redis.call('PEXPIRE', KEYS[11], ARGV[10])
end
add(KEYS[6], ARGV[12], ARGV[13], unpack(ARGV, 17))
-- Without a record it is the letter of a refused intake entry, which stays.
if died then
  redis.call('DEL', KEYS[14])
  if redis.call('ZREM', KEYS[13], ARGV[1]) == 1 then dead = redis.call('HINCRBY', KEYS[2], 'dead', -1) end
end
redis.call('ZREM', KEYS[4], ARGV[1])
if not heir then redis.call('LREM', KEYS[3], 1, ARGV[1]) end
if heir then release(KEYS[2], KEYS[3], heir, KEYS[10], ARGV[6], KEYS[7], KEYS[8], KEYS[9], ARGV[7], ARGV[9]) end
local free = (heir == '' or not active) and dead <= 0
-- A slot that is not there is not made.
if bound ~= '' and (slot[2] or redis.call('EXISTS', KEYS[2]) == 1) then
  if not slot[2] then redis.call('HSET', KEYS[2], 'conversationId', bound) end
  bind(KEYS[12], free and tonumber(ARGV[11]) or 0, ARGV[15])
end
if free then redis.call('PEXPIRE', KEYS[2], ARGV[11]) end
finished(KEYS[5], ARGV[2])
return {'settled'}
