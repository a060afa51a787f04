-- The lease goes from its holder to the queue. Deletes first: after a write Redis refuses none for want of memory.
-- KEYS lease; ARGV holder's lease, life ms
local lease = redis.call('GET', KEYS[1])
if not lease or lease == 'queued' or lease == ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.call('SET', KEYS[1], 'queued', 'PX', ARGV[2])
end
return 1
