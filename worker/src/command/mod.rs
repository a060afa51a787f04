// SPDX-License-Identifier: GPL-3.0-or-later
//! The command line. Exit statuses are those of sysexits.h: 64 wrong usage, 69 Redis or the farm is unavailable,
//! 70 anything unforeseen, 78 wrong configuration; and 1 where nothing is known of a sample or a dead letter, or the
//! worker is not healthy.

/// Prints a line. Whoever closed the pipe (`… | head`) wanted no more of them.
macro_rules! say {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($argument)*);
    }};
}

mod check;
pub mod cli;
mod farm;
mod generation;
mod queue;
mod sample;
mod serve;

pub(crate) use serve::needs;

use crate::{config::Config, farm::with_causes, thunderstorm::settings::SetupError};
use clap::Parser as _;
use cli::{
    Cli, Command, GenerationAction, GenerationArgs, QueueAction, QueueArgs, VerdictAction, VerdictArgs,
};
use std::{ffi::OsString, process::ExitCode, sync::Arc};
use thundergate_common::{
    config::ConfigError,
    descriptors::TooFew,
    exit::{CONFIG, SOFTWARE, UNAVAILABLE, USAGE},
    generation::FarmReport,
    health::{self, HealthError},
    hub::{HubError, Observer, Operator, redis::RedisHub},
    telemetry::{self, TelemetryError},
    terminal,
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
    #[error("{0}")]
    Unavailable(&'static str),
    #[error("this system")]
    Descriptors(#[from] TooFew),
    #[error(transparent)]
    Health(#[from] HealthError),
    #[error("nothing is known of this sample")]
    Unknown,
    #[error("there is no dead letter {0}")]
    NoLetter(String),
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl CliError {
    fn status(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Farm(_) | Self::Log(_) | Self::Address(_) => CONFIG,
            Self::Hub(_) | Self::Unavailable(_) | Self::Descriptors(_) => UNAVAILABLE,
            Self::Health(_) | Self::Unknown | Self::NoLetter(_) => 1,
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
    let config = Config::load(cli.config.as_deref())?;
    match cli.command {
        Command::Serve => serve::serve(&config, cli.config).await,
        Command::Check(_) => check(&config),
        Command::Health { ready } => {
            say!("{}", health::ask(&config.admin, ready).await?);
            Ok(())
        }
        Command::Farm(output) => farm::show(&config, &reports(&config).await, output.json).await,
        Command::Queue(args) => queue(&*connect(&config).await?, args).await,
        Command::Generation(args) => generation(&*connect(&config).await?, args).await,
        Command::Seen { sample, output } => {
            sample::seen(&*connect(&config).await?, &sample, output.json).await
        }
        Command::Verdict(args) => verdict(&config, args).await,
    }
}

/// What the workers say of the farm; nothing where Redis is away: the instances can be asked without it.
async fn reports(config: &Config) -> Vec<FarmReport> {
    let reports = async { Ok::<_, CliError>(connect(config).await?.farm().await?) };
    reports.await.unwrap_or_else(|error| {
        eprintln!("thundergate-worker: what the workers see is not known: {}", with_causes(&error));
        Vec::new()
    })
}

async fn queue(hub: &dyn Operator, args: QueueArgs) -> Result<(), CliError> {
    match args.action {
        None => queue::show(hub, args.output.json).await,
        Some(QueueAction::Retry(which)) => queue::retry(hub, &which).await,
        Some(QueueAction::Drop(which)) => queue::drop(hub, &which).await,
    }
}

async fn generation(hub: &dyn Operator, args: GenerationArgs) -> Result<(), CliError> {
    match args.action {
        None => generation::show(hub, args.output.json).await,
        Some(GenerationAction::Show(output)) => generation::show(hub, output.json).await,
        Some(GenerationAction::Bump(output)) => generation::bump(hub, output.json).await,
    }
}

async fn verdict(config: &Config, args: VerdictArgs) -> Result<(), CliError> {
    let hub = connect(config).await?;
    match (args.action, args.sample) {
        (Some(VerdictAction::Forget { sample }), _) => sample::forget(&*hub, &sample).await,
        (Some(VerdictAction::Show { sample, output }), _) => sample::show(&*hub, &sample, output.json).await,
        (None, Some(sample)) => sample::show(&*hub, &sample, args.output.json).await,
        (None, None) => Err(anyhow::anyhow!("no sample named").into()),
    }
}

fn check(config: &Config) -> Result<(), CliError> {
    let advice = config.redis.advice().into_iter().chain(config.admin.advice());
    advice.for_each(|advice| eprintln!("note: {advice}"));
    if let Some(advice) = serve::needs(config).provide()?.advice {
        eprintln!("note: here {advice}");
    }
    telemetry::check_folder(&config.log)?;
    say!("{}", toml::to_string(config).map_err(anyhow::Error::from)?.trim_end());
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

/// Prints any value as indented JSON.
fn print_json(value: &impl serde::Serialize) -> Result<(), CliError> {
    say!("{}", terminal::json(value, true).map_err(anyhow::Error::from)?);
    Ok(())
}

/// Prints rows in columns that are as wide as what stands in them.
fn print_table<const N: usize>(head: [&str; N], rows: &[[String; N]]) {
    say_all(&table(head, rows));
}

/// Prints lines.
fn say_all(lines: &[String]) {
    lines.iter().for_each(|line| say!("{line}"));
}

/// The head and the rows in columns that are as wide as what stands in them, one line each. Cells are escaped: names,
/// addresses and reasons come from mails, scanners and Redis.
fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    let shown = |row: &[String; N]| row.each_ref().map(|cell| terminal::shown(cell).to_string());
    let rows: Vec<[String; N]> = rows.iter().map(shown).collect();
    let width = |column: usize| {
        let longest = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        longest.max(head[column].len())
    };
    let line = |row: [&str; N]| {
        let cells = row.iter().enumerate().map(|(column, cell)| format!("{cell:<0$}", width(column)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    std::iter::once(line(head))
        .chain(rows.iter().map(|row| line(row.each_ref().map(String::as_str))))
        .collect()
}
