-- What the server that has this key holds: all of it, the most it may, and the bytes of samples that wait in this shard.
-- KEYS bytes of jobs
local memory = redis.call('INFO', 'memory')
return {
  tonumber(string.match(memory, 'used_memory:(%d+)')),
  tonumber(string.match(memory, 'maxmemory:(%d+)')),
  tonumber(redis.call('GET', KEYS[1]) or '0'),
}
