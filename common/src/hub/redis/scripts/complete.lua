-- Stores the verdict where there is one, or what is held against the sample from now on, tells those who wait, forgets the
-- lease, and the bytes unless they are kept for a dead letter. Deletes first: after a write Redis refuses none for want of
-- memory.
-- KEYS verdict, sample, lease, waiters, failed
-- ARGV job's lease, announcement, channels' root, verdict or nothing, its life ms, whether the bytes are kept,
-- whether it is clean, failure or nothing, its life ms
local lease = redis.call('GET', KEYS[3])
local verdict, failed = ARGV[4], ARGV[8]
-- A scan whose lease ran out clears no sample of which something is known: that may be a finding. Nor does it hold anything
-- against such a sample.
local in_vain = lease ~= ARGV[1] and redis.call('EXISTS', KEYS[1]) == 1
if in_vain and ARGV[7] == '1' then verdict = '' end
if in_vain then failed = '' end
if verdict == '' and lease and lease ~= ARGV[1] and string.sub(lease, 1, 4) == 'job:' then
  return 0 -- another job scans this sample: its answer counts
end
local waiters = redis.call('SMEMBERS', KEYS[4])
redis.call('DEL', KEYS[3], KEYS[4])
if ARGV[6] ~= '1' then redis.call('DEL', KEYS[2]) end
if verdict ~= '' then
  redis.call('DEL', KEYS[5])
  redis.call('SET', KEYS[1], verdict, 'PX', ARGV[5])
end
if failed ~= '' then redis.call('SET', KEYS[5], failed, 'PX', ARGV[9]) end
for _, process in ipairs(waiters) do redis.call('PUBLISH', ARGV[3] .. process, ARGV[2]) end
return #waiters
