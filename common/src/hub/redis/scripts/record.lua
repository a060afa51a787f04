-- One receipt more. KEYS receipts; ARGV receipt, how many are kept, life ms
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'receipt', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
