-- KEYS …[, owed, where that is settled, too[, dead letters, their samples, where a verdict ends the letter of its sample]]
-- ARGV …, that sample
-- Gives what was owed.
if KEYS[5] then unbury(KEYS[5], KEYS[6], ARGV[3]) end
local fields = remove(KEYS[4])
return fields and fields.owed or ''
