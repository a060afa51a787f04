-- Common head of the scripts that end a queue entry. KEYS lane, its queued samples, bytes, …; ARGV group, entry, …
-- Gives the entry's fields, or nothing where it was gone already. Nothing is owed for its sample any longer where `owed` is
-- named.
local function remove(owed)
  local entry = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])[1]
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
  if not entry then return nil end
  redis.call('XDEL', KEYS[1], ARGV[2])
  local fields = {}
  for at = 1, #entry[2], 2 do fields[entry[2][at]] = entry[2][at + 1] end
  redis.call('DECRBY', KEYS[3], fields.size)
  if redis.call('HGET', KEYS[2], fields.sample) == ARGV[2] then redis.call('HDEL', KEYS[2], fields.sample) end
  if owed then
    fields.owed = redis.call('HGET', owed, fields.sample)
    redis.call('HDEL', owed, fields.sample)
  end
  return fields
end
