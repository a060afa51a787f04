-- Takes over what nobody has renewed. KEYS lane; ARGV group, worker, idle ms, how many
if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[3], '-', '+', ARGV[4])
if pending.err then
  if string.find(pending.err, 'NOGROUP', 1, true) then return {} end
  return pending
end
local claims = {}
for _, entry in ipairs(pending) do
  -- Empty where the entry itself is gone; Redis then forgets the claim.
  local taken = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], entry[1])[1]
  if taken then claims[#claims + 1] = {taken[1], entry[4] + 1, taken[2]} end
end
-- A worker that is gone and has nothing left: nobody would forget its name.
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local facts = {}
  for at = 1, #consumer, 2 do facts[consumer[at]] = consumer[at + 1] end
  if facts.pending == 0 and facts.idle > 86400000 then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], facts.name)
  end
end
return claims
