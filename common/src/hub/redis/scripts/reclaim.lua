-- Takes over what nobody has renewed. KEYS lanes; ARGV group, worker, idle ms, how many
local claims = {}
for lane, stream in ipairs(KEYS) do
  local left = tonumber(ARGV[4]) - #claims
  local pending = {}
  if left > 0 and redis.call('EXISTS', stream) == 1 then
    pending = redis.pcall('XPENDING', stream, ARGV[1], 'IDLE', ARGV[3], '-', '+', left)
    if pending.err then
      if string.find(pending.err, 'NOGROUP', 1, true) then pending = {} else return pending end
    end
  end
  for _, entry in ipairs(pending) do
    -- Empty where the entry itself is gone; Redis then forgets the claim.
    local taken = redis.call('XCLAIM', stream, ARGV[1], ARGV[2], ARGV[3], entry[1])[1]
    if taken then claims[#claims + 1] = {lane, taken[1], entry[4] + 1, taken[2]} end
  end
end
return claims
