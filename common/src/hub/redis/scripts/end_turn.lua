-- KEYS turn; ARGV worker
local turn = redis.call('GET', KEYS[1])
if turn and string.match(turn, '^%S+') == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
