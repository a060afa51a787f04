-- One worker's report of the farm; gives all that are not too old, by the clock of Redis.
-- KEYS reports; ARGV worker, report, how long a report counts in s
local now = tonumber(redis.call('TIME')[1])
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', now) .. ARGV[2]) end
local all = redis.call('HGETALL', KEYS[1])
local fresh = {}
for at = 1, #all, 2 do
  local when, report = string.match(all[at + 1], '^(%d+) (.*)$')
  if when and now - tonumber(when) <= tonumber(ARGV[3]) then
    fresh[#fresh + 1] = report
  elseif ARGV[2] ~= '' then
    redis.call('HDEL', KEYS[1], all[at])
  end
end
if ARGV[2] ~= '' then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
return fresh
