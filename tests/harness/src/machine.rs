// SPDX-License-Identifier: GPL-3.0-or-later
//! A copy of this machine that boots: a systemd as its first process, its own processes and mounts, and this machine's
//! `/`, whose changes are kept in memory (overlayfs) and gone at the end. Needs root and systemd's package.

use anyhow::{Context as _, bail, ensure};
use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

const TOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Dropping it, or this process' end, undoes all that happened there.
pub struct Machine {
    holder: Child,
    first: u32,
    directory: tempfile::TempDir,
}

/// Which network it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// A loopback device of its own.
    Own,
    /// This machine's.
    Shared,
}

impl Machine {
    /// Boots it. `shared` is at `/run/shared` there, and a copy of the repository where it is here.
    pub fn start(network: Network, shared: &Path) -> anyhow::Result<Self> {
        ensure!(nix::unistd::geteuid().is_root(), "it takes root to boot a copy of this machine");
        ensure!(Path::new("/lib/systemd/systemd").exists(), "systemd is not installed");
        let directory = tempfile::Builder::new().prefix("thundergate-machine").tempdir()?;
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--propagation", "private", "sh", "-c", include_str!("machine.sh"), "sh"]);
        unshare.arg(directory.path()).arg(shared).arg(Path::new(TOP).canonicalize()?);
        unshare.args((network == Network::Own).then_some("--net"));
        let mut holder = unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut answer = String::new();
        BufReader::new(holder.stdout.take().context("its output is piped")?).read_line(&mut answer)?;
        let Some(first) = answer.trim().strip_prefix("up ") else {
            holder.wait()?;
            bail!("no copy of this machine boots here: {answer}");
        };
        Ok(Self { first: first.parse()?, holder, directory })
    }

    /// A command there, as root.
    pub fn command(&self, program: &str) -> Command {
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["--all", "--wd", &format!("--target={}", self.first), program]);
        nsenter.envs([("DEBIAN_FRONTEND", "noninteractive"), ("LC_ALL", "C.UTF-8"), ("HOME", "/root")]);
        nsenter.stdin(Stdio::null());
        nsenter
    }

    /// What a script there prints.
    ///
    /// # Panics
    ///
    /// When a command of it fails.
    pub fn run(&self, script: &str) -> String {
        said(self.command("sh").args(["-ec", script]))
    }

    /// The files and directories that are other than on this machine, but what is below `but`.
    pub fn changes(&self, but: &[&str]) -> Vec<String> {
        const LIST: &str = r#"
            cd "$1/changes"
            find . -mindepth 1 ! -type d ! -type c -exec sh -c 'cmp -s "$1" "/$1" || echo "$1"' sh {} \;
            find . -mindepth 1 -type c -exec echo "{} is gone" \;
            find . -mindepth 1 -type d -exec sh -c '[ -d "/$1" ] || echo "$1"' sh {} \;
        "#;
        let holder = format!("--target={}", self.holder.id());
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["--mount", &holder, "sh", "-ec", LIST, "sh"]).arg(self.directory.path());
        let listed = said(&mut nsenter);
        let paths = listed.lines().map(|path| path.trim_start_matches('.').to_owned());
        paths.filter(|path| !but.iter().any(|book| path.starts_with(book))).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        self.holder.wait().ok();
    }
}

/// What a command prints.
///
/// # Panics
///
/// When it fails.
pub fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{said}\n{complained}", output.status);
    said.into_owned()
}
