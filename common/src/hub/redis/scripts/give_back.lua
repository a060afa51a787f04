-- The queue is full: the sample is free for whoever asks next.
-- KEYS sample, lease; ARGV owner's lease
local lease = redis.call('GET', KEYS[2])
if not lease or lease == ARGV[1] then redis.call('DEL', KEYS[1], KEYS[2]) end
return 1
