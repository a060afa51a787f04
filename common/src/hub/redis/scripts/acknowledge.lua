-- KEYS …, dead letters, their samples, where a verdict ends the letter of its sample, too; ARGV …, that sample
if KEYS[4] then unbury(KEYS[4], KEYS[5], ARGV[3]) end
return remove() and 1 or 0
