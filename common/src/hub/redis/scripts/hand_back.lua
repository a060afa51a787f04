-- KEYS …; ARGV …, deliveries so far that count
local fields = remove()
if not fields then return 0 end
local id = redis.call('XADD', KEYS[1], '*',
  'sample', fields.sample, 'size', fields.size, 'tries', ARGV[3], 'job', fields.job)
redis.call('HSET', KEYS[2], fields.sample, id)
redis.call('INCRBY', KEYS[3], fields.size)
return 1
