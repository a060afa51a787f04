-- Nobody waits for this job any more: it goes to the end of the background lane, unless its sample has a job there.
-- KEYS …, background lane, its queued samples; ARGV …, job, deliveries so far that count
local fields = remove()
if not fields then return 0 end
local id = redis.call('HGET', KEYS[5], fields.sample)
if id and #redis.call('XRANGE', KEYS[4], id, id) > 0 then return 0 end
id = redis.call('XADD', KEYS[4], '*',
  'sample', fields.sample, 'size', fields.size, 'tries', ARGV[4], 'job', ARGV[3])
redis.call('HSET', KEYS[5], fields.sample, id)
redis.call('INCRBY', KEYS[3], fields.size)
return 1
