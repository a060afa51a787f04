// SPDX-License-Identifier: GPL-3.0-or-later
//! `cargo load`: the MTA's side of the milter protocol, over and over, to a milter that runs.
//!
//! Without `--rate` every connection sends its next message when it has its answer (a closed loop); with it, so many a
//! second are due whether the milter keeps up or not (an open loop), and latencies count from when they were due.
//! Exit status 69: there is no milter.

use anyhow::Context as _;
use bytesize::ByteSize;
use clap::Parser;
use std::{path::PathBuf, process::ExitCode, time::Duration};
use thundergate_bench::load::{self, Length, Look, Mix, Plan, Process, Unreachable};
use thundergate_milter::front::milter::Listen;

/// What is needed is not available (EX_UNAVAILABLE).
const UNAVAILABLE: u8 = 69;

/// Sends messages to a milter as an MTA does, and prints rates, latencies and decisions.
#[derive(Parser)]
struct Arguments {
    /// Where the milter listens, in Postfix's spelling: inet:host:port, unix:/path.
    #[arg(default_value = "inet:127.0.0.1:11337", value_parser = address)]
    milter: Listen,
    /// Connections at a time, each sending one message after the other.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Threads that drive them.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// How long messages count.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600), conflicts_with = "messages")]
    seconds: u64,
    /// How many messages count, in place of a time.
    #[arg(long)]
    messages: Option<u64>,
    /// Sizes of an attachment before its base64 encoding, separated by commas: 1024, 100KiB, 1MB. They take turns.
    #[arg(long, default_value = "100KiB", value_delimiter = ',')]
    size: Vec<ByteSize>,
    /// Attachments of a message.
    #[arg(long, default_value_t = 1)]
    attachments: usize,
    /// A message to send as it is, in place of ones with attachments.
    #[arg(long, value_name = "FILE")]
    message: Option<PathBuf>,
    /// Share of messages with known attachments; those of the others are new each time.
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0)]
    repeats: f64,
    /// How many different messages with known attachments there are of each size.
    #[arg(long, default_value_t = 1)]
    pool: u64,
    /// Each attachment has a file name of its own.
    #[arg(long)]
    distinct_names: bool,
    /// No plain text before the attachments.
    #[arg(long)]
    no_body: bool,
    /// Messages a second, however long the answers take.
    #[arg(long)]
    rate: Option<f64>,
    /// Do not send each known attachment once before the others.
    #[arg(long)]
    no_prepare: bool,
    /// For so many seconds messages are sent and do not count.
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    warm_up: u64,
    /// Then a connection ends and another takes its place; 0: never.
    #[arg(long, default_value_t = 0)]
    messages_per_connection: u64,
    /// Share of messages that are given up in their middle.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    abort_percent: f64,
    /// SMFIC_ABORT after every message too.
    #[arg(long)]
    abort_between: bool,
    /// How many seconds a reply may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
    /// A process whose CPU time and memory are of interest. Can be repeated.
    #[arg(long, value_name = "[NAME=]PID", value_parser = process)]
    pid: Vec<Process>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

fn address(text: &str) -> Result<Listen, String> {
    Listen::try_from(text.to_owned()).map_err(|error| error.to_string())
}

fn process(text: &str) -> Result<Process, std::num::ParseIntError> {
    let (name, id) = text.split_once('=').unwrap_or((text, text));
    Ok(Process { name: name.to_owned(), id: id.parse()? })
}

impl Arguments {
    fn plan(self) -> anyhow::Result<Plan> {
        let message = self
            .message
            .map(|file| std::fs::read(&file).with_context(|| format!("cannot read {}", file.display())));
        let look =
            Look { attachments: self.attachments, text: !self.no_body, distinct_names: self.distinct_names };
        let mix = Mix {
            sizes: self.size.iter().map(|size| usize::try_from(size.as_u64())).collect::<Result<_, _>>()?,
            look,
            message: message.transpose()?,
            repeats: self.repeats,
            pool: self.pool,
        };
        let seconds = Length::Time(Duration::from_secs(self.seconds));
        Ok(Plan {
            milter: self.milter,
            connections: self.connections,
            threads: self.threads,
            length: self.messages.map_or(seconds, Length::Messages),
            warm_up: Duration::from_secs(self.warm_up),
            prepare: !self.no_prepare,
            rate: self.rate,
            mix,
            messages_per_connection: self.messages_per_connection,
            abort_percent: self.abort_percent,
            abort_between: self.abort_between,
            timeout: Duration::from_secs(self.timeout),
            processes: self.pid,
            progress: true,
        })
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.json;
    match arguments.plan().and_then(|plan| load::run(&plan)) {
        Ok(report) if json => println!("{}", serde_json::json!(report)),
        Ok(report) => print!("{report}"),
        Err(error) => {
            eprintln!("load: {error:#}");
            return if error.is::<Unreachable>() { UNAVAILABLE.into() } else { ExitCode::FAILURE };
        }
    }
    ExitCode::SUCCESS
}
