-- The turn to scan suspects, taken or kept, perhaps at another instance. A worker's name holds no blank.
-- KEYS turn; ARGV worker, instance, its life ms
local turn = redis.call('GET', KEYS[1])
if turn and string.match(turn, '^%S+') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'PX', ARGV[3])
return 1
