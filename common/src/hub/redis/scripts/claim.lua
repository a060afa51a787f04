-- New jobs for a worker: three of mail and one of bulk while both wait, and of background what is left. Gives how many of
-- mail there were since the last of bulk, and the jobs, each with its lane.
-- KEYS mail, bulk, background; ARGV group, worker, how many, how many of background, how many of mail since bulk
local claims, left, since = {}, tonumber(ARGV[3]), tonumber(ARGV[5])
local function read(lane, most)
  return redis.pcall('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', most, 'STREAMS', KEYS[lane], '>')
end
-- Takes the oldest of a lane. Says how many there were.
local function take(lane, most)
  if most <= 0 then return 0 end
  local answer = read(lane, most)
  if answer and answer.err and string.find(answer.err, 'NOGROUP', 1, true) then
    -- Nobody has read this lane yet. Where it has no job it stays so: with full memory no group can be made.
    if redis.call('EXISTS', KEYS[lane]) == 0 then return 0 end
    redis.call('XGROUP', 'CREATE', KEYS[lane], ARGV[1], '0')
    answer = read(lane, most)
  end
  if not answer then return 0 end
  if answer.err then error(answer.err) end
  for _, entry in ipairs(answer[1][2]) do claims[#claims + 1] = {lane, entry[1], entry[2]} end
  left = left - #answer[1][2]
  return #answer[1][2]
end
local mail, bulk = true, true -- whether there may be more
while left > 0 and (mail or bulk) do
  if mail and (since < 3 or not bulk) then
    local most = bulk and math.min(3 - since, left) or left
    local came = take(1, most)
    mail, since = came == most, math.min(since + came, 3)
  else
    local most = mail and 1 or left
    local came = take(2, most)
    bulk = came == most
    if came > 0 then since = 0 end
  end
end
take(3, math.min(left, tonumber(ARGV[4])))
return {since, claims}
