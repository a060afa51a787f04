-- A job more, unless its sample has one in this lane that nobody has claimed, or the limits are reached. Background may
-- hold half of the jobs, and gives way: to a newer job of its own, unless what is left is owed, and to mail and bulk. A
-- shard that has no job takes a sample of any size. Who may not see bulk names five keys; then nothing gives way.
-- KEYS this lane, its queued samples, bytes, mail, background[, bulk, owed, queued samples of mail, bulk and background]
-- ARGV sample, job, size, most jobs, most bytes, group, the key of letters' samples: a milter may only read that, and Redis
-- takes every key of a script as written.
-- Gives `queued`, `full`, or `again` where the caller shall call again; and what is gone.
local id = redis.call('HGET', KEYS[2], ARGV[1])
if id and #redis.call('XRANGE', KEYS[1], id, id) > 0 then
  -- One that is claimed may be about to end; the two never scan at the same time.
  local claimed = redis.pcall('XPENDING', KEYS[1], ARGV[6], id, id, 1)
  if claimed.err or #claimed == 0 then return {'queued'} end
end
local size, most_jobs, most_bytes = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local awaited = redis.call('XLEN', KEYS[4]) + (KEYS[6] and redis.call('XLEN', KEYS[6]) or 0)
local behind = redis.call('XLEN', KEYS[5])
local bytes = tonumber(redis.call('GET', KEYS[3]) or '0')
if awaited + behind == 0 then bytes = 0 end
local is_background = KEYS[1] == KEYS[5]
local function has_bytes() return awaited + behind == 0 or bytes + size <= most_bytes end
local function fits()
  if is_background and behind >= math.max(math.floor(most_jobs / 2), 1) then return false end
  return awaited + behind < most_jobs and has_bytes()
end
if awaited >= most_jobs then return {'full'} end
if not fits() and KEYS[6] then
  local keys = {lane = KEYS[5], bytes = KEYS[3], owed = KEYS[7], mail = KEYS[8], bulk = KEYS[9], queued = KEYS[10],
    letters = ARGV[7]}
  local function enough(dropped)
    behind, bytes = behind - 1, bytes - dropped
    return fits()
  end
  if give_way(keys, ARGV[6], enough, not is_background) then return {'again', unpack(gone)} end
end
-- What workers have claimed of background takes no place from mail, only its bytes.
local admitted = fits() or (KEYS[6] and not is_background and has_bytes())
if not admitted then return {'full'} end
id = redis.call('XADD', KEYS[1], '*', 'sample', ARGV[1], 'size', ARGV[3], 'tries', '0', 'job', ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], id)
redis.call('SET', KEYS[3], string.format('%.0f', bytes + size))
return {'queued'}
