// SPDX-License-Identifier: GPL-3.0-or-later
//! `cargo performance`: what thundergate promises of its speed beside what was measured, in one run. Ends with status 1
//! where something does not hold. `thundergate_bench::performance` says what is measured, and how.
//!
//! Everything shares this machine's processors, so only an idle one says much.

use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::{path::PathBuf, process::ExitCode};
use thundergate_bench::performance::{Row, Run, SECTIONS};

/// Measures what is promised.
#[derive(Parser)]
struct Arguments {
    /// How often each thing is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each time, in seconds.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Only these sections, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<u32>,
    /// Where to write the rows as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Judges only what is counted, not what is timed: for short runs without optimisation.
    #[arg(long)]
    unjudged: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    rustls::crypto::ring::default_provider().install_default().expect("nobody installed one before");
    // Many connections are many files; the programs that are started inherit it.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let mut run = Run { rounds: arguments.rounds.max(1), seconds: arguments.seconds, rows: Vec::new() };
    let sections = if arguments.only.is_empty() { SECTIONS.to_vec() } else { arguments.only };
    let mut complete = true;
    for section in sections {
        if let Err(error) = run.section(section).await {
            println!("{section} could not be measured: {error:#}");
            complete = false;
        }
    }
    if let Some(file) = arguments.json {
        std::fs::write(file, serde_json::to_vec_pretty(&run.rows)?)?;
    }
    let judged = |row: &&Row| row.counted || !arguments.unjudged;
    let holds = complete && run.rows.iter().filter(judged).all(|row| row.holds != Some(false));
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
