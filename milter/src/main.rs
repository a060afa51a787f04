// SPDX-License-Identifier: GPL-3.0-or-later
//! The process `thundergate-milter`: arguments, logs, signals, exit status (sysexits.h).

use anyhow::Context;
use clap::Parser;
use std::{io::Write, process::ExitCode};
use thundergate_common::{
    config::ConfigError,
    health,
    hub::redis::Redis,
    shutdown::{Hangups, Shutdown},
    telemetry, traces,
};
use thundergate_milter::{
    cli::{Cli, Command, Configured},
    config::Config,
    explain, migrate, reload, scan,
    serve::{Passed, Server},
};

/// Keeps the memory of a large message for the next one, for a while; glibc's gives it back each time, and every page of
/// it has to be got anew.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The command line is wrong (EX_USAGE).
const USAGE: u8 = 64;
/// A file that was named cannot be read (EX_NOINPUT).
const NO_INPUT: u8 = 66;
/// What is needed is not available (EX_UNAVAILABLE).
const UNAVAILABLE: u8 = 69;
/// The configuration is wrong (EX_CONFIG).
const CONFIG: u8 = 78;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    rustls::crypto::ring::default_provider().install_default().expect("nobody installed one before");
    match run(cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("thundergate-milter: {error:#}");
            ExitCode::from(exit_status(&error))
        }
    }
}

fn run(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Serve(configured) => serve_mail(&load(&configured)?, configured.config),
        Command::Check(configured) => {
            let config = load(&configured)?;
            let advice = config.redis.as_ref().and_then(Redis::advice).into_iter();
            let advice = advice.chain(config.admin.advice());
            advice.for_each(|advice| eprintln!("note: {advice}"));
            print(&config.to_toml());
            Ok(0)
        }
        Command::Scan { configured, json, explain: true, files } => {
            explain_files(&load(&configured)?, &files, json)
        }
        Command::Scan { configured, json, explain: false, files } => {
            scan_files(load(&configured)?, &files, json)
        }
        Command::Health { configured, ready } => {
            let answer = runtime()?.block_on(health::ask(&load(&configured)?.admin, ready))?;
            print(&format!("{answer}\n"));
            Ok(0)
        }
        Command::Migrate { file } => {
            let migrated = migrate::read(&file)?;
            for warning in &migrated.warnings {
                eprintln!("note: {warning}");
            }
            print(&migrated.toml);
            Ok(0)
        }
    }
}

/// Whoever closed the pipe (`… | head`) wanted no more.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn load(configured: &Configured) -> Result<Config, ConfigError> {
    Config::load(configured.config.as_deref())
}

fn serve_mail(config: &Config, file: Option<std::path::PathBuf>) -> anyhow::Result<u8> {
    let passed = Passed::take()?;
    let logs = telemetry::init(&config.log)?;
    let _traces = traces::init(&config.traces, "thundergate-milter")?;
    runtime()?.block_on(async {
        let shutdown = Shutdown::install()?.grace(config.grace);
        let source = reload::Source { file, levels: logs.levels(), hangups: Hangups::install()? };
        Server::bind(config, passed).await?.reloading(source).run(shutdown).await;
        Ok(0)
    })
}

fn scan_files(mut config: Config, files: &[std::path::PathBuf], json: bool) -> anyhow::Result<u8> {
    // The answers go to stdout; the log would stand between them.
    config.log.level = "off".to_owned();
    let _logs = telemetry::init(&config.log)?;
    let mut out = std::io::stdout().lock();
    let scanned = runtime()?.block_on(scan::run(&config, files, json, &mut out));
    match scanned.and_then(|ended| Ok(out.flush().map(|()| ended)?)) {
        Ok(scan::Ended::Accepted) => Ok(0),
        Ok(scan::Ended::Otherwise) => Ok(1),
        Ok(scan::Ended::Impossible) => Ok(UNAVAILABLE),
        // Whoever closed the pipe wanted no more.
        Err(error) if error.downcast_ref().is_some_and(is_broken_pipe) => Ok(0),
        Err(error) => Err(error),
    }
}

fn explain_files(config: &Config, files: &[std::path::PathBuf], json: bool) -> anyhow::Result<u8> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let explained = explain::run(config, files, json, &mut out).and_then(|()| Ok(out.flush()?));
    match explained {
        // Whoever closed the pipe wanted no more.
        Err(error) if error.downcast_ref().is_some_and(is_broken_pipe) => Ok(0),
        other => other.map(|()| 0),
    }
}

fn is_broken_pipe(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::BrokenPipe
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

fn exit_status(error: &anyhow::Error) -> u8 {
    if error.is::<ConfigError>() {
        CONFIG
    } else if error.is::<health::HealthError>() {
        1
    } else if error.is::<scan::Unreadable>() {
        NO_INPUT
    } else {
        UNAVAILABLE
    }
}
