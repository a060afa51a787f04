-- Whether the newest delivery of an entry is this one. KEYS lane; ARGV group, entry, deliveries so far
local entry = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])[1]
if not entry then return 0 end
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1)
if pending.err or #pending == 0 then return 0 end
local deliveries = pending[1][4]
for at = 1, #entry[2], 2 do
  if entry[2][at] == 'tries' then deliveries = deliveries + tonumber(entry[2][at + 1]) end
end
return deliveries == tonumber(ARGV[3]) and 1 or 0
