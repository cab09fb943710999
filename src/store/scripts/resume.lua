-- resume: what was paused goes on; a tenant that has prompts joins those who wait for a turn.
-- KEYS 1 paused 2 audit 3 turns 4 ready of the tenant
-- ARGV 1 what: `stage:<name>` or `tenant:<name>` 2 who 3 tenant or ''
-- {'resumed'} {'already'}
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return {'already'} end
if ARGV[3] ~= '' then
  redis.call('ZREM', KEYS[3], ARGV[3])
  if redis.call('LLEN', KEYS[4]) > 0 then join(KEYS[3], ARGV[3]) end
end
audit(KEYS[2], ARGV[2], 'resume', ARGV[1])
return {'resumed'}
