// SPDX-License-Identifier: GPL-3.0-or-later
//! The hubs under test, and how their time is made to jump: for the one inside a process tokio's clock is moved, in
//! Redis everything that ends is made to end so much earlier.

use crate::hub::random::{limits, ttls};
use redis::{Value, aio::MultiplexedConnection, cmd};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use thundergate_common::{
    config,
    hub::{Hub, memory::MemoryHub, redis::RedisHub},
};
use thundergate_harness::redis::RedisServer;

/// KEYS none; ARGV pattern of keys, ms.
const JUMP: &str = r"
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
  local left = redis.call('PTTL', key)
  if left >= 0 and left <= tonumber(ARGV[2]) then
    redis.call('DEL', key)
  elseif left >= 0 then
    redis.call('PEXPIRE', key, left - tonumber(ARGV[2]))
  end
  if redis.call('TYPE', key).ok == 'stream' then
    local pending = redis.pcall('XPENDING', key, 'workers', '-', '+', 1000)
    for _, entry in ipairs(pending) do
      local idle = entry[3] + tonumber(ARGV[2])
      redis.call('XCLAIM', key, 'workers', entry[2], 0, entry[1], 'IDLE', idle, 'RETRYCOUNT', entry[4], 'JUSTID')
    end
  end
end
";

/// Processes' ends of one hub, and what lies behind them.
pub struct Stage {
    /// One a process.
    pub ends: Vec<Arc<dyn Hub>>,
    behind: Option<Behind>,
}

struct Behind {
    admin: MultiplexedConnection,
    prefix: String,
}

impl Stage {
    /// One process; tokio's clock must be paused.
    pub fn in_memory() -> Self {
        Self { ends: vec![MemoryHub::new(&limits(), &ttls())], behind: None }
    }

    /// Two processes, on keys that no other stage has.
    pub async fn over_redis(server: &RedisServer) -> Self {
        static STAGES: AtomicUsize = AtomicUsize::new(0);
        let prefix = format!("stage-{}", STAGES.fetch_add(1, Ordering::Relaxed));
        let redis = config::Redis {
            prefix: prefix.clone(),
            timeout: Duration::from_secs(2),
            ..config::Redis::at(config::RedisUrl::One(server.url().into()))
        };
        let mut ends: Vec<Arc<dyn Hub>> = Vec::new();
        for process in ["here", "there"] {
            ends.push(RedisHub::connect(&redis, &limits(), &ttls(), process.to_owned()).await.unwrap());
        }
        let client = redis::Client::open(server.url()).unwrap();
        let admin = client.get_multiplexed_async_connection().await.unwrap();
        Self { ends, behind: Some(Behind { admin, prefix }) }
    }

    /// Whether all milters are one process.
    pub fn is_one_process(&self) -> bool {
        self.behind.is_none()
    }

    /// So much time passes at once.
    pub async fn jump(&mut self, by: Duration) {
        match &mut self.behind {
            None => tokio::time::advance(by).await,
            Some(behind) => {
                let pattern = format!("{}:*", behind.prefix);
                let (script, millis) = (cmd("EVAL").arg(JUMP).arg(0).take(), by.as_millis() as u64);
                behind.run(script.clone().arg(pattern).arg(millis)).await;
            }
        }
    }

    /// Redis forgets all scripts; nothing elsewhere.
    pub async fn flush_scripts(&mut self) {
        if let Some(behind) = &mut self.behind {
            behind.run(cmd("SCRIPT").arg("FLUSH")).await;
        }
    }

    /// Redis closes all connections but this stage's own and those that listen; nothing elsewhere.
    pub async fn kill_connections(&mut self) {
        if let Some(behind) = &mut self.behind {
            behind.run(cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal")).await;
        }
    }

    /// What must not be there once all is quiet and all lives are over: names of keys.
    pub async fn left_over(&mut self) -> Vec<String> {
        let Some(behind) = &mut self.behind else { return Vec::new() };
        let pattern = format!("{}:*", behind.prefix);
        let keys = behind.run(cmd("KEYS").arg(pattern)).await;
        let mut keys: Vec<String> = redis::from_redis_value(keys).unwrap();
        // The streams, their counter, and what is known stay.
        let stays =
            [":verdict", ":mail", ":background", ":bytes", ":dead", ":reports", ":signatures", ":bumped"];
        keys.retain(|key| !stays.iter().any(|stays| key.ends_with(stays)));
        keys
    }
}

impl Behind {
    async fn run(&mut self, command: &redis::Cmd) -> Value {
        command.query_async(&mut self.admin).await.unwrap()
    }
}
