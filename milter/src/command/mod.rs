// SPDX-License-Identifier: GPL-3.0-or-later
//! The command line: what each subcommand does, and how a process is put together of the rest. Nothing else knows it.
//!
//! Exit statuses are those of sysexits.h: 64 wrong usage, 66 a file that cannot be read, 69 what is needed is not
//! available, 78 wrong configuration; and 1 where a message would not be accepted or the milter is not healthy.

pub(crate) mod assembly;
mod check;
pub mod cli;
pub(crate) mod desk;
pub mod explain;
pub mod reload;
pub mod scan;
pub mod serve;
pub mod standalone;
pub mod status;

use crate::config::{Config, migrate};
use clap::Parser as _;
use cli::{Cli, Command};
use serve::{Passed, Server};
use std::{
    ffi::OsString,
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};
use thundergate_common::{
    api::check::Wanted,
    config::ConfigError,
    exit::{CONFIG, NO_INPUT, UNAVAILABLE, USAGE},
    health::{self, HealthError},
    hub::redis::Redis,
    shutdown::{Hangups, Shutdown},
    telemetry::{self, TelemetryError},
    traces,
};

/// What `check` finds wrong with the place of the log. A service that is started there is started again: a file system may
/// be mounted later.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Unwritable(TelemetryError);

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
    match dispatch(cli).await {
        Ok(status) => status.into(),
        Err(error) => {
            eprintln!("thundergate-milter: {error:#}");
            status_of(&error).into()
        }
    }
}

async fn dispatch(cli: Cli) -> anyhow::Result<u8> {
    let config = || Config::load(cli.config.as_deref());
    match cli.command {
        Command::Serve => serve_mail(&config()?, cli.config).await,
        Command::Check { connect: false, .. } => check(&config()?),
        Command::Check { connect: true, scan, json } => {
            // Boxed: the future asks everything at once, and is large.
            let looking = Box::pin(check::connected(cli.config.as_deref(), Wanted { scan }, json));
            let (text, status) = looking.await?;
            print(&text);
            Ok(status)
        }
        Command::Scan { json, explain: true, files } => explain_files(&config()?, &files, json),
        Command::Scan { json, explain: false, files } => scan_files(config()?, &files, json).await,
        Command::Health { ready } => {
            print(&format!("{}\n", health::ask(&config()?.admin, ready).await?));
            Ok(0)
        }
        Command::Migrate { file } => migrate_file(&file),
    }
}

fn check(config: &Config) -> anyhow::Result<u8> {
    let advice = config.redis.as_ref().and_then(Redis::advice).into_iter().chain(config.admin.advice());
    advice.for_each(|advice| eprintln!("note: {advice}"));
    if let Some(advice) = crate::check::needs(config).provide()?.advice {
        eprintln!("note: here {advice}");
    }
    telemetry::check_folder(&config.log).map_err(Unwritable)?;
    print(&config.to_toml());
    Ok(0)
}

async fn serve_mail(config: &Config, file: Option<PathBuf>) -> anyhow::Result<u8> {
    let passed = Passed::take()?;
    let logs = telemetry::init(&config.log)?;
    let _traces = traces::init(&config.traces, "thundergate-milter")?;
    let shutdown = Shutdown::install()?.grace(config.grace);
    let source = reload::Source { file, log: logs.control(), hangups: Hangups::install()? };
    Server::bind(config, passed).await?.reloading(source).run(shutdown).await;
    Ok(0)
}

async fn scan_files(mut config: Config, files: &[PathBuf], json: bool) -> anyhow::Result<u8> {
    // The answers go to stdout; the log would stand between them.
    config.log.level = "off".to_owned();
    config.log.file.clear();
    let _logs = telemetry::init(&config.log)?;
    let mut out = io::stdout();
    let scanned = scan::run(&config, files, json, &mut out).await;
    match scanned.and_then(|ended| Ok(out.flush().map(|()| ended)?)) {
        Ok(scan::Ended::Accepted) => Ok(0),
        Ok(scan::Ended::Otherwise) => Ok(1),
        Ok(scan::Ended::Impossible) => Ok(UNAVAILABLE),
        Err(error) if is_broken_pipe(&error) => Ok(0),
        Err(error) => Err(error),
    }
}

fn explain_files(config: &Config, files: &[PathBuf], json: bool) -> anyhow::Result<u8> {
    let mut out = BufWriter::new(io::stdout().lock());
    match explain::run(config, files, json, &mut out).and_then(|()| Ok(out.flush()?)) {
        Err(error) if is_broken_pipe(&error) => Ok(0),
        explained => explained.map(|()| 0),
    }
}

fn migrate_file(file: &Path) -> anyhow::Result<u8> {
    let migrated = migrate::read(file)?;
    for warning in &migrated.warnings {
        eprintln!("note: {warning}");
    }
    print(&migrated.toml);
    Ok(0)
}

/// Whoever closed the pipe (`… | head`) wanted no more.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// See [`print`].
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn status_of(error: &anyhow::Error) -> u8 {
    if error.is::<ConfigError>() || error.is::<Unwritable>() {
        CONFIG
    } else if error.is::<HealthError>() {
        1
    } else if error.is::<scan::Unreadable>() {
        NO_INPUT
    } else {
        UNAVAILABLE
    }
}
