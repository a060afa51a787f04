// SPDX-License-Identifier: GPL-3.0-or-later
//! `cargo faults`, or `tests/run faults`: the fault suite. Exit status 0: nothing happened that must not.

use clap::Parser;
use std::{path::PathBuf, process::ExitCode};
use thundergate_faults::{Options, RedisSort, kind::Kind, run};
use tokio::signal::unix::{SignalKind, signal};

/// Mails through a whole site while everything in it fails now and then, and a checker.
#[derive(Parser)]
struct Arguments {
    /// Decides the faults, their times and targets, and the mails; default: another one each time.
    #[arg(long)]
    seed: Option<u64>,
    /// How many mails, evenly over the time of the faults.
    #[arg(long, default_value_t = 20_000)]
    mails: u32,
    /// How long faults are done; every kind is done once in any case, which takes about two minutes. Of twins: in all
    /// runs with hostile mails together.
    #[arg(long, default_value_t = 4.0)]
    minutes: f64,
    /// No faults: 100 distinct attachments, each of which must be uploaded exactly once.
    #[arg(long)]
    no_faults: bool,
    /// Only these kinds of faults, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Kind>,
    /// Each seed twice, with hostile mails and without, to see what they do to others.
    #[arg(long, conflicts_with_all = ["no_faults", "defaults"])]
    twin: bool,
    /// With how many seeds twins are run, the first of which is `--seed`.
    #[arg(long, default_value_t = 2)]
    seeds: u32,
    /// Tells of every sample that was scanned more than once.
    #[arg(long)]
    verbose: bool,
    /// The programs' own time-outs instead of short ones.
    #[arg(long)]
    defaults: bool,
    /// More of the milters' configuration, in dotted keys: 'policy.on.unavailable = "accept"' must be noticed.
    #[arg(long, default_value = "")]
    milter: String,
    /// What Redis is.
    #[arg(long, value_enum, default_value_t)]
    redis: RedisSort,
    /// Without Postfix, which needs root.
    #[arg(long)]
    no_postfix: bool,
    /// With `redis.secret_file`: what is kept in Redis is sealed.
    #[arg(long)]
    sealed: bool,
    /// A directory with programs of another version. All begin as these, and each SIGTERM replaces one by the other
    /// version: an upgrade, and the way back, one program after the other.
    #[arg(long, value_name = "DIR")]
    upgrade_from: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = Options {
        seed: arguments.seed.unwrap_or_else(|| fastrand::u64(..1_000_000)),
        mails: arguments.mails.clamp(1, 1_000_000),
        minutes: arguments.minutes.clamp(0.0, 60.0),
        no_faults: arguments.no_faults,
        only: arguments.only,
        twin: arguments.twin,
        seeds: arguments.seeds.clamp(1, 100),
        verbose: arguments.verbose,
        defaults: arguments.defaults,
        milter: arguments.milter,
        redis: arguments.redis,
        postfix: !arguments.no_postfix,
        sealed: arguments.sealed,
        upgrade_from: arguments.upgrade_from,
    };
    let mut terminated = signal(SignalKind::terminate()).expect("SIGTERM can be waited for");
    // Whoever interrupts drops the run, and the run's values stop what they started.
    tokio::select! {
        ran = run(&options) => match ran {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("faults: {error:#}");
                ExitCode::FAILURE
            }
        },
        _ = tokio::signal::ctrl_c() => ExitCode::from(130),
        _ = terminated.recv() => ExitCode::from(143),
    }
}
