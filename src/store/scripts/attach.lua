-- attach (data plane): the files of a prompt that is about to be accepted.
-- KEYS 1 attachments   ARGV 1 files 2 life, ms
-- 1
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
