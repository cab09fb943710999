-- lease: takes, renews or gives back the right to read a stream in order.
-- KEYS 1 lease   ARGV 1 holder 2 its life, ms; 0 gives it back
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return 1
