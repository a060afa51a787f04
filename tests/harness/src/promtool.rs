// SPDX-License-Identifier: GPL-3.0-or-later
//! Prometheus' own checker, `promtool`: what is installed, or else out of Debian's package, which is unpacked into
//! `target/prometheus` and not installed: that would start a server.

use anyhow::{Context as _, ensure};
use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Mutex, PoisonError},
};

const PROGRAM: &str = "usr/bin/promtool";
static TURN: Mutex<()> = Mutex::new(());

/// The program.
#[derive(Clone, Debug)]
pub struct Promtool(PathBuf);

impl Promtool {
    /// Downloads and unpacks it where it is not there yet. The error says what is missing.
    pub fn prepare() -> anyhow::Result<Self> {
        if Command::new("promtool").arg("--version").output().is_ok_and(|output| output.status.success()) {
            return Ok(Self(PathBuf::from("promtool")));
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/prometheus");
        // One test after the other: what one still writes no other can run.
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        if !root.join(PROGRAM).exists() {
            unpack(&root).context("Debian's package of Prometheus cannot be had")?;
        }
        Ok(Self(root.join(PROGRAM)))
    }

    /// Runs it with `arguments` in `directory`, `input` on its standard input. The error shows what it says.
    pub fn run(&self, directory: &Path, arguments: &[&str], input: &str) -> anyhow::Result<()> {
        let mut command = Command::new(&self.0);
        command.args(arguments).current_dir(directory);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("promtool cannot be run")?;
        child.stdin.take().context("it has an input")?.write_all(input.as_bytes())?;
        succeeded(arguments, &child.wait_with_output()?)
    }
}

fn unpack(root: &Path) -> anyhow::Result<()> {
    let downloads = tempfile::tempdir()?;
    fs::set_permissions(downloads.path(), fs::Permissions::from_mode(0o777))?; // apt downloads as user _apt
    let partial = root.with_extension(format!("partial-{}", std::process::id()));
    fs::create_dir_all(&partial)?;
    // Of the whole package only this program; the server beside it is as large.
    let script = r#"apt-get download --quiet prometheus &&
        dpkg-deb --fsys-tarfile prometheus_*.deb | tar --extract --directory "$1" "./$2""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(partial.canonicalize()?).arg(PROGRAM);
    succeeded(&["download"], &command.current_dir(downloads.path()).output()?)?;
    if let Err(error) = fs::rename(&partial, root) {
        fs::remove_dir_all(&partial).ok();
        ensure!(root.join(PROGRAM).exists(), error); // else another process was quicker
    }
    Ok(())
}

fn succeeded(what: &[&str], output: &Output) -> anyhow::Result<()> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    ensure!(output.status.success(), "{what:?}: {}{}", text(&output.stdout), text(&output.stderr));
    Ok(())
}
