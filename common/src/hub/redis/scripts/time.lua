-- The time by the clock of one server: in a cluster, of the one that has this key.
-- KEYS any
return redis.call('TIME')
