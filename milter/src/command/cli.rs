// SPDX-License-Identifier: GPL-3.0-or-later
//! The command line's definition.

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Milter that has mail attachments scanned by THOR Thunderstorm, once each.
#[derive(Debug, Parser)]
#[command(name = "thundergate-milter", version)]
pub struct Cli {
    /// Configuration file (TOML, or postfix2thunderstorm's YAML). Default: /etc/thundergate/milter.toml if present,
    /// else the built-in defaults. Every key can be overridden as THUNDERGATE_SECTION__KEY in the environment.
    #[arg(long, global = true, value_name = "FILE", env = "THUNDERGATE_CONFIG")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve MTAs until SIGTERM; a second SIGTERM leaves at once.
    Serve,
    /// Validate the configuration and print the effective one, without secrets. Exit status 0 or 78.
    Check,
    /// Take messages in files through the same path, without an MTA. Exit status 0: all accepted, 1: any other
    /// decision, 69: scan impossible, 66: a file cannot be read.
    Scan {
        /// Print a JSON object a file instead of text.
        #[arg(long)]
        json: bool,
        /// Scan nothing: print how the messages are taken apart, every reading and every sample with the reason for it.
        /// Needs neither scanner nor Redis. Exit status 0, or 66.
        #[arg(long)]
        explain: bool,
        /// Messages as an MTA would hand them over (RFC 5322); `-` is standard input.
        #[arg(required = true, value_name = "FILE.eml")]
        files: Vec<PathBuf>,
    },
    /// Ask the milter that runs here, at its admin address, whether it lives: for the health check of a container. Exit
    /// status 0, or 1 with the reason.
    Health {
        /// Ask whether it can do its work.
        #[arg(long)]
        ready: bool,
    },
    /// Print milter.toml for a postfix2thunderstorm configuration, with what changes in meaning on stderr.
    Migrate {
        /// postfix2thunderstorm's configuration.
        #[arg(value_name = "p2t.config.yaml")]
        file: PathBuf,
    },
}
