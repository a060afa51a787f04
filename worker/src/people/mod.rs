// SPDX-License-Identifier: GPL-3.0-or-later
//! `thundergate`, the people's command: it asks a program that runs, over the HTTP API ([`thundergate_common::api`]), and
//! shows what it says. It holds no secret but a token, and reads no configuration of a daemon. The older names of
//! `thundergate-worker` (`queue`, `farm`, `generation`, `verdict`, `seen`) come here, too.
//!
//! | module | owns |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`door`] | whom to ask |
//! | [`client`] | the questions over HTTP, bounded |
//! | [`error`] | why there is no answer, and exit statuses |
//! | `print`, `table` | what goes to the terminal |
//! | `queue`, `farm`, `generation`, `verdict`, `seen`, `why` with `reason`, `status`, `check` | one subject each |

pub(crate) mod check;
pub mod cli;
pub mod client;
pub mod door;
pub mod error;
mod farm;
mod generation;
pub(crate) mod print;
mod queue;
mod reason;
mod seen;
mod status;
mod table;
#[cfg(test)]
mod tests;
mod verdict;
mod why;

use crate::farm::with_causes;
use clap::Parser as _;
use cli::{Cli, Command, How};
use error::PeopleError;
use std::{ffi::OsString, path::Path, process::ExitCode};
use thundergate_common::exit::USAGE;

/// Does what `args` ask for; the first is the program's name.
pub async fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(answer) => {
            // Help and the version come this way, too.
            let status = if answer.use_stderr() { USAGE } else { 0 };
            let _ = answer.print();
            return status.into();
        }
    };
    match ask(&cli.how, None, cli.command).await {
        Ok(status) => status.into(),
        Err(error) => {
            eprintln!("thundergate: {}", with_causes(&error));
            error.status().into()
        }
    }
}

/// Asks what `command` wants to know, and shows it. `own` is the socket that the loaded configuration has. Returns the exit
/// status.
///
/// # Errors
///
/// There is no answer, or one that says that it was not done.
pub async fn ask(how: &How, own: Option<&Path>, command: Command) -> Result<u8, PeopleError> {
    let json = how.json;
    match command {
        Command::Status => status::show(&how.door.all(own).await?, json).await,
        Command::Check(wanted) => return check::show(&how.door.all(own).await?, wanted.scan, json).await,
        command => {
            let client = how.door.one(own).await?;
            match command {
                Command::Queue(args) => queue::run(&client, args.action, json).await,
                Command::Farm => farm::show(&client, json).await,
                Command::Generation(args) => generation::run(&client, args.action, json).await,
                Command::Verdict(args) => verdict::run(&client, args, json).await,
                Command::Seen(args) => seen::show(&client, args.sample, json).await,
                Command::Why { queue_id } => why::show(&client, queue_id, json).await,
                Command::Status | Command::Check(_) => unreachable!("they ask all programs"),
            }
        }
    }?;
    Ok(0)
}
