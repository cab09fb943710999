-- discard: a letter that is open, and as it was read, goes, and what its prompt's readers are owed goes to the inbox.
-- KEYS 1 record 2 slot 3 deadlines 4 inbox 5 dead 6 letter 7 audit 8 run, or anything where none decides
-- ARGV 1 letter's id 2 now 3 next check 4 finding or '' 5 life of a closed letter, ms 6 who 7 tenant 8 conversation or ''
--      9 when it died last 10 bytes of its history 11 details 12 '1' where a run decides
-- {'discarded'} {'changed'} {'not', what closed it or '', phase or ''}
local id = ARGV[1]
local phase = redis.call('HGET', KEYS[1], 'phase')
local letter = redis.call('HMGET', KEYS[6], 'closed', 'lastAt', 'history')
local run = ARGV[12] == '1' and KEYS[8] or ''
if not redis.call('ZSCORE', KEYS[5], id) or (phase and phase ~= 'dead') then
  count(run, 'already')
  return {'not', letter[1] or '', phase or ''}
end
if letter[2] ~= ARGV[9] or #(letter[3] or '') ~= tonumber(ARGV[10]) then return {'changed'} end
count(run, 'discarded')
redis.call('ZREM', KEYS[5], id)
redis.call('DEL', KEYS[6])
redis.call('HSET', KEYS[6], 'closed', 'discarded', 'tenant', ARGV[7], 'conversation', ARGV[8])
redis.call('PEXPIRE', KEYS[6], ARGV[5])
audit(KEYS[7], ARGV[6], 'discard', id, ARGV[11])
if phase then
  redis.call('HINCRBY', KEYS[2], 'dead', -1)
  redis.call('HSET', KEYS[1], 'phase', 'finishing', 'at:finishing', ARGV[2])
  redis.call('ZADD', KEYS[3], ARGV[3], id)
end
if ARGV[4] ~= '' then redis.call('XADD', KEYS[4], '*', 'entry', ARGV[4]) end
return {'discarded'}
