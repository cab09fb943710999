-- tell: an entry that ends nothing (omni.delayed) also goes to answers; ack.
-- KEYS 1 inbox 2 answers   ARGV 1 entry 2 consumer 3 longest answers 4.. fields, none when another entry stands
if not held(KEYS[1], ARGV[1], ARGV[2]) then return {'lost'} end
if #ARGV > 3 then redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', unpack(ARGV, 4)) end
finished(KEYS[1], ARGV[1])
return {'told'}
