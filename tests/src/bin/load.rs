// SPDX-License-Identifier: GPL-3.0-or-later
//! `cargo load`: the MTA's side of the milter protocol in a closed loop. Every connection sends one message after the
//! other with the same attachment, so that all but the first are answered from memory, and waits for each reply.
//!
//! Prints messages per second and percentiles of the end-of-message reply. Bounded by `--seconds`.

use anyhow::{Context, ensure};
use clap::Parser;
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};
use thundergate_tests::harness::{
    mails::{mail, noise},
    mta::{Mail, Mta},
};
use tokio::task::JoinSet;

/// Sends messages with a known attachment to a milter, over and over.
#[derive(Parser)]
struct Arguments {
    /// Where the milter listens, in Postfix's spelling.
    #[arg(default_value = "inet:127.0.0.1:11337")]
    milter: String,
    /// Size of the attachment in bytes, before its base64 encoding.
    #[arg(long, default_value_t = 102_400)]
    size: usize,
    /// Connections at a time, each sending one message after the other.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// How long to send.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

/// What one connection saw.
struct Seen {
    replies: Histogram<u64>,
    refused: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    ensure!((1..=3600).contains(&arguments.seconds), "--seconds takes 1 to 3600");
    let message = mail().attach("known.bin", "application/octet-stream", noise(7, arguments.size)).bytes();
    let mail = Mail::of(message);
    // The first one makes the attachment known.
    Mta::connect(&arguments.milter).await.context("cannot reach the milter")?.send(&mail).await?;

    let began = Instant::now();
    let end = began + Duration::from_secs(arguments.seconds);
    let mut connections = JoinSet::new();
    for _ in 0..arguments.connections {
        connections.spawn(send_until(end, arguments.milter.clone(), mail.clone()));
    }
    let mut all = Seen { replies: Histogram::new(3)?, refused: 0 };
    while let Some(seen) = connections.join_next().await {
        let seen = seen??;
        all.replies.add(&seen.replies)?;
        all.refused += seen.refused;
    }
    let rate = all.replies.len() as f64 / began.elapsed().as_secs_f64();
    let milliseconds =
        |quantile: f64| Duration::from_nanos(all.replies.value_at_quantile(quantile)).as_secs_f64() * 1e3;
    println!(
        "{:>9} bytes {:>3} connections: {rate:>8.0} messages/s, end-of-message reply p50 {:.2} ms, p99 {:.2} ms, refused {}",
        arguments.size,
        arguments.connections,
        milliseconds(0.5),
        milliseconds(0.99),
        all.refused,
    );
    Ok(())
}

async fn send_until(end: Instant, milter: String, mail: Mail) -> anyhow::Result<Seen> {
    let mut mta = Mta::connect(&milter).await?;
    let mut seen = Seen { replies: Histogram::new(3)?, refused: 0 };
    while Instant::now() < end {
        let reply = mta.send(&mail).await?;
        seen.replies.record(u64::try_from(reply.eom_latency.as_nanos())?)?;
        seen.refused += u64::from(!reply.delivers());
    }
    mta.quit().await?;
    Ok(seen)
}
