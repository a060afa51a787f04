// SPDX-License-Identifier: GPL-3.0-or-later
//! The command line's definition.

use super::sample;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use thundergate_common::{record::seen::Sought, sample::SampleKey};

/// Scans what the milters put into the queue, and shows what goes on between them and the scanners.
#[derive(Debug, Parser)]
#[command(name = "thundergate-worker", version)]
pub struct Cli {
    /// The configuration; default: /etc/thundergate/worker.toml if there is one, else the built-in defaults.
    #[arg(long, global = true, value_name = "FILE", env = "THUNDERGATE_CONFIG")]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take jobs from the queue and have them scanned, until SIGTERM.
    Serve,
    /// Say whether the configuration is right, and print what holds in the end, without passwords. Exit status 0 or 78.
    Check(CheckArgs),
    /// Ask the worker that runs here, at its admin address, whether it lives: for the health check of a container. Exit
    /// status 0, or 1 with the reason.
    Health {
        /// Ask whether it can do its work.
        #[arg(long)]
        ready: bool,
    },
    /// Ask every Thunderstorm server how it is.
    Farm(Output),
    /// Show what waits, what is being scanned and what was given up; try that again or drop it.
    Queue(QueueArgs),
    /// Show the signature version that the farm has reached, or make older verdicts stale by hand.
    Generation(GenerationArgs),
    /// Show or forget what is known of a sample.
    Verdict(VerdictArgs),
    /// Show which mails held a sample, of the last two days at most.
    Seen {
        /// DIGEST, under any name, or DIGEST.EXTENSION
        #[arg(value_parser = sample::sought)]
        sample: Sought,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Clone, Copy, Debug, Args)]
pub struct Output {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, Args)]
pub struct CheckArgs {
    /// Ask, too: Redis, every scanner, and this host for each file, folder and address that the configuration names. A line
    /// a finding, and below it what to do. Changes nothing, and is over within 10 s. Run as root, it goes on as the user
    /// thundergate. What the unit sets in its environment is not known here; `thundergate check` asks the service. Exit
    /// status 78: something is wrong, 69: something is not available.
    #[arg(long)]
    pub connect: bool,
    /// Have every scanner scan a harmless file that it must find, too; its log says `thundergate-check`.
    #[arg(long, requires = "connect")]
    pub scan: bool,
    /// Print JSON.
    #[arg(long, requires = "connect")]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct QueueArgs {
    #[command(flatten)]
    pub output: Output,
    #[command(subcommand)]
    pub action: Option<QueueAction>,
}

#[derive(Debug, Subcommand)]
pub enum QueueAction {
    /// Have the samples of dead letters scanned once more, as far as their bytes are still there (queue.sample_ttl). Nothing
    /// is held against them any longer (queue.failed_ttl).
    Retry(Which),
    /// Forget dead letters.
    Drop(Which),
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct GenerationArgs {
    #[command(flatten)]
    pub output: Output,
    #[command(subcommand)]
    pub action: Option<GenerationAction>,
}

#[derive(Debug, Subcommand)]
pub enum GenerationAction {
    /// Show it.
    Show(Output),
    /// Custom rules have changed, which no version shows: clean verdicts from before now are stale.
    Bump(Output),
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct VerdictArgs {
    /// DIGEST or DIGEST.EXTENSION
    #[arg(value_parser = sample::parse, required = true)]
    pub sample: Option<SampleKey>,
    #[command(flatten)]
    pub output: Output,
    #[command(subcommand)]
    pub action: Option<VerdictAction>,
}

#[derive(Debug, Subcommand)]
pub enum VerdictAction {
    /// Show it.
    Show {
        /// DIGEST or DIGEST.EXTENSION
        #[arg(value_parser = sample::parse)]
        sample: SampleKey,
        #[command(flatten)]
        output: Output,
    },
    /// Forget it: the next mail with this sample has it scanned again.
    Forget {
        /// DIGEST or DIGEST.EXTENSION
        #[arg(value_parser = sample::parse)]
        sample: SampleKey,
    },
}

/// Which dead letters.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// Their ids, as `queue` prints them.
    #[arg(value_name = "ID")]
    pub(super) ids: Vec<String>,
    /// All of them.
    #[arg(long)]
    pub(super) all: bool,
}
