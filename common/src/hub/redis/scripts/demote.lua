-- Nobody waits for this job any more: it goes to the end of the background lane, unless its sample has a job there. That
-- holds no more than its own: older ones give way, and where none may, this one does.
-- KEYS …, background lane, its queued samples, owed, queued samples of mail and bulk, letters' samples
-- ARGV …, job, deliveries so far that count, most jobs of background
-- Gives `done`, or `again` where the caller shall call again; and what is gone.
local entry = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])[1]
local sample = entry and fields_of(entry).sample
local id = sample and redis.call('HGET', KEYS[5], sample)
local is_there = id and #redis.call('XRANGE', KEYS[4], id, id) > 0
local stays = is_there or not entry or redis.call('XLEN', KEYS[4]) < tonumber(ARGV[5])
local keys = {lane = KEYS[4], queued = KEYS[5], bytes = KEYS[3], owed = KEYS[6], mail = KEYS[7], bulk = KEYS[8],
  letters = KEYS[9]}
if not stays then
  local left = redis.call('XLEN', KEYS[4])
  local function enough()
    left = left - 1
    return left < tonumber(ARGV[5])
  end
  local is_owed = redis.call('HGET', KEYS[6], sample)
  if give_way(keys, ARGV[1], enough, is_owed) then return {'again', unpack(gone)} end
end
local fields = remove()
if not fields or is_there then return {'done'} end
if not stays then
  tell(keys, fields)
  return {'done', unpack(gone)}
end
id = redis.call('XADD', KEYS[4], '*',
  'sample', fields.sample, 'size', fields.size, 'tries', ARGV[4], 'job', ARGV[3])
redis.call('HSET', KEYS[5], fields.sample, id)
redis.call('INCRBY', KEYS[3], fields.size)
return {'done'}
