// SPDX-License-Identifier: GPL-3.0-or-later
//! The command line's definition.

use crate::people::cli::{GenerationArgs, How, QueueArgs, SampleArgs, VerdictArgs};
use clap::{Parser, Subcommand};
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
    /// Say whether the configuration is right, and print what holds in the end, without passwords.
    Check,
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
