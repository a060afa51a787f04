-- One waiter more; the verdict where there is one, else one owner.
-- KEYS verdict, lease, waiters; ARGV process, owner's lease, its life ms, waiters' life ms, overlook the verdict
if ARGV[5] ~= '1' then
  local verdict = redis.call('GET', KEYS[1])
  if verdict then return {'known', verdict} end
end
redis.call('SADD', KEYS[3], ARGV[1])
redis.call('PEXPIRE', KEYS[3], ARGV[4])
if redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[3]) then return {'owner'} end
return {'joined'}
