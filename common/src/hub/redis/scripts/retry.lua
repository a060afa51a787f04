-- A dead letter's job once more, with all its deliveries before it. The limits of the queue are for mail, not for operators.
-- KEYS lane, its queued samples, bytes, dead letters, their samples; ARGV letter's entry, sample, job, size
if not unbury(KEYS[4], KEYS[5], ARGV[2], ARGV[1]) then return 0 end
local id = redis.call('HGET', KEYS[2], ARGV[2])
if id and #redis.call('XRANGE', KEYS[1], id, id) > 0 then return 1 end
id = redis.call('XADD', KEYS[1], '*', 'sample', ARGV[2], 'size', ARGV[4], 'tries', '0', 'job', ARGV[3])
redis.call('HSET', KEYS[2], ARGV[2], id)
redis.call('INCRBY', KEYS[3], ARGV[4])
return 1
