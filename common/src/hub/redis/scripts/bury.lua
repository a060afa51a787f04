-- A dead letter for a job. Says whether the sample's bytes may stay for a retry: those of all letters are bounded, too.
-- KEYS …, dead letters; ARGV …, letter, how many are kept, life ms, most bytes, how long bytes live ms
local fields = remove()
if not fields then return 'known' end
local now = redis.call('TIME')
local since = tonumber(now[1]) * 1000 - tonumber(ARGV[7])
local bytes = tonumber(fields.size)
for _, entry in ipairs(redis.call('XRANGE', KEYS[4], string.format('%.0f', math.max(since, 0)), '+')) do
  for at = 1, #entry[2], 2 do
    if entry[2][at] == 'size' then bytes = bytes + tonumber(entry[2][at + 1]) end
  end
end
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[4], '*', 'size', fields.size, 'letter', ARGV[3])
redis.call('PEXPIRE', KEYS[4], ARGV[5])
return bytes <= tonumber(ARGV[6]) and 'keep' or 'forget'
