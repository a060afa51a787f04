-- A job more, unless its sample has one in this lane that nobody has claimed, or the limits are reached. Background work
-- may fill half of them. A shard that has no job takes a sample of any size.
-- KEYS this lane, its queued samples, bytes, all lanes; ARGV sample, job, size, most jobs, most bytes, group
local id = redis.call('HGET', KEYS[2], ARGV[1])
if id and #redis.call('XRANGE', KEYS[1], id, id) > 0 then
  -- One that is claimed may be about to end; the two never scan at the same time.
  local claimed = redis.pcall('XPENDING', KEYS[1], ARGV[6], id, id, 1)
  if claimed.err or #claimed == 0 then return 'queued' end
end
local jobs = 0
for lane = 4, #KEYS do jobs = jobs + redis.call('XLEN', KEYS[lane]) end
local bytes = tonumber(redis.call('GET', KEYS[3]) or '0')
if jobs == 0 then bytes = 0 end
local fits = bytes + tonumber(ARGV[3]) <= tonumber(ARGV[5])
if jobs >= tonumber(ARGV[4]) or (jobs > 0 and not fits) then return 'full' end
id = redis.call('XADD', KEYS[1], '*', 'sample', ARGV[1], 'size', ARGV[3], 'tries', '0', 'job', ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], id)
redis.call('SET', KEYS[3], string.format('%.0f', bytes + tonumber(ARGV[3])))
return 'queued'
