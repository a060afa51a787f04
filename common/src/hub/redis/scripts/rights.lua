-- Which of some commands the user may not run; none of them is run.
-- ARGV for each command: of how many words it is, and the words. Gives the numbers of those that are not permitted.
local refused, at, number = {}, 1, 0
while ARGV[at] do
  local words, count = {}, tonumber(ARGV[at])
  for word = 1, count do words[word] = ARGV[at + word] end
  number = number + 1
  local known, permitted = pcall(redis.acl_check_cmd, unpack(words))
  if not (known and permitted) then table.insert(refused, number) end
  at = at + count + 1
end
return refused
