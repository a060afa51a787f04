// SPDX-License-Identifier: GPL-3.0-or-later
//! The log as a file: `log.file` itself, or one a day or an hour, of which some are kept. Their owner writes them, their
//! group reads them (0640). Whoever moves the file away sends SIGHUP: then it is opened, or made, by its name again.

use super::{backlog::Target, settings::Rotation};
use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Of each file.
const MODE: u32 = 0o640;

/// Bytes of a day and of an hour in a file's name: `2026-11-22`, `2026-11-22-17`.
const PERIODS: [usize; 2] = [10, 13];

/// The file that lines go to now.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    rotation: Rotation,
    /// Old files that are kept.
    keep: usize,
    /// What is in the name of the file; empty without rotation.
    period: String,
    file: File,
}

impl LogFile {
    /// `path`, or, with a rotation, `milter.2026-11-22.log` for `milter.log`: it keeps its ending.
    ///
    /// # Errors
    ///
    /// The file cannot be opened.
    pub(super) fn open(path: &Path, rotation: Rotation, keep: usize) -> io::Result<Self> {
        let period = period(rotation, SystemTime::now());
        let file = open(&named(path, &period))?;
        let log = Self { path: path.to_owned(), rotation, keep, period, file };
        log.prune();
        Ok(log)
    }

    fn begin(&mut self, period: String) -> io::Result<()> {
        self.file = open(&named(&self.path, &period))?;
        self.period = period;
        self.prune();
        Ok(())
    }

    /// Removes the oldest ones. What cannot be removed stays: the log goes on.
    fn prune(&self) {
        if self.rotation == Rotation::Never {
            return;
        }
        let Ok(entries) = fs::read_dir(super::folder(&self.path)) else { return };
        let paths = entries.flatten().map(|entry| entry.path());
        let mut old: Vec<(String, PathBuf)> =
            paths.filter_map(|path| Some((self.period_of(&path)?, path))).collect();
        old.sort();
        let surplus = old.len().saturating_sub(self.keep.saturating_add(1));
        old[..surplus].iter().for_each(|(_, path)| drop(fs::remove_file(path)));
    }

    /// The day or the hour in the name of `path`; none where it is no file of this log.
    fn period_of(&self, path: &Path) -> Option<String> {
        let (stem, ending) = affixes(&self.path);
        let period = path.file_name()?.to_str()?.strip_prefix(&stem)?.strip_suffix(&ending)?;
        let is_one =
            PERIODS.contains(&period.len()) && period.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'-'));
        is_one.then(|| period.to_owned())
    }
}

impl Write for LogFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let period = period(self.rotation, SystemTime::now());
        if period != self.period {
            self.begin(period)?;
        }
        self.file.write(lines)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Target for LogFile {
    fn reopen(&mut self) -> io::Result<()> {
        self.begin(period(self.rotation, SystemTime::now()))
    }
}

/// What `time` belongs to, in UTC.
fn period(rotation: Rotation, time: SystemTime) -> String {
    let time = || humantime::format_rfc3339_seconds(time).to_string();
    match rotation {
        Rotation::Never => String::new(),
        Rotation::Daily => time()[..10].to_owned(),
        Rotation::Hourly => time()[..13].replace('T', "-"),
    }
}

/// The name of the file for a period.
fn named(path: &Path, period: &str) -> PathBuf {
    if period.is_empty() {
        return path.to_owned();
    }
    let (stem, ending) = affixes(path);
    path.with_file_name(format!("{stem}{period}{ending}"))
}

/// What stands before and behind the period: `milter.` and `.log`.
fn affixes(path: &Path) -> (String, String) {
    let text = |part: Option<&OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let stem = text(path.file_stem()).unwrap_or_default();
    let ending = text(path.extension()).map(|ending| format!(".{ending}")).unwrap_or_default();
    (format!("{stem}."), ending)
}

fn open(path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().create(true).append(true).mode(MODE).open(path);
    match open() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(super::folder(path))?;
            open()
        }
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, os::unix::fs::PermissionsExt as _, time::Duration};

    fn names(folder: &Path) -> BTreeSet<String> {
        let names = folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn a_file_gets_its_date_before_its_ending() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_000_000);
        let name = |path: &str, rotation| named(Path::new(path), &period(rotation, time));
        assert_eq!(name("/l/milter.log", Rotation::Never), Path::new("/l/milter.log"));
        assert_eq!(name("/l/milter.log", Rotation::Daily), Path::new("/l/milter.2025-11-24.log"));
        assert_eq!(name("/l/milter.log", Rotation::Hourly), Path::new("/l/milter.2025-11-24-16.log"));
        assert_eq!(name("milter", Rotation::Daily), Path::new("milter.2025-11-24"));
    }

    #[test]
    fn only_the_group_may_read_it_and_old_ones_go() {
        let directory = tempfile::tempdir().unwrap();
        let old = ["milter.2020-01-01.log", "milter.2020-01-02.log", "milter.2020-01-02-11.log"];
        let others = ["milter.log", "milter.notes.log", "worker.2020-01-01.log", "milter.2020-01-01.log.gz"];
        for name in old.iter().chain(&others) {
            fs::write(directory.path().join(name), "old").unwrap();
        }
        let mut log = LogFile::open(&directory.path().join("milter.log"), Rotation::Daily, 1).unwrap();
        log.write_all(b"a\n").unwrap();
        let left = names(directory.path());
        assert!(others.iter().chain(&old[2..]).all(|name| left.contains(*name)), "{left:?}");
        assert!(!left.contains(old[0]) && !left.contains(old[1]) && left.len() == 6, "{left:?}");
        assert_eq!(log.file.metadata().unwrap().permissions().mode() & 0o777 & !MODE, 0);
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/milter.log");
        let mut log = LogFile::open(&path, Rotation::Never, 0).unwrap();
        log.write_all(b"a\n").unwrap();
        fs::rename(&path, path.with_extension("log.1")).unwrap();
        log.write_all(b"b\n").unwrap();
        log.reopen().unwrap();
        log.write_all(b"c\n").unwrap();
        assert_eq!(fs::read_to_string(path.with_extension("log.1")).unwrap(), "a\nb\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "c\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777 & !MODE, 0);
    }

    #[test]
    fn a_new_day_begins_a_new_file() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = LogFile::open(&directory.path().join("x.log"), Rotation::Daily, 7).unwrap();
        log.begin("2020-01-01".to_owned()).unwrap();
        log.write_all(b"today\n").unwrap();
        let today = named(&log.path, &log.period);
        assert_eq!(fs::read_to_string(today).unwrap(), "today\n");
        assert!(names(directory.path()).contains("x.2020-01-01.log"));
    }
}
