-- Packs of records more, and neither more bytes nor older ones than may be. Entries are dropped in pieces, each as a whole:
-- a mark says up to which entry a piece goes and how many bytes had been written by then. The first mark is that of the
-- last piece that was dropped, so the marks at both ends say how many bytes there are, and nothing else counts. The stream
-- is not among the KEYS: naming it there takes the right to read it, which milters do not have. Where Redis is full the
-- oldest piece goes and nothing is added: mail needs the room.
-- KEYS marks; ARGV stream, most bytes, bytes of a piece, life ms, pack …
local marks, stream = KEYS[1], ARGV[1]
local most, piece, life = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
-- A piece is written in a small part of a life, or the last of it would outlive the first by far.
local longest, pieces_a_call = life / 48, 8

local function mark(place)
  local text = redis.call('LINDEX', marks, place)
  if not text then return nil end
  local ms, number, bytes = string.match(text, '^(%d+)-(%d+) (%d+)$')
  return { ms = tonumber(ms), number = tonumber(number), bytes = tonumber(bytes) }
end

local function written(id, bytes) return string.format('%s %.0f', id, bytes) end

local function drop_piece_up_to(last)
  redis.call('XTRIM', stream, 'MINID', string.format('%.0f-%.0f', last.ms, last.number + 1))
  redis.call('LPOP', marks)
end

-- Redis takes an eighth more than it is given, and some bytes for each entry.
local added = 0
for place = 5, #ARGV do added = added + math.ceil(#ARGV[place] * 9 / 8) + 48 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- What is old goes first, so that where there is no more room none is needed.
local dropped, newest = mark(0), mark(-1)
local before = newest and newest.bytes or 0
for _ = 1, pieces_a_call do
  local oldest = mark(1)
  local has_room = dropped and before - dropped.bytes + added <= most
  if not oldest or (has_room and now - oldest.ms <= life) then break end
  drop_piece_up_to(oldest)
  dropped = oldest
end

-- Without marks nobody knows how much there is; then it counts as full, and goes as the next piece.
if not newest and redis.call('XLEN', stream) > 0 then before = most end
local id
for place = 5, #ARGV do
  id = redis.pcall('XADD', stream, '*', 'pack', ARGV[place])
  if type(id) == 'table' then
    local oldest = mark(1)
    if oldest then drop_piece_up_to(oldest) end
    return id
  end
end

local last, last_but_one = mark(-1), mark(-2)
if not last then redis.call('RPUSH', marks, written(now .. '-0', 0)) end
local is_open = last_but_one and last.bytes - last_but_one.bytes < piece and last.ms - last_but_one.ms < longest
if is_open then
  redis.call('LSET', marks, -1, written(id, before + added))
else
  redis.call('RPUSH', marks, written(id, before + added))
end
redis.call('PEXPIRE', marks, life)
redis.call('PEXPIRE', stream, life)
return 1
