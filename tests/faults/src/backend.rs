// SPDX-License-Identifier: GPL-3.0-or-later
//! The Redis behind a run: one server behind proxies, a master that a Sentinel watches, or a cluster.
//!
//! Nodes of the latter two tell clients their own addresses, so no proxy can stand in between; there the links cannot
//! fail, but the nodes can. A node is reached by its address and found by its process id, as Redis itself tells them.

use anyhow::{Context as _, ensure};
use redis::{Client, Connection, FromRedisValue, cmd};
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use thundergate_harness::redis::{HARNESS, Mark, RedisCluster, RedisServer, WatchedRedis, login_of};

const PATIENCE: Duration = Duration::from_secs(3);

/// Which of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Sort {
    /// One server.
    #[default]
    Single,
    /// A master, its replica and a Sentinel.
    Sentinel,
    /// Masters that share the slots, and their replicas.
    Cluster,
}

/// The servers.
pub enum Backend {
    /// See [`Sort`].
    Single(Mutex<RedisServer>),
    /// See [`Sort`].
    Sentinel(WatchedRedis),
    /// See [`Sort`].
    Cluster(RedisCluster),
}

/// A key that should not be there any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The key, and what it holds in words.
    pub what: String,
    /// It will expire by itself.
    pub expires: bool,
}

impl Backend {
    /// Starts one.
    pub fn start(sort: Sort) -> anyhow::Result<Self> {
        Ok(match sort {
            Sort::Single => Self::Single(Mutex::new(RedisServer::start()?)),
            Sort::Sentinel => Self::Sentinel(WatchedRedis::start()?),
            Sort::Cluster => Self::Cluster(RedisCluster::start()?),
        })
    }

    /// Where proxies lead to; none where there can be none.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Single(server) => authority(&lock(server).bare_url()).parse().ok(),
            _ => None,
        }
    }

    /// `url` of `[redis]` for this user, behind the proxy at `link`.
    pub fn url_of(&self, user: &str, link: Option<SocketAddr>) -> String {
        match (self, link) {
            (_, Some(link)) => format!("\"redis://{}@{link}/0\"", login_of(user)),
            (Self::Single(server), None) => format!("\"{}\"", lock(server).url_of(user)),
            (Self::Sentinel(watched), None) => format!("\"{}\"", watched.url_of(user)),
            (Self::Cluster(cluster), None) => format!("{:?}", cluster.urls_of(user)),
        }
    }

    /// Every master that answers now, by its address.
    pub fn masters(&self) -> Vec<String> {
        match self {
            Self::Single(server) => vec![authority(&lock(server).bare_url())],
            Self::Sentinel(watched) => {
                let asked = watched.sentinel().ask::<Vec<String>>("SENTINEL GET-MASTER-ADDR-BY-NAME main");
                asked.map(|address| address.join(":")).into_iter().collect()
            }
            Self::Cluster(cluster) => {
                let nodes = cluster.bare_urls().into_iter().map(|url| authority(&url));
                nodes.filter(|node| info(node, "role").is_ok_and(|role| role == "master")).collect()
            }
        }
    }

    /// A master that has a replica, if there is one: its death is survived.
    pub fn replicated_master(&self) -> Option<String> {
        let replicas = |node: &String| info(node, "connected_slaves").is_ok_and(|count| count != "0");
        self.masters().into_iter().find(replicas)
    }

    /// How far the append-only file of the only server goes.
    pub fn mark(&self) -> anyhow::Result<Mark> {
        lock(self.single()?).mark()
    }

    /// Kills the only server. It keeps what it had on disk up to `mark`, or, without one, nothing.
    pub fn stop(&self, mark: Option<&Mark>) -> anyhow::Result<()> {
        let mut server = lock(self.single()?);
        match mark {
            Some(mark) => server.stop_and_lose_since(mark),
            None => server.stop_and_forget(),
        }
    }

    fn single(&self) -> anyhow::Result<&Mutex<RedisServer>> {
        match self {
            Self::Single(server) => Ok(server),
            _ => anyhow::bail!("there are several servers"),
        }
    }

    /// See [`Backend::stop`].
    pub fn start_again(&self) -> anyhow::Result<()> {
        match self {
            Self::Single(server) => lock(server).start_again(),
            _ => Ok(()),
        }
    }

    /// One command to the only server, word by word.
    pub fn command(&self, words: &[&str]) -> anyhow::Result<redis::Value> {
        let address = authority(&lock(self.single()?).bare_url());
        let (name, arguments) = words.split_first().context("no command")?;
        Ok(cmd(name).arg(arguments).query(&mut connect(&address)?)?)
    }

    /// Where the only server keeps its files.
    pub fn directory(&self) -> anyhow::Result<PathBuf> {
        Ok(lock(self.single()?).directory().to_owned())
    }

    /// One command to every master.
    pub fn command_all(&self, words: &str) -> anyhow::Result<()> {
        for master in self.masters() {
            ask::<redis::Value>(&master, words)?;
        }
        Ok(())
    }

    /// What milters and workers must not leave behind once everything is answered: leases, waiters, samples, jobs.
    pub fn leftovers(&self) -> anyhow::Result<Vec<Leftover>> {
        let masters = self.masters();
        ensure!(!masters.is_empty(), "no master answers");
        let mut leftovers = Vec::new();
        for master in masters {
            let mut connection = connect(&master)?;
            for key in keys(&mut connection)? {
                leftovers.extend(leftover(&mut connection, &key)?);
            }
        }
        Ok(leftovers)
    }

    /// How many dead letters are kept.
    pub fn dead_letters(&self) -> anyhow::Result<Vec<String>> {
        let mut letters = Vec::new();
        for master in self.masters() {
            let mut connection = connect(&master)?;
            for key in keys(&mut connection)?.into_iter().filter(|key| key.ends_with(":dead")) {
                let entries: redis::Value =
                    cmd("XRANGE").arg(&key).arg("-").arg("+").query(&mut connection)?;
                if let redis::Value::Array(entries) = entries {
                    letters.extend(entries.iter().map(|entry| format!("{entry:?}")));
                }
            }
        }
        Ok(letters)
    }
}

/// Sends a signal to the server at `address`.
pub fn signal(process: &str, name: &str) -> anyhow::Result<()> {
    let sent = Command::new("kill").args([name, process]).status().context("cannot run kill")?;
    ensure!(sent.success(), "no process {process}");
    Ok(())
}

/// One field of INFO, such as `process_id`.
pub fn info(address: &str, field: &str) -> anyhow::Result<String> {
    let all: String = ask(address, "INFO")?;
    let mut lines = all.lines().filter_map(|line| line.split_once(':'));
    let value = lines.find(|(name, _)| *name == field).map(|(_, value)| value.trim().to_owned());
    value.with_context(|| format!("INFO of {address} has no {field}"))
}

fn connect(address: &str) -> anyhow::Result<Connection> {
    let url = format!("redis://{}@{address}", login_of(HARNESS));
    let connection = Client::open(url)?.get_connection_with_timeout(PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    Ok(connection)
}

fn ask<T: FromRedisValue>(address: &str, words: &str) -> anyhow::Result<T> {
    let mut words = words.split(' ');
    let mut command = cmd(words.next().unwrap_or_default());
    words.for_each(|word| _ = command.arg(word));
    Ok(command.query(&mut connect(address)?)?)
}

fn keys(connection: &mut Connection) -> anyhow::Result<BTreeSet<String>> {
    let (mut all, mut cursor) = (BTreeSet::new(), 0_u64);
    loop {
        let (next, some): (u64, Vec<String>) =
            cmd("SCAN").arg(cursor).arg("COUNT").arg(1000).query(connection)?;
        all.extend(some);
        cursor = next;
        if cursor == 0 {
            return Ok(all);
        }
    }
}

fn leftover(connection: &mut Connection, key: &str) -> anyhow::Result<Option<Leftover>> {
    let kind: String = cmd("TYPE").arg(key).query(connection)?;
    let last = key.rsplit(':').next().unwrap_or_default();
    let held = match (kind.as_str(), last) {
        // Each process tries now and then whether it may write.
        ("string", "lease") if key.contains(":pulse-") => None,
        ("string", "lease") => cmd("GET").arg(key).query::<Option<String>>(connection)?,
        ("string", "sample") => Some("bytes".to_owned()),
        (_, "waiters") => Some("waiters".to_owned()),
        ("hash", "queued") => length(connection, "HLEN", key)?,
        // What is kept of mails for people.
        ("stream", "dead" | "mails") => None,
        ("stream", _) => unfinished(connection, key)?,
        ("string", "bytes") => cmd("GET").arg(key).query::<Option<String>>(connection)?.filter(|n| n != "0"),
        _ => None,
    };
    let Some(held) = held else { return Ok(None) };
    let ttl: i64 = cmd("PTTL").arg(key).query(connection)?;
    // -2: it expired while we looked.
    Ok((ttl != -2).then(|| Leftover { what: format!("{key}: {held} (PTTL {ttl})"), expires: ttl >= 0 }))
}

fn length(connection: &mut Connection, command: &str, key: &str) -> anyhow::Result<Option<String>> {
    let length: u64 = cmd(command).arg(key).query(connection)?;
    Ok((length > 0).then(|| format!("{length} entries")))
}

/// Entries of a stream that nobody has acknowledged, and claims whose entries are gone.
fn unfinished(connection: &mut Connection, key: &str) -> anyhow::Result<Option<String>> {
    let pending = cmd("XPENDING")
        .arg(key)
        .arg("workers")
        .query::<(u64, redis::Value, redis::Value, redis::Value)>(connection);
    let pending = pending.map_or(0, |(count, ..)| count);
    let waiting = length(connection, "XLEN", key)?;
    Ok(match (waiting, pending) {
        (None, 0) => None,
        (waiting, pending) => Some(format!("{} waiting, {pending} claims", waiting.unwrap_or_default())),
    })
}

/// `127.0.0.1:6379` of an address that says more.
fn authority(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default().to_owned()
}

fn lock(server: &Mutex<RedisServer>) -> std::sync::MutexGuard<'_, RedisServer> {
    server.lock().unwrap_or_else(PoisonError::into_inner)
}
