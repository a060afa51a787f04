-- A message was delivered although this sample was not scanned. Nothing where no job waits for it.
-- KEYS owed, queued samples of each lane; ARGV sample, the message's queue id, life ms
for lane = 2, #KEYS do
  if redis.call('HGET', KEYS[lane], ARGV[1]) then
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
    return 1
  end
end
return 0
