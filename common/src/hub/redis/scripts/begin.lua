-- Takes the lease for a job, unless there is nothing to do.
-- KEYS verdict, sample, lease; ARGV job's lease, life ms, overlook the verdict
if ARGV[3] ~= '1' then
  local verdict = redis.call('GET', KEYS[1])
  if verdict then return {'known', verdict} end
end
local lease = redis.call('GET', KEYS[3])
if lease and lease ~= ARGV[1] and string.sub(lease, 1, 4) == 'job:' then return {'busy'} end
-- Deletes first: after a write Redis refuses none for want of memory, and the queue must drain when memory is full.
redis.call('DEL', KEYS[3])
if redis.call('EXISTS', KEYS[2]) == 0 then return {'gone'} end
redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
return {'scan'}
