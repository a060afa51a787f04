// SPDX-License-Identifier: GPL-3.0-or-later
//! The command line. Exit statuses are those of sysexits.h: 64 wrong usage, 69 Redis, the farm or the program that is asked
//! is unavailable, 70 anything unforeseen, 77 whoever asks may not, 78 wrong configuration; and 1 where nothing is known of
//! a sample or a dead letter, or the worker is not healthy.

mod check;
pub mod cli;
mod serve;

use crate::{
    config::Config,
    farm::with_causes,
    people::{self, cli::How, error::PeopleError, print::say},
    thunderstorm::settings::SetupError,
};
use clap::Parser as _;
use cli::{Cli, Command};
use std::{ffi::OsString, path::PathBuf, process::ExitCode, sync::Arc};
use thundergate_common::{
    config::ConfigError,
    descriptors::TooFew,
    exit::{CONFIG, SOFTWARE, UNAVAILABLE, USAGE},
    health::{self, HealthError},
    hub::{HubError, redis::RedisHub},
    telemetry::{self, TelemetryError},
};

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error("configuration")]
    Config(#[from] ConfigError),
    #[error("configuration")]
    Farm(#[from] SetupError),
    #[error("configuration")]
    Log(#[from] TelemetryError),
    #[error("redis.url")]
    Address(#[source] HubError),
    #[error("redis")]
    Hub(#[from] HubError),
    #[error("this system")]
    Descriptors(#[from] TooFew),
    #[error(transparent)]
    Health(#[from] HealthError),
    #[error(transparent)]
    People(#[from] PeopleError),
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl CliError {
    fn status(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Farm(_) | Self::Log(_) | Self::Address(_) => CONFIG,
            Self::Hub(_) | Self::Descriptors(_) => UNAVAILABLE,
            Self::Health(_) => 1,
            Self::People(error) => error.status(),
            Self::Other(_) => SOFTWARE,
        }
    }
}

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
    if let Command::Check(args) = cli.command
        && args.connect
    {
        // Boxed: the future asks everything at once, and is large.
        return Box::pin(check::connected(cli.config.as_deref(), args)).await.into();
    }
    match dispatch(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("thundergate-worker: {}", with_causes(&error));
            error.status().into()
        }
    }
}

async fn dispatch(cli: Cli) -> Result<(), CliError> {
    let file = cli.config;
    match cli.command {
        Command::Serve => serve::serve(&Config::load(file.as_deref())?, file).await,
        Command::Check(_) => check(&Config::load(file.as_deref())?),
        Command::Health { ready } => {
            say(health::ask(&Config::load(file.as_deref())?.admin, ready).await?);
            Ok(())
        }
        Command::Farm(how) => asked(file, how, people::cli::Command::Farm).await,
        Command::Queue { how, args } => asked(file, how, people::cli::Command::Queue(args)).await,
        Command::Generation { how, args } => asked(file, how, people::cli::Command::Generation(args)).await,
        Command::Verdict { how, args } => asked(file, how, people::cli::Command::Verdict(args)).await,
        Command::Seen { how, args } => asked(file, how, people::cli::Command::Seen(args)).await,
    }
}

/// Does what `thundergate` does, with the worker of this configuration unless another program is named.
async fn asked(file: Option<PathBuf>, how: How, command: people::cli::Command) -> Result<(), CliError> {
    let own = if how.door.names_one() { None } else { Config::load(file.as_deref())?.admin.socket };
    people::ask(&how, own.as_deref(), command).await?;
    Ok(())
}

fn check(config: &Config) -> Result<(), CliError> {
    let advice = config.redis.advice().into_iter().chain(config.admin.advice());
    advice.for_each(|advice| eprintln!("note: {advice}"));
    if let Some(advice) = crate::check::needs(config).provide()?.advice {
        eprintln!("note: here {advice}");
    }
    telemetry::check_folder(&config.log)?;
    say(toml::to_string(config).map_err(anyhow::Error::from)?.trim_end());
    Ok(())
}

/// A Redis that is down is no error here, an address that cannot be one is.
async fn connect(config: &Config) -> Result<Arc<RedisHub>, CliError> {
    let process = telemetry::process_name();
    match RedisHub::connect(&config.redis, &config.queue, &config.cache, process).await {
        Ok(hub) => Ok(hub),
        Err(error @ HubError::Unusable(_)) => Err(CliError::Address(error)),
        Err(error) => Err(error.into()),
    }
}
