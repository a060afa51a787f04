-- A dead letter for a job, in place of the one that its sample has. Says whether the sample's bytes may stay for a retry:
-- those of all letters are bounded, too.
-- KEYS …, dead letters, their samples, owed
-- ARGV …, letter, how many are kept, life ms, most bytes, how long bytes live ms
local fields = remove(KEYS[6])
if not fields then return 'known' end
unbury(KEYS[4], KEYS[5], fields.sample)
local now = redis.call('TIME')
local since = tonumber(now[1]) * 1000 - tonumber(ARGV[7])
local bytes = tonumber(fields.size)
for _, entry in ipairs(redis.call('XRANGE', KEYS[4], string.format('%.0f', math.max(since, 0)), '+')) do
  for at = 1, #entry[2], 2 do
    if entry[2][at] == 'size' then bytes = bytes + tonumber(entry[2][at + 1]) end
  end
end
local before = redis.call('XLEN', KEYS[4])
local id = redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[4], '*', 'size', fields.size, 'letter', ARGV[3])
redis.call('HSET', KEYS[5], fields.sample, id)
if redis.call('XLEN', KEYS[4]) <= before then
  -- The oldest letters were trimmed, a whole node of the stream at a time, so this happens once in a while.
  local oldest = tonumber(string.match(redis.call('XRANGE', KEYS[4], '-', '+', 'COUNT', 1)[1][1], '^%d+'))
  local all = redis.call('HGETALL', KEYS[5])
  for at = 1, #all, 2 do
    if tonumber(string.match(all[at + 1], '^%d+')) < oldest then redis.call('HDEL', KEYS[5], all[at]) end
  end
end
redis.call('PEXPIRE', KEYS[4], ARGV[5])
redis.call('PEXPIRE', KEYS[5], ARGV[5])
return bytes <= tonumber(ARGV[6]) and 'keep' or 'forget'
