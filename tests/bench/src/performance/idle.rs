// SPDX-License-Identifier: GPL-3.0-or-later
//! Connections that do nothing, and connections that send a byte a second.

use super::{KIB, MIB, Run, middle, programs, ratio};
use crate::load::{run_beside, usage::Usage};
use anyhow::Context as _;
use nix::sys::resource::{Resource, getrlimit};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};
use tokio::task::JoinSet;

const IDLE: usize = 10_000;
const SLOW: usize = 500;
/// What Postfix offers.
const NEGOTIATION: &[u8] = b"\0\0\0\x0dO\0\0\0\x06\0\0\x01\xff\0\x1f\xff\xff";
/// The macros of a CONNECT that never comes to its end.
const ENDLESS: &[u8] = b"\0\0\x0f\xffDCj\0mta.test.example\0{daemon_name}\0smtpd\0v\0";
const WATCHED: Duration = Duration::from_secs(5);

pub async fn measure(run: &mut Run) -> anyhow::Result<()> {
    let scanner = programs::scanner(Duration::ZERO).await;
    let farm = programs::farm(&scanner);
    let ours = programs::milter(&format!("limits.connections = {}\n{farm}", IDLE + 2000))?;
    idle(run, &ours).await?;
    slow(run, &ours.address()?).await
}

async fn idle(run: &mut Run, ours: &programs::Started) -> anyhow::Result<()> {
    let (files, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let count = IDLE.min(usize::try_from(files)?.saturating_sub(500));
    let before = Usage::of(&ours.process());
    let mut connections = Vec::new();
    for number in 0..count {
        if number % 2500 == 0 {
            eprintln!("idle connections: {number} of {count}");
        }
        connections.push(open(&ours.address()?)?);
    }
    let open = Usage::of(&ours.process());
    tokio::time::sleep(WATCHED).await;
    let after = Usage::of(&ours.process());
    let each = (open.resident.saturating_sub(before.resident)) as f64 / count as f64 / KIB as f64;
    let cpu = (after.cpu - open.cpu).as_secs_f64() / WATCHED.as_secs_f64() * 100.0;
    let measured = format!(
        "{each:.1} KiB each, {:.0} MiB in all; {cpu:.2} % of a core",
        after.resident as f64 / MIB as f64
    );
    run.say(5, format!("{count} idle connections"), measured, "", None, vec![each, cpu, count as f64]);
    Ok(())
}

async fn slow(run: &mut Run, address: &str) -> anyhow::Result<()> {
    let plan = run.plan(address, 100 * KIB, 8, &[])?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 1..=run.rounds {
        eprintln!("slow peers: round {round} of {}", run.rounds);
        without.push(run_beside(&plan).await?);
        let mut slow = JoinSet::new();
        let connections = (0..SLOW).map(|_| open(address)).collect::<anyhow::Result<Vec<_>>>()?;
        slow.spawn(drip(connections));
        with.push(run_beside(&plan).await?);
        slow.shutdown().await;
    }
    let rate = ratio(&with, &without, |report| report.messages_per_second);
    let p99 = ratio(&with, &without, |report| report.after_end.p99);
    let [alone, beside] = [&without, &with].map(|all| middle(all, |report| report.messages_per_second));
    run.say(
        5,
        format!("8 connections, 100 KiB, beside {SLOW} slow ones"),
        format!("{beside:.0}/s of {alone:.0}/s = {rate:.2}; p99 {p99:.2} times"),
        "at least 0.9; p99 at most 1.5",
        Some(rate >= 0.9 && p99 <= 1.5),
        vec![rate, p99, beside, alone],
    );
    Ok(())
}

/// Each of them sends a byte a second.
async fn drip(mut connections: Vec<TcpStream>) {
    for byte in ENDLESS.iter().cycle() {
        // One that the milter has closed is none of our business.
        connections.retain_mut(|connection| connection.write_all(&[*byte]).is_ok());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// A connection, negotiated.
fn open(address: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address.trim_start_matches("inet:"))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(NEGOTIATION)?;
    stream.read_exact(&mut [0; 17]).context("the milter does not negotiate")?;
    Ok(stream)
}
