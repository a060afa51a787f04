-- The lease goes on from its holder. A job that nobody waits for takes no place but its submitter's. Deletes first: after
-- a write Redis refuses none for want of memory.
-- KEYS lease; ARGV holder's lease, the next one, its life ms
local lease = redis.call('GET', KEYS[1])
local free = not lease or lease == 'queued'
if lease == ARGV[1] or (free and ARGV[2] ~= 'background') then
  redis.call('DEL', KEYS[1])
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1
