-- One receipt more, the newest first. A list: a stream takes 4 KiB for its first entry, and most samples have one receipt.
-- KEYS receipts; ARGV receipt, how many are kept, life ms
redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], 0, ARGV[2] - 1)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
