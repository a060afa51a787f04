// SPDX-License-Identifier: GPL-3.0-or-later
//! A stand-in for a THOR Thunderstorm server, as a program: no scanner, for tests and demonstrations.

use anyhow::Context as _;
use clap::Parser;
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use thundergate_harness::thunderstorm::{Fault, Rules, Settings, Shape, Standin};

/// Answers Thunderstorm's HTTP API from a few rules. It is no scanner.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// YARA rules instead of our own; this takes a build with the feature `yara`.
    #[arg(long)]
    rules: Option<PathBuf>,
    /// Samples scanned at a time.
    #[arg(long, default_value_t = 4)]
    threads: usize,
    /// How long a thread is busy with a sample, in milliseconds.
    #[arg(long, default_value_t = 0)]
    service_time_ms: u64,
    /// The signature version to report.
    #[arg(long, default_value = "2026/11/01-120000")]
    signatures: String,
    /// The API to serve: old, v1 or both.
    #[arg(long, default_value = "both", value_parser = shape)]
    shape: Shape,
    /// What goes wrong with every scan, in JSON: '"hang"', '{"status": 500}'.
    #[arg(long, default_value = "\"none\"", value_parser = fault)]
    fault: Fault,
}

fn shape(text: &str) -> serde_json::Result<Shape> {
    serde_json::from_value(text.into())
}

fn fault(text: &str) -> serde_json::Result<Fault> {
    serde_json::from_str(text)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let rules = match &arguments.rules {
        Some(file) => Rules::compile(&std::fs::read_to_string(file).context("cannot read the rules")?)?,
        None => Rules::own(),
    };
    let settings = Settings {
        threads: arguments.threads,
        service_time: Duration::from_millis(arguments.service_time_ms),
        signatures: arguments.signatures,
        shape: arguments.shape,
        ..Settings::default()
    };
    let standin = Standin::start_with(settings, rules, arguments.listen).await.context("cannot listen")?;
    standin.fault(arguments.fault);
    println!("{}", serde_json::json!({ "event": "ready", "url": standin.url() }));
    tokio::select! {
        () = standin.join() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot wait for signals"),
    }
}
