// SPDX-License-Identifier: GPL-3.0-or-later
//! rspamd between a stand-in for clamd and a Redis of its own, as a program: what `cargo load` is pointed at for a
//! comparison. Prints where it takes mail and which processes work for it, the scanner left out, until it is interrupted.

use anyhow::{Context as _, ensure};
use clap::Parser;
use std::time::Duration;
use thundergate_harness::{
    clamd::{Clamd, Settings},
    redis::RedisServer,
    rspamd::{Options, Rspamd},
};
use tokio::signal::unix::{SignalKind, signal};

/// Runs rspamd to be measured.
#[derive(Parser)]
struct Arguments {
    /// Processes that take mail where it is tuned; as many as there are cores unless told otherwise.
    #[arg(long)]
    workers: Option<usize>,
    /// As its package is installed, and not tuned.
    #[arg(long)]
    as_installed: bool,
    /// Samples scanned at a time.
    #[arg(long, default_value_t = 4)]
    threads: usize,
    /// How long a thread of the scanner is busy with a sample, in milliseconds.
    #[arg(long, default_value_t = 0)]
    service_time_ms: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    ensure!(Rspamd::is_installed(), "Debian's package rspamd is not installed");
    let service_time = Duration::from_millis(arguments.service_time_ms);
    let clamd = Clamd::start(Settings { threads: arguments.threads, service_time }).await?;
    let redis = RedisServer::start_open()?;
    let usual = Options::default();
    let workers = arguments.workers.unwrap_or(usual.workers);
    let options = Options { workers, as_installed: arguments.as_installed, ..usual };
    let rspamd = Rspamd::start(clamd.address(), &redis.bare_unix_url(), options).await?;
    let pids: Vec<u32> = rspamd.pids().into_iter().chain(redis.id()).collect();
    println!(
        "{}",
        serde_json::json!({
            "event": "ready", "inet": rspamd.address(), "unix": rspamd.unix_address(), "pids": pids,
        })
    );
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot wait for signals")?,
        _ = terminated.recv() => (),
    }
    println!("{}", serde_json::json!({ "event": "ended", "scans": clamd.scans(), "log": rspamd.log() }));
    Ok(())
}
