-- Stores the verdict where there is one, tells those who wait, forgets the lease, and the bytes unless they are kept for
-- a dead letter. Deletes first: after a write Redis refuses none for want of memory.
-- KEYS verdict, sample, lease, waiters
-- ARGV job's lease, announcement, channels' root, verdict or nothing, its life ms, whether the bytes are kept,
-- whether it is clean
local lease = redis.call('GET', KEYS[3])
local verdict = ARGV[4]
-- A scan whose lease ran out clears no sample of which something is known: that may be a finding.
if ARGV[7] == '1' and lease ~= ARGV[1] and redis.call('EXISTS', KEYS[1]) == 1 then verdict = '' end
if verdict == '' and lease and lease ~= ARGV[1] and string.sub(lease, 1, 4) == 'job:' then
  return 0 -- another job scans this sample: its answer counts
end
local waiters = redis.call('SMEMBERS', KEYS[4])
redis.call('DEL', KEYS[3], KEYS[4])
if ARGV[6] ~= '1' then redis.call('DEL', KEYS[2]) end
if verdict ~= '' then redis.call('SET', KEYS[1], verdict, 'PX', ARGV[5]) end
for _, process in ipairs(waiters) do redis.call('PUBLISH', ARGV[3] .. process, ARGV[2]) end
return #waiters
