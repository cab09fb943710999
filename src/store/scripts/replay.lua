-- replay: a letter that is open, and as it was read, goes back to the stage it died in. Its prompt gets the slot or
-- queues behind where it has to be asked; where it has a job already, that is looked at; where it was about to end, its
-- event goes back to the inbox. It is in the backlog again, however full that is.
-- KEYS 1 record 2 slot 3 waiting 4 deadlines 5 stream of the stage 6 dead 7 letter 8 prompts 9 turns 10 ready 11 audit
--      12 backlog 13 run, or anything where none decides
-- ARGV 1 letter's id 2 when it died last 3 bytes of its history 4 'ask' or 'entry' 5 now 6 next check 7 tenant 8 window
--      9 user or '' 10 conversation or '' 11 life of a closed letter, ms 12 who 13 bytes of its files 14 details 15 '1' where a
--      run decides 16 what to ask instead, or '' 17 its metadata 18.. fields of the entry
-- {'replayed', phase or ''} {'changed'} {'not', what closed it or '', phase or ''} {'asked'}: there is nothing to ask instead
local id = ARGV[1]
local phase = redis.call('HGET', KEYS[1], 'phase')
local letter = redis.call('HMGET', KEYS[7], 'closed', 'lastAt', 'history')
local open = redis.call('ZSCORE', KEYS[6], id)
local run = ARGV[15] == '1' and KEYS[13] or ''
if not open or (phase and phase ~= 'dead') then
  count(run, 'already')
  return {'not', letter[1] or '', phase or ''}
end
if letter[2] ~= ARGV[2] or #(letter[3] or '') ~= tonumber(ARGV[3]) then return {'changed'} end

if ARGV[16] ~= '' then
  if redis.call('HEXISTS', KEYS[1], 'jobId') == 1 then return {'asked'} end
  redis.call('HSET', KEYS[1], 'request', ARGV[16], 'metadata', ARGV[17])
end

if not phase or ARGV[4] == 'entry' then redis.call('XADD', KEYS[5], '*', unpack(ARGV, 18)) end
redis.call('ZREM', KEYS[6], id)
audit(KEYS[11], ARGV[12], 'replay', id, ARGV[14])
count(run, 'replayed')
if not phase then
  redis.call('DEL', KEYS[7])
  redis.call('HSET', KEYS[7], 'closed', 'replayed', 'tenant', ARGV[7], 'conversation', ARGV[10])
  redis.call('PEXPIRE', KEYS[7], ARGV[11])
  return {'replayed', ''}
end

-- What happened so far stays: it is the beginning of the history should the prompt die again.
redis.call('HSET', KEYS[7], 'closed', 'replayed')
redis.call('PEXPIRE', KEYS[7], ARGV[11])
redis.call('HINCRBY', KEYS[2], 'dead', -1)
redis.call('PERSIST', KEYS[2])
local to, check = 'finishing', ARGV[6]
if ARGV[4] ~= 'entry' and redis.call('HEXISTS', KEYS[1], 'jobId') == 1 then
  to, check = 'submitted', ARGV[5]
elseif ARGV[4] ~= 'entry' then
  if ARGV[9] ~= '' then redis.call('HSETNX', KEYS[2], 'user', ARGV[9]) end
  local free = redis.call('HEXISTS', KEYS[2], 'active') == 0 and redis.call('LLEN', KEYS[3]) == 0
  to = free and 'queued' or 'waiting'
  if free then
    redis.call('HSET', KEYS[2], 'active', id)
    enqueue(KEYS[8], KEYS[9], KEYS[10], ARGV[7], id, ARGV[8])
  else
    redis.call('HSET', KEYS[1], 'behind', redis.call('HGET', KEYS[2], 'active') or redis.call('LINDEX', KEYS[3], 0))
    redis.call('RPUSH', KEYS[3], id)
  end
end
local asked = redis.call('HMGET', KEYS[1], 'request', 'metadata')
enter(KEYS[12], KEYS[1], ARGV[7], #(asked[1] or '') + #(asked[2] or '') + ARGV[13])
redis.call('HSET', KEYS[1], 'phase', to, 'at:' .. to, ARGV[5], 'replayedAt', ARGV[5])
-- What was found out and asked for before, about its time, its job and its cancellation, holds no more.
redis.call('HDEL', KEYS[1], 'expiring', 'misses', 'cancelRequested')
redis.call('ZADD', KEYS[4], check, id)
return {'replayed', to}
