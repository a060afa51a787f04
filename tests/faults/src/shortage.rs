// SPDX-License-Identifier: GPL-3.0-or-later
//! What runs out while everything lives: room in Redis, its leave to write, whoever reads a log, descriptors, connections.

use super::{backend::Backend, kind::Kind, process::Revenant, site::CONNECTIONS};
use anyhow::{Context as _, ensure};
use std::{fs, process::Command, time::Duration};
use thundergate_harness::mta::Mta;
use tokio::{task::block_in_place, time::sleep};

/// Less than an empty server takes.
const NO_MEMORY: &str = "1mb";
/// What Redis would write its data to, in its directory.
const SAVED: &str = "dump.rdb";
/// A port that nobody listens at: a replica waits for its master for ever.
const NOBODY: &str = "1";
/// A save that fails is over by then.
const SAVING: Duration = Duration::from_millis(300);
/// Files that a milter may still open: it goes on with what it has, and a connection more is too many.
const SPARE: usize = 2;

/// Redis takes no writes for a while.
pub async fn of_redis(backend: &Backend, kind: Kind, lasts: Duration) -> anyhow::Result<()> {
    match kind {
        Kind::RedisFull => {
            let before = block_in_place(|| maxmemory(backend))?;
            told(backend, &["CONFIG", "SET", "maxmemory", NO_MEMORY])?;
            sleep(lasts).await;
            told(backend, &["CONFIG", "SET", "maxmemory", &before])
        }
        Kind::RedisReadOnly => {
            told(backend, &["REPLICAOF", "127.0.0.1", NOBODY])?;
            sleep(lasts).await;
            told(backend, &["REPLICAOF", "NO", "ONE"])
        }
        _ => {
            // A directory is where the file is to be: saving fails, whoever the server runs as.
            let in_the_way = backend.directory()?.join(SAVED);
            fs::create_dir_all(&in_the_way)?;
            told(backend, &["CONFIG", "SET", "save", "3600 1"])?;
            told(backend, &["BGSAVE"])?;
            sleep(lasts.max(SAVING)).await;
            told(backend, &["CONFIG", "SET", "save", ""])?;
            fs::remove_dir(in_the_way).context("something stands in the directory")
        }
    }
}

/// Nobody reads what these write.
pub async fn of_readers(programs: &[&Revenant], lasts: Duration) {
    for program in programs {
        program.read(false).await;
    }
    sleep(lasts).await;
    for program in programs {
        program.read(true).await;
    }
}

/// A program may open no more files than it has, but for [`SPARE`].
pub async fn of_descriptors(program: &Revenant, lasts: Duration) -> anyhow::Result<()> {
    let Some(id) = program.id().await else { return Ok(()) };
    let (before, open) = (soft_limit(id)?, fs::read_dir(format!("/proc/{id}/fd"))?.count());
    limit(id, &(open + SPARE).to_string())?;
    sleep(lasts).await;
    // One that was stopped meanwhile has its limit from its successor's start.
    limit(id, &before).or_else(|error| if is_running(id) { Err(error) } else { Ok(()) })
}

/// Idle connections, as many as a milter accepts.
pub async fn of_connections(address: &str, lasts: Duration) -> anyhow::Result<()> {
    let mut idle = Vec::new();
    let filling = async {
        while idle.len() < CONNECTIONS {
            idle.push(Mta::connect(address).await?);
        }
        anyhow::Ok(())
    };
    // The last ones find no place, since senders have some, and wait for it.
    tokio::time::timeout(lasts, filling).await.unwrap_or(Ok(()))?;
    sleep(lasts / 2).await;
    Ok(())
}

fn told(backend: &Backend, words: &[&str]) -> anyhow::Result<()> {
    block_in_place(|| backend.command(words)).map(drop).with_context(|| words.join(" "))
}

fn maxmemory(backend: &Backend) -> anyhow::Result<String> {
    let pair: (String, String) =
        redis::from_redis_value(backend.command(&["CONFIG", "GET", "maxmemory"])?)?;
    Ok(pair.1)
}

fn limit(id: u32, most: &str) -> anyhow::Result<()> {
    let (process, files) = (id.to_string(), format!("--nofile={most}:"));
    let set = Command::new("prlimit").args(["--pid", &process, &files]).status()?;
    ensure!(set.success(), "prlimit cannot limit {id}");
    Ok(())
}

fn soft_limit(id: u32) -> anyhow::Result<String> {
    let limits = fs::read_to_string(format!("/proc/{id}/limits"))?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    soft.map(str::to_owned).context("no limit of open files")
}

fn is_running(id: u32) -> bool {
    fs::exists(format!("/proc/{id}")).unwrap_or(false)
}
