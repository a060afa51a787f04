-- One waiter more unless the lane is background, and one owner. The verdict is read beside this script, not in it: a milter may
-- not write verdicts, and Redis takes every key of a script as written.
-- KEYS lease, waiters; ARGV process, owner's lease, its life ms, waiters' life ms, lane
if ARGV[5] ~= 'background' then
  redis.call('SADD', KEYS[2], ARGV[1])
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
end
local lease = redis.call('GET', KEYS[1])
-- A job in a lane behind the caller's is no reason to wait: it may never be its turn.
local rank = {mail = 0, bulk = 1, background = 2}
if lease and (rank[lease] or 0) <= rank[ARGV[5]] then return 'joined' end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 'owner'
