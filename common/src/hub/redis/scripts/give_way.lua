-- Common head of the scripts that put jobs in: background gives way, the oldest first, what was delivered unscanned (owed)
-- last. What a worker has claimed stays. Few entries are looked at in a call; who needs more calls again.
local LOOK = 64
-- For the caller, who has the bytes deleted: a sample, its job, what is owed for it, whether its bytes are needed, and so on.
local gone = {}

-- Where the entries begin that nobody has claimed: those after the last one that was handed out.
local function unclaimed(lane, group)
  local groups = redis.pcall('XINFO', 'GROUPS', lane)
  if groups.err and not string.find(groups.err, 'no such key', 1, true) then error(groups.err) end
  for _, facts in ipairs(groups) do
    local fact = {}
    for at = 1, #facts, 2 do fact[facts[at]] = facts[at + 1] end
    if fact.name == group then return fact['last-delivered-id'] end
  end
  return '0-0'
end

local function is_later(one, other)
  local ms, number = string.match(one, '(%d+)-(%d+)')
  local other_ms, other_number = string.match(other, '(%d+)-(%d+)')
  if ms ~= other_ms then return tonumber(ms) > tonumber(other_ms) end
  return tonumber(number) > tonumber(other_number)
end

local function fields_of(entry)
  local fields = {}
  for at = 1, #entry[2], 2 do fields[entry[2][at]] = entry[2][at + 1] end
  return fields
end

-- Tells the caller of a job that is gone. `keys` as below.
local function tell(keys, fields)
  local owed = redis.call('HGET', keys.owed, fields.sample) or ''
  local elsewhere = false
  for _, queued in ipairs({keys.mail, keys.bulk, keys.queued}) do
    elsewhere = elsewhere or redis.call('HGET', queued, fields.sample)
  end
  if elsewhere then owed = '' end
  if owed ~= '' then redis.call('HDEL', keys.owed, fields.sample) end
  local needed = elsewhere or redis.call('HGET', keys.letters, fields.sample)
  for _, told in ipairs({fields.sample, fields.job, owed, needed and '1' or ''}) do gone[#gone + 1] = told end
end

local function drop(keys, entry)
  local fields = fields_of(entry)
  redis.call('XDEL', keys.lane, entry[1])
  redis.call('DECRBY', keys.bytes, fields.size)
  if redis.call('HGET', keys.queued, fields.sample) == entry[1] then redis.call('HDEL', keys.queued, fields.sample) end
  tell(keys, fields)
  return tonumber(fields.size)
end

-- Drops until `enough`, which hears the size of each, says so. False where nothing is left to drop.
-- `keys`: lane, its queued samples, bytes, owed, mail's and bulk's queued samples, letters' samples
local function give_way(keys, group, enough, owed_too)
  local first = unclaimed(keys.lane, group)
  -- All that nobody has claimed up to here is owed: a call before this one has seen it.
  local seen, kept = redis.call('HGET', keys.owed, ''), nil
  local from = (seen and is_later(seen, first)) and seen or first
  local entries = redis.call('XRANGE', keys.lane, '(' .. from, '+', 'COUNT', LOOK)
  for _, entry in ipairs(entries) do
    if redis.call('HGET', keys.owed, fields_of(entry).sample) then
      kept = entry[1]
    elseif enough(drop(keys, entry)) then
      break
    end
  end
  if kept then redis.call('HSET', keys.owed, '', kept) end
  if #gone > 0 or #entries == LOOK then return true end
  if not owed_too then return false end
  entries = redis.call('XRANGE', keys.lane, '(' .. first, '+', 'COUNT', LOOK)
  for _, entry in ipairs(entries) do
    if enough(drop(keys, entry)) then break end
  end
  return #gone > 0
end
