-- One step through all keys of the server that has this key: which of them belong to a sample, under any name.
-- KEYS one of the sample's
-- ARGV the cursor, the pattern, how many keys to look at
-- gives the next cursor (0 at the end) and the keys
return redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
