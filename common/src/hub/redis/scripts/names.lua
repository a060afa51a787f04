-- Names that short verdicts refer to: written, or their time anew. What is old makes room. Says whether they are there.
-- KEYS names; ARGV id, names, most entries, how long one is kept in s
local now = tonumber(redis.call('TIME')[1])
if not redis.call('HGET', KEYS[1], ARGV[1]) then
  local all = redis.call('HGETALL', KEYS[1])
  local left = #all / 2
  for at = 1, #all, 2 do
    local when = tonumber(string.match(all[at + 1], '^%d+') or '0')
    if now - when > tonumber(ARGV[4]) then left = left - redis.call('HDEL', KEYS[1], all[at]) end
  end
  if left >= tonumber(ARGV[3]) then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', now) .. ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
