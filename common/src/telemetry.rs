// SPDX-License-Identifier: GPL-3.0-or-later
//! Log lines: one event, one line, on stdout or in a rotated file.
//!
//! A JSON line is one flat object: `time` (RFC 3339, UTC), `level` (`error`, `warning`, `info`, `debug`, `trace`),
//! `msg`, `target`, then the event's fields under their dotted names, behind those of the spans around it. `time`,
//! `level` and `msg` are spelt as postfix2thunderstorm spells them, because its users alert on them.
//!
//! A field whose name ends in `.json` holds JSON text: the line carries it as structure, under the name without that
//! ending. `tracing::warn!(recipients.json = %json, "Finding")` gives `"recipients":["a@b.example"]`.
//!
//! On stdout that is a stream to systemd's journal a line begins with its priority, such as `<4>`, which the journal takes
//! off and keeps as its own: `journalctl --priority warning` shows findings.
//!
//! Nothing in a value can break a line, or make it longer than 16 KiB: what is too long is cut, and the line says so with
//! `"truncated":true`. A line that cannot be written (a full disk, a closed pipe, a reader that does not read) is lost and
//! counted; the program goes on. An [`Entry`] is not lost: whoever has it written is told whether it was.

mod backlog;
mod cut;
mod file;
mod journal;
mod line;
mod settings;

pub use line::Entry;
pub use settings::{Log, LogFormat, Rotation};

pub(crate) use backlog::lines_dropped;

use crate::config::Fault;
use backlog::Backlog;
use file::LogFile;
use line::{Form, Lines};
use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};
use tracing_subscriber::{
    EnvFilter, Registry,
    filter::{LevelFilter, ParseError},
    layer::SubscriberExt,
    reload,
    util::SubscriberInitExt,
};

/// Chatty or indiscreet libraries, held at `warn` unless `log.level` names them.
const QUIET: [&str; 6] = ["indymilter", "redis", "hyper", "hyper_util", "reqwest", "rustls"];

/// Says at `error`, at each attempt, what the error of whoever connects says too: off unless `log.level` names it.
const REPETITIVE: &str = "rustls_platform_verifier";

/// Logs whole mails at `trace`: its lines below `warn` are dropped whatever the filter says.
pub(crate) const INDISCREET: &str = "indymilter";

/// Writes what is still to be written when it is dropped: keep it until the end of main. Where nobody reads, that ends
/// after a second.
pub struct Guard(Control);

/// Changes the log while the program runs.
#[derive(Clone, Debug)]
pub struct Control {
    level: reload::Handle<EnvFilter, Registry>,
    backlog: Backlog,
    form: Form,
}

/// Why nothing can be logged.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.level` is no filter.
    #[error("`{0}` is neither a level (error, warn, info, debug, trace) nor `target=level`")]
    Level(String),
    /// `log.level` looks like a filter and is none.
    #[error("log.level is no filter")]
    Filter(#[source] ParseError),
    /// `log.file` cannot be opened.
    #[error("log.file cannot be opened")]
    File(#[source] io::Error),
    /// Nothing can be written where `log.file` is to be.
    #[error("log.file: {} cannot be written", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nobody can be found to write lines.
    #[error("the log has no thread")]
    Thread(#[source] io::Error),
    /// `log.file` names a directory, or nothing.
    #[error("log.file has no file name")]
    NoFileName,
    /// Somebody installed another subscriber before.
    #[error("logging is installed already")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Logs as `config` says, from now on.
///
/// # Errors
///
/// [`TelemetryError`].
pub fn init(config: &Log) -> Result<Guard, TelemetryError> {
    let filter = filter(&config.level)?;
    let on_stdout = config.file.as_os_str().is_empty();
    let backlog = if on_stdout {
        Backlog::start(backlog::MOST, io::stdout())
    } else {
        Backlog::start(backlog::MOST, file(config)?)
    };
    let backlog = backlog.map_err(TelemetryError::Thread)?;
    let form =
        Form { json: config.format == LogFormat::Json, priorities: on_stdout && journal::has_stdout() };
    let lines = Lines::new(form, backlog.clone());
    let (filter, level) = reload::Layer::new(filter);
    tracing_subscriber::registry().with(filter).with(lines).try_init().map_err(TelemetryError::Twice)?;
    Ok(Guard(Control { level, backlog, form }))
}

impl Guard {
    /// For changing the log.
    pub fn control(&self) -> Control {
        self.0.clone()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.backlog.end();
    }
}

impl Control {
    /// Logs at `level` from now on.
    ///
    /// # Errors
    ///
    /// It is none; all stays as it is.
    pub fn set_level(&self, level: &str) -> Result<(), TelemetryError> {
        // The log is there as long as the process.
        let _ = self.level.reload(filter(level)?);
        Ok(())
    }

    /// Writes an entry before all lines that wait, whatever `log.level` says. False where it cannot be written. It is
    /// taken back where the answer is not waited for.
    pub async fn write(&self, entry: &Entry) -> bool {
        self.backlog.first(entry.line(self.form).into_bytes()).await.unwrap_or(false)
    }

    /// Opens `log.file` by its name again: somebody may have moved it away.
    pub fn reopen(&self) {
        self.backlog.reopen();
    }
}

/// Tells whoever started the program that it is ready and where it logs, where that is not stdout. `line` is the event
/// `ready` as a JSON object.
pub fn ready_beside_the_log(config: &Log, mut line: serde_json::Value) {
    if !config.file.as_os_str().is_empty() {
        line["event"] = "ready".into();
        line["log.file"] = config.file.display().to_string().into();
        let _ = writeln!(io::stdout(), "{line}"); // nobody may be listening
    }
}

impl Log {
    /// Finds what contradicts itself or can never work.
    ///
    /// # Errors
    ///
    /// `log.level` is no filter.
    pub fn check(&self) -> Result<(), Fault> {
        filter(&self.level).map(drop).map_err(|error| Fault::new(&["log.level"], error.to_string()))
    }
}

/// Whether this process may write where `log.file` is to be. Leaves nothing there: a log of another user's would be in the
/// way of the service.
///
/// # Errors
///
/// [`TelemetryError::Folder`].
pub fn check_folder(config: &Log) -> Result<(), TelemetryError> {
    if config.file.as_os_str().is_empty() {
        return Ok(());
    }
    let folder = folder(&config.file).to_owned();
    let trial = folder.join(format!(".{}", process_name()));
    let tried = File::create_new(&trial).and_then(|_| std::fs::remove_file(&trial));
    tried.map_err(|source| TelemetryError::Folder { folder, source })
}

fn folder(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// `<hostname>-<pid>-<random>`: a name for this process that no other process has.
pub fn process_name() -> String {
    format!("{}-{}-{:08x}", hostname(), std::process::id(), fastrand::u32(..))
}

/// The name of this host, of ASCII letters, digits, `.`, `-` and `_`; `localhost` where it has none.
pub fn hostname() -> String {
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let usable = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let hostname: String = hostname.trim().chars().filter(usable).take(64).collect();
    if hostname.is_empty() { "localhost".to_owned() } else { hostname }
}

fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    let directives: Vec<&str> = level.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    let stray = |part: &&&str| {
        !part.contains('=') && *as_level(part) != *"off" && as_level(part).parse::<LevelFilter>().is_err()
    };
    if let Some(part) = directives.iter().find(stray) {
        return Err(TelemetryError::Level((*part).to_owned()));
    }
    let named = |target: &str| directives.iter().any(|part| part.starts_with(target));
    let limits = QUIET.into_iter().map(|target| (target, "warn")).chain([(REPETITIVE, "off")]);
    let quiet =
        limits.filter(|(target, _)| !named(target)).map(|(target, level)| format!("{target}={level}"));
    let given = directives.iter().map(|part| as_level(part).to_owned());
    let all: Vec<String> = quiet.chain(given).collect();
    EnvFilter::builder().with_regex(false).parse(all.join(",")).map_err(TelemetryError::Filter)
}

/// `warning` is what the lines say, `warn` what a filter says.
fn as_level(part: &str) -> &str {
    if part.eq_ignore_ascii_case("warning") { "warn" } else { part }
}

fn file(config: &Log) -> Result<LogFile, TelemetryError> {
    config.file.file_stem().ok_or(TelemetryError::NoFileName)?;
    LogFile::open(&config.file, config.rotation, config.keep).map_err(TelemetryError::File)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_is_none_is_refused() {
        for level in ["info", "WARNING", "off", "info,thundergate_worker=debug", "redis=trace,info"] {
            assert!(filter(level).is_ok(), "{level}");
        }
        let error = filter("loud").unwrap_err();
        assert!(error.to_string().contains("`loud`"), "{error}");
        assert!(filter("info,a=loud").is_err());
    }

    #[test]
    fn libraries_are_quiet_unless_they_are_named() {
        let quiet = filter("debug").unwrap().to_string();
        assert!(
            ["redis=warn", "indymilter=warn", "verifier=off"].iter().all(|one| quiet.contains(one)),
            "{quiet}"
        );
        let named = filter("info,redis=debug").unwrap().to_string();
        assert!(named.contains("redis=debug") && !named.contains("redis=warn"), "{named}");
    }

    #[test]
    fn a_log_that_cannot_be_written_is_known_before_the_start() {
        let directory = tempfile::tempdir().unwrap();
        let at = |file: PathBuf| {
            let text =
                format!("format = 'json'\nlevel = 'info'\nfile = {file:?}\nrotation = 'daily'\nkeep = 1");
            check_folder(&toml::from_str(&text).unwrap())
        };
        assert!(at(PathBuf::new()).is_ok() && at(directory.path().join("x.log")).is_ok());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left there");
        let error = at(directory.path().join("nowhere/x.log")).unwrap_err();
        assert!(error.to_string().ends_with("/nowhere cannot be written"), "{error}");
    }

    #[test]
    fn a_process_name_is_unique_and_fit_for_a_key() {
        let name = process_name();
        assert_ne!(name, process_name());
        assert!(name.contains(&format!("-{}-", std::process::id())), "{name}");
        assert!(!name.contains(|c: char| c.is_whitespace() || c == ':'), "{name}");
    }
}
