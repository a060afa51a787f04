-- Common head of the scripts that end a dead letter. A sample has one at most; which one is its index's affair.
-- Removes the letter `id`, or whichever the sample has where none is named. Gives whether there was one.
local function unbury(letters, index, sample, id)
  local indexed = redis.call('HGET', index, sample)
  if indexed and (not id or indexed == id) then redis.call('HDEL', index, sample) end
  id = id or indexed
  return id and redis.call('XDEL', letters, id) == 1
end
