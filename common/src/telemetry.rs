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
//! `"truncated":true`. A line that cannot be written (a full disk, a closed pipe) is lost; the program
//! goes on.

mod cut;
mod journal;
mod line;
mod settings;

pub use settings::{Log, LogFormat, Rotation};

use crate::config::Fault;
use line::{Form, Lines};
use std::{
    ffi::OsStr,
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};
use tracing_appender::{
    non_blocking::{NonBlockingBuilder, WorkerGuard},
    rolling::{InitError, RollingFileAppender, Rotation as Period},
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

/// Lines that wait for a slow disk or pipe; one more holds up who logs it.
const BACKLOG: usize = 16_384;

/// For so long lines are gathered, once some were written: under load hundreds of them cost one wake-up and one write.
const GATHERING: Duration = Duration::from_millis(5);

/// What is gathered before it must be written.
const GATHERED: usize = 64 << 10;

/// Writes what is still to be written when it is dropped: keep it until the end of main.
pub struct Guard {
    _worker: WorkerGuard,
    levels: Levels,
}

/// Changes `log.level` while the program runs.
#[derive(Clone, Debug)]
pub struct Levels(reload::Handle<EnvFilter, Registry>);

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
    File(#[source] InitError),
    /// Nothing can be written where `log.file` is to be.
    #[error("log.file: {} cannot be written", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
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
    let builder = NonBlockingBuilder::default().lossy(false).buffered_lines_limit(BACKLOG).thread_name("log");
    let on_stdout = config.file.as_os_str().is_empty();
    let (writer, worker) = if on_stdout {
        builder.finish(Gathering::new(io::stdout()))
    } else {
        builder.finish(Gathering::new(file(config)?))
    };
    let form =
        Form { json: config.format == LogFormat::Json, priorities: on_stdout && journal::has_stdout() };
    let lines = Lines::new(form, writer);
    let (filter, handle) = reload::Layer::new(filter);
    tracing_subscriber::registry().with(filter).with(lines).try_init().map_err(TelemetryError::Twice)?;
    Ok(Guard { _worker: worker, levels: Levels(handle) })
}

impl Guard {
    /// For changing the level.
    pub fn levels(&self) -> Levels {
        self.levels.clone()
    }
}

impl Levels {
    /// Logs at `level` from now on.
    ///
    /// # Errors
    ///
    /// It is none; all stays as it is.
    pub fn set(&self, level: &str) -> Result<(), TelemetryError> {
        // The log is there as long as the process.
        let _ = self.0.reload(filter(level)?);
        Ok(())
    }
}

/// What the log's thread writes to. It flushes whenever no more lines wait, and then pauses.
struct Gathering<W: Write>(BufWriter<W>);

impl<W: Write> Gathering<W> {
    fn new(inner: W) -> Self {
        Self(BufWriter::with_capacity(GATHERED, inner))
    }
}

impl<W: Write> Write for Gathering<W> {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.write(lines)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.0.flush();
        thread::sleep(GATHERING);
        flushed
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

/// `milter.log` becomes `milter.2026-11-22.log`, so that a rotated file keeps its ending.
fn file(config: &Log) -> Result<RollingFileAppender, TelemetryError> {
    let path = &config.file;
    let text = |part: Option<&OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let stem = text(path.file_stem()).ok_or(TelemetryError::NoFileName)?;
    let period = match config.rotation {
        Rotation::Hourly => Period::HOURLY,
        Rotation::Daily => Period::DAILY,
        Rotation::Never => Period::NEVER,
    };
    let mut builder = RollingFileAppender::builder().rotation(period).filename_prefix(stem);
    if let Some(ending) = text(path.extension()) {
        builder = builder.filename_suffix(ending);
    }
    if config.rotation != Rotation::Never {
        builder = builder.max_log_files(config.keep.saturating_add(1));
    }
    builder.build(folder(path)).map_err(TelemetryError::File)
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
    fn a_file_gets_its_date_before_its_ending() {
        let directory = tempfile::tempdir().unwrap();
        let config = |rotation| Log {
            format: LogFormat::Json,
            level: "info".to_owned(),
            file: directory.path().join("milter.log"),
            rotation,
            keep: 2,
            findings: None,
        };
        writeln!(file(&config(Rotation::Daily)).unwrap(), "a").unwrap();
        writeln!(file(&config(Rotation::Never)).unwrap(), "b").unwrap();
        let mut names: Vec<_> = directory
            .path()
            .read_dir()
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(names[0].starts_with("milter.20") && names[0].ends_with(".log"), "{names:?}");
        assert_eq!(names[1], "milter.log");
    }

    #[test]
    fn a_process_name_is_unique_and_fit_for_a_key() {
        let name = process_name();
        assert_ne!(name, process_name());
        assert!(name.contains(&format!("-{}-", std::process::id())), "{name}");
        assert!(!name.contains(|c: char| c.is_whitespace() || c == ':'), "{name}");
    }
}
