-- Takes the lease for a job, unless there is nothing to do. Gives the verdict as well, and what is held against the sample,
-- where there is such.
-- KEYS verdict, sample, lease, waiters, failed; ARGV job's lease, life ms, lane, background's life ms
local verdict = redis.call('GET', KEYS[1]) or ''
local failed = redis.call('GET', KEYS[5]) or ''
local lease = redis.call('GET', KEYS[3])
if lease and lease ~= ARGV[1] and string.sub(lease, 1, 4) == 'job:' then return {'busy', verdict, failed} end
-- Deletes first: after a write Redis refuses none for want of memory, and the queue must drain when memory is full.
redis.call('DEL', KEYS[3])
if redis.call('EXISTS', KEYS[2]) == 0 then return {'gone', verdict, failed} end
if ARGV[3] ~= 'background' and redis.call('EXISTS', KEYS[4]) == 0 then
  redis.call('SET', KEYS[3], 'background', 'PX', ARGV[4])
  return {'idle', verdict, failed}
end
redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
return {'scan', verdict, failed}
