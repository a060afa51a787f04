// SPDX-License-Identifier: GPL-3.0-or-later
//! The hubs under test, and how their time is made to jump: for the one inside a process tokio's clock is moved, in
//! Redis everything that ends is made to end so much earlier.

use crate::hub::random::{limits, ttls};
use redis::{Value, aio::MultiplexedConnection, cmd};
use std::{sync::Arc, time::Duration};
use thundergate_common::hub::{
    Milter, Operator, Worker,
    memory::MemoryHub,
    redis::{Redis, RedisHub, RedisUrl},
};
use thundergate_harness::redis::{HARNESS, OPERATOR, RedisServer};

/// All keys of thundergate.
const KEYS: &str = "tg:*";
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
    pub ends: Vec<Arc<dyn End>>,
    behind: Option<Behind>,
}

/// A process's end of the hub, for every role.
pub trait End: Milter + Worker + Operator {}

impl<H: Milter + Worker + Operator> End for H {}

struct Behind {
    admin: MultiplexedConnection,
}

impl Stage {
    /// One process; tokio's clock must be paused.
    pub fn in_memory() -> Self {
        Self { ends: vec![MemoryHub::new(&limits(), &ttls())], behind: None }
    }

    /// Two processes; one stage at a time.
    pub async fn over_redis(server: &RedisServer) -> Self {
        let client = redis::Client::open(server.url_of(HARNESS)).unwrap();
        let mut behind = Behind { admin: client.get_multiplexed_async_connection().await.unwrap() };
        // Nobody of an earlier stage may take what belongs to this one.
        for sort in ["normal", "pubsub"] {
            behind.run(cmd("CLIENT").arg("KILL").arg("TYPE").arg(sort)).await;
        }
        behind.run(&cmd("FLUSHALL")).await;
        // Of the delivered users the one that may do what any program does: a process is one end, which learns of the
        // generation when it reports.
        let redis = Redis {
            timeout: Duration::from_secs(2),
            ..Redis::at(RedisUrl::One(server.url_of(OPERATOR).into()))
        };
        let mut ends: Vec<Arc<dyn End>> = Vec::new();
        for process in ["here", "there"] {
            ends.push(RedisHub::connect(&redis, &limits(), &ttls(), process.to_owned()).await.unwrap());
        }
        Self { ends, behind: Some(behind) }
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
                let (mut script, millis) = (cmd("EVAL"), by.as_millis() as u64);
                behind.run(script.arg(JUMP).arg(0).arg(KEYS).arg(millis)).await;
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
        let keys = behind.run(cmd("KEYS").arg(KEYS)).await;
        let mut keys: Vec<String> = redis::from_redis_value(keys).unwrap();
        // The streams, their counter, how far what is owed reaches, and what is known stay.
        let stays = [
            ":verdict",
            ":mail",
            ":bulk",
            ":background",
            ":bytes",
            ":owed",
            ":dead",
            ":dead:samples",
            ":reports",
            ":signatures",
            ":bumped",
        ];
        keys.retain(|key| !stays.iter().any(|stays| key.ends_with(stays)));
        keys
    }
}

impl Behind {
    async fn run(&mut self, command: &redis::Cmd) -> Value {
        command.query_async(&mut self.admin).await.unwrap()
    }
}
