// SPDX-License-Identifier: GPL-3.0-or-later
//! A small disk that can be filled, and clocks that can be turned. Both need something of the machine (the right to
//! mount, Debian's `faketime`); where it is missing, the fault is left out and the run says so.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

const SIZE: &str = "size=32m";

/// A file system of its own in memory. Dropping it unmounts it.
pub struct SmallDisk {
    directory: TempDir,
}

impl SmallDisk {
    /// Mounts one; none where that is not allowed.
    pub fn mount() -> Option<Self> {
        let directory = tempfile::Builder::new().prefix("thundergate-disk").tempdir().ok()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", SIZE, "thundergate-tests"]).arg(directory.path());
        mount.output().ok()?.status.success().then_some(Self { directory })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Leaves no byte free.
    pub fn fill(&self) {
        let filler = fs::File::create(self.filler());
        // The error is the point: no space left on device.
        let full = filler.and_then(|mut filler| std::io::copy(&mut std::io::repeat(0), &mut filler));
        debug_assert!(full.is_err(), "the disk has an end");
    }

    /// Gives the space back.
    pub fn free(&self) {
        fs::remove_file(self.filler()).ok();
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a program may still have its log open.
        Command::new("umount").arg("-l").arg(self.path()).output().ok();
    }
}

/// A wall clock for some processes, which can be turned while they run. Their monotonic clock goes on.
pub struct Clock {
    library: PathBuf,
    directory: TempDir,
}

impl Clock {
    /// One that is right; none where libfaketime is not installed.
    pub fn right() -> Option<Self> {
        let machines = fs::read_dir("/usr/lib").ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        let mut libraries = machines.map(|path| path.join("faketime/libfaketimeMT.so.1"));
        let library = libraries.find(|library| library.exists())?;
        let clock = Self { library, directory: tempfile::tempdir().ok()? };
        clock.turn(0);
        Some(clock)
    }

    /// So many seconds off from now on.
    pub fn turn(&self, seconds: i64) {
        // Renamed into place: nobody reads half a number.
        let (new, file) = (self.directory.path().join("new"), self.file());
        fs::write(&new, format!("{seconds:+}\n")).and_then(|()| fs::rename(&new, &file)).ok();
    }

    /// What puts a process under this clock.
    pub fn env(&self) -> Vec<(String, String)> {
        let pairs = [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("clock")
    }
}
