-- KEYS …, dead letters; ARGV …, letter, how many are kept, life ms
if not remove() then return 0 end
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[4], '*', 'letter', ARGV[3])
redis.call('PEXPIRE', KEYS[4], ARGV[5])
return 1
