-- pause: nothing new is begun by a stage, or for a tenant, whose turn then never comes. Who paused first stands there.
-- KEYS 1 paused 2 audit 3 turns
-- ARGV 1 what: `stage:<name>` or `tenant:<name>` 2 who, when and why (JSON) 3 who 4 tenant or '' 5 details for the audit or ''
-- {'paused'} {'already'}
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 0 then return {'already'} end
if ARGV[4] ~= '' then redis.call('ZADD', KEYS[3], '+inf', ARGV[4]) end
audit(KEYS[2], ARGV[3], 'pause', ARGV[1], ARGV[5])
return {'paused'}
