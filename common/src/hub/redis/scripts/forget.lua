-- The bytes of a job that gave way, unless somebody is about to scan them.
-- KEYS sample, lease
local lease = redis.call('GET', KEYS[2])
if lease and lease ~= 'background' and lease ~= 'queued' then return 0 end
return redis.call('DEL', KEYS[1], KEYS[2])
