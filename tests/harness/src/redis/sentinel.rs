// SPDX-License-Identifier: GPL-3.0-or-later
//! A master and its replica, watched by one Sentinel.

use super::{Guard, HARNESS, RedisServer, eventually, login_of, password_of};
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

    /// The same behind TLS. The Sentinel itself has no users.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_guarded(guard: &Guard) -> Result<Self> {
        let master = RedisServer::start_guarded(guard, &[])?;
        let port = master.port.to_string();
        let replication = ["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"];
        let replica = RedisServer::start_guarded(guard, &replication)?;
        let sentinel = RedisServer::start_guarded(&guard.for_sentinel(), &["--sentinel"])?;
        for words in [
            format!("SENTINEL MONITOR main 127.0.0.1 {port} 1"),
            format!("SENTINEL SET main auth-user {HARNESS}"),
            format!("SENTINEL SET main auth-pass {}", password_of(HARNESS)),
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

    /// The address that names the Sentinel and the service, for this user of the servers.
    pub fn url_of(&self, user: &str) -> String {
        let (scheme, port) = (self.sentinel.guard.scheme(), self.sentinel.port);
        format!("{scheme}+sentinel://{}@127.0.0.1:{port}/main?db=0", login_of(user))
    }

    /// The Sentinel.
    pub fn sentinel(&self) -> &RedisServer {
        &self.sentinel
    }

    /// Kills the master, once the replica has all it was told; the Sentinel then promotes the replica.
    pub fn lose_the_master(&mut self) {
        // Where it never has, the test will say what is missing.
        let _ = eventually("the replica is in step", || self.is_in_step().unwrap_or(false));
        self.master.stop();
    }

    fn is_in_step(&self) -> Result<bool> {
        let offset = |server: &RedisServer, name: &str| -> Result<Option<String>> {
            let info: String = server.ask("INFO replication")?;
            Ok(info.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned))
        };
        let told = offset(&self.master, "master_repl_offset:")?;
        Ok(told.is_some() && told == offset(&self.replica, "slave_repl_offset:")?)
    }
}
