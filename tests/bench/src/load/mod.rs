// SPDX-License-Identifier: GPL-3.0-or-later
//! Load: the MTA's side of the milter protocol with as little work as possible, because it shares the machine with what
//! it measures. A test's patience with a milter is [`thundergate_harness::mta`]'s business; here everything is prepared.
//!
//! | module | owns |
//! |---|---|
//! | [`plan`] | what a run is to do |
//! | `message`, `script` | a message with places to fill in, rendered once into what goes over the wire |
//! | `schedule` | which message is next, and when |
//! | `socket`, `connection` | one connection, its writes and the replies in between |
//! | `engine`, `timer` | a thread and its connections |
//! | `watch`, [`usage`] | how far it is, and what processes use meanwhile |
//! | [`tally`], [`report`] | what came of it |
//!
//! The steps of a run: one connection finds out what the milter negotiates, scripts are rendered for that, each known
//! attachment is sent once, messages are sent and not counted for a while, then they count. Messages that are under way
//! at the end get their answers and do not count, unless a rate says when they were due.

mod connection;
mod engine;
mod message;
pub mod plan;
mod probe;
pub mod report;
mod schedule;
mod script;
mod socket;
pub mod tally;
mod timer;
pub mod usage;
mod watch;

pub use message::Look;
pub use plan::{Length, Mix, Plan, Process};
pub use probe::Unreachable;
pub use report::{Latency, Report, Used};

use anyhow::{Context as _, anyhow, ensure};
use engine::{Engine, Live, Scripts, Shared};
use schedule::Preparation;
use std::{
    sync::{Barrier, OnceLock, atomic::Ordering, mpsc},
    thread,
    time::Instant,
};
use tally::Tally;
use watch::Seen;

/// Carries out a plan. Blocks until it is done.
///
/// # Errors
/// [`Unreachable`]: the milter cannot be reached. Others: the plan cannot be carried out, or the milter never knows an
/// attachment or answers no more.
pub fn run(plan: &Plan) -> anyhow::Result<Report> {
    plan.check()?;
    for process in &plan.processes {
        ensure!(usage::exists(process), "there is no process {} ({})", process.id, process.name);
    }
    let address = socket::Address::of(&plan.milter).map_err(|error| Unreachable::new(plan, error))?;
    let agreed = probe::negotiate(plan, &address)?;
    let threads = plan.threads.min(plan.connections);
    let shared = Shared {
        plan,
        address,
        scripts: Scripts::new(plan, agreed),
        preparation: Preparation::new(plan),
        schedule: OnceLock::new(),
        prepared: Barrier::new(threads),
        live: Live::default(),
        salt: fastrand::u64(..) << 40,
    };
    let (tally, seen) = drive(&shared, threads)?;
    ensure!(
        !shared.live.given_up.load(Ordering::Relaxed),
        "the milter does not come to know an attachment, or answers no more: {:?}, {:?}",
        tally.decisions,
        tally.errors
    );
    Ok(report(&shared, tally, seen))
}

/// The same within an asynchronous program.
///
/// # Errors
/// As [`run`].
pub async fn run_beside(plan: &Plan) -> anyhow::Result<Report> {
    let plan = plan.clone();
    tokio::task::spawn_blocking(move || run(&plan)).await?
}

fn drive(shared: &Shared<'_>, threads: usize) -> anyhow::Result<(Tally, Seen)> {
    let (ends, ended) = mpsc::channel();
    let connections = shared.plan.connections;
    let mut engines = Vec::new();
    for number in 0..threads {
        let share = connections / threads + usize::from(number < connections % threads);
        engines.push(Engine::new(shared, share).context("cannot wait for sockets")?);
    }
    thread::scope(|scope| {
        let running: Vec<_> = engines
            .into_iter()
            .map(|engine| {
                let ends = ends.clone();
                scope.spawn(move || {
                    let tally = engine.run();
                    drop(ends);
                    tally
                })
            })
            .collect();
        drop(ends);
        let seen = watch::watch(shared, &ended);
        let mut all = Tally::default();
        for thread in running {
            all.add(&thread.join().map_err(|_| anyhow!("a thread of the load generator failed"))??);
        }
        Ok((all, seen))
    })
}

fn report(shared: &Shared<'_>, mut tally: Tally, seen: Seen) -> Report {
    let plan = shared.plan;
    let schedule = shared.schedule.get();
    let from = schedule.map_or(seen.until, |schedule| schedule.from);
    let until = tally.last.filter(|_| matches!(plan.length, Length::Messages(_))).unwrap_or(seen.until);
    if let Some(schedule) = schedule {
        schedule.waiting(seen.until).for_each(|waited| tally.waited(waited));
    }
    let seconds = until.saturating_duration_since(from).as_secs_f64();
    let messages = tally.decisions.total();
    let mut used = seen.used;
    for used in &mut used {
        used.cpu_ms_per_message = used.cpu_seconds * 1e3 / messages as f64;
    }
    let attachments = plan.mix.look.attachments as u64;
    Report {
        milter: plan.milter.to_string(),
        connections: plan.connections,
        seconds,
        messages,
        messages_per_second: messages as f64 / seconds,
        megabytes_per_second: tally.bytes as f64 / seconds / 1e6,
        bytes_per_message: tally.bytes as f64 / messages as f64,
        after_end: Latency::of(&tally.after_end),
        whole: Latency::of(&tally.whole),
        decisions: tally.decisions,
        aborted: tally.aborted,
        errors: tally.errors,
        reconnects: tally.reconnects,
        outside: tally.outside,
        new_attachments: tally.new * attachments,
        rate: plan.rate,
        backlog: schedule.map_or(0, |schedule| schedule.backlog(Instant::now())),
        backlog_max: seen.backlog_max,
        generator: used.remove(0),
        processes: used,
    }
}
