-- forget: what is remembered of an external id is not true any more. Whoever looked again meanwhile remembers better.
-- KEYS 1 user
-- ARGV 1 the id that is meant, or '' for whatever it is
-- 1 forgotten, 0 nothing to forget
if ARGV[1] ~= '' and redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
