-- The lease goes on from its holder. Deletes first: after a write Redis refuses none for want of memory.
-- KEYS lease; ARGV holder's lease, the next one, its life ms
local lease = redis.call('GET', KEYS[1])
if not lease or lease == 'queued' or lease == ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1
