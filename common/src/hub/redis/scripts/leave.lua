-- This process waits no longer. It gives its reservation back where it says so.
-- KEYS lease, waiters; ARGV process, owner's lease or nothing
redis.call('SREM', KEYS[2], ARGV[1])
if ARGV[2] ~= '' and redis.call('GET', KEYS[1]) == ARGV[2] then redis.call('DEL', KEYS[1]) end
return 1
