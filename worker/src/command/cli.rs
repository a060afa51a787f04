// SPDX-License-Identifier: GPL-3.0-or-later
//! The command line's definition.

use crate::people::cli::{GenerationArgs, How, QueueArgs, SampleArgs, VerdictArgs};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Scans what the milters put into the queue. What goes on between them and the scanners, `thundergate` shows.
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
    /// As thundergate farm, of the worker that runs here.
    Farm(How),
    /// As thundergate queue, of the worker that runs here.
    Queue {
        #[command(flatten)]
        how: How,
        #[command(flatten)]
        args: QueueArgs,
    },
    /// As thundergate generation, of the worker that runs here.
    Generation {
        #[command(flatten)]
        how: How,
        #[command(flatten)]
        args: GenerationArgs,
    },
    /// As thundergate verdict, of the worker that runs here.
    Verdict {
        #[command(flatten)]
        how: How,
        #[command(flatten)]
        args: VerdictArgs,
    },
    /// As thundergate seen, of the worker that runs here.
    Seen {
        #[command(flatten)]
        how: How,
        #[command(flatten)]
        args: SampleArgs,
    },
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
