-- retire: a consumer that holds nothing is removed; one that holds something stays until its entries are claimed.
-- KEYS 1 stream   ARGV 1 consumer
if #redis.call('XPENDING', KEYS[1], 'relay', '-', '+', 1, ARGV[1]) > 0 then return 0 end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], 'relay', ARGV[1])
return 1
