// SPDX-License-Identifier: GPL-3.0-or-later
//! A master and its replica, watched by one Sentinel.

use super::{Guard, RedisServer, eventually};
use anyhow::Result;

/// A master and its replica, watched by one Sentinel.
pub struct WatchedRedis {
    master: RedisServer,
    replica: RedisServer,
    sentinel: RedisServer,
}

impl WatchedRedis {
    /// Starts all three and waits until the Sentinel knows the replica.
    ///
    /// # Errors
    /// Where one does not start.
    pub fn start() -> Result<Self> {
        Self::start_guarded(&Guard::default())
    }

    /// The same behind TLS; users there are none.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_guarded(guard: &Guard) -> Result<Self> {
        let guard = Guard { users: false, ..guard.clone() };
        let master = RedisServer::start_guarded(&guard, &[])?;
        let port = master.port.to_string();
        let replication = ["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"];
        let replica = RedisServer::start_guarded(&guard, &replication)?;
        let sentinel = RedisServer::start_guarded(&guard, &["--sentinel"])?;
        for words in [
            format!("SENTINEL MONITOR main 127.0.0.1 {port} 1"),
            "SENTINEL SET main down-after-milliseconds 500".to_owned(),
            "SENTINEL SET main failover-timeout 2000".to_owned(),
        ] {
            sentinel.command(&words)?;
        }
        let watched = Self { master, replica, sentinel };
        let knows = |port: u16| {
            let replicas = watched.sentinel.command("SENTINEL REPLICAS main").map(|all| format!("{all:?}"));
            replicas.is_ok_and(|all| all.contains(&port.to_string()) && all.contains("\"ok\""))
        };
        eventually("the Sentinel knows the replica", || knows(watched.replica.port))?;
        Ok(watched)
    }

    /// The address that names the Sentinel and the service.
    pub fn url(&self) -> String {
        let scheme = self.sentinel.guard.scheme();
        format!("{scheme}+sentinel://127.0.0.1:{}/main?db=0", self.sentinel.port)
    }

    /// Kills the master; the Sentinel then promotes the replica.
    pub fn lose_the_master(&mut self) {
        self.master.stop();
    }
}
