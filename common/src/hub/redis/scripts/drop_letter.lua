-- KEYS dead letters, their samples; ARGV letter's entry, sample
return unbury(KEYS[1], KEYS[2], ARGV[2], ARGV[1]) and 1 or 0
