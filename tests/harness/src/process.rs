// SPDX-License-Identifier: GPL-3.0-or-later
//! Our programs as processes of their own, so that they can be killed.
//!
//! A program gets its configuration as a file in a temporary directory and is up when it has logged `event = "ready"`.
//! Its log lines (JSON on stdout; stderr as it is) are kept. The binary is the one beside the running test; if there is
//! none, it is built once.

use super::waiting::PATIENCE;
use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::{Notify, watch},
    task::JoinSet,
};

/// The admin socket of a program, in its directory.
const SOCKET: &str = "admin.sock";

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Program {
    child: Child,
    lines: Arc<Lines>,
    /// Whether what it writes is read.
    reading: watch::Sender<bool>,
    readers: JoinSet<()>,
    dir: Option<TempDir>,
}

/// What a program wrote, and who waits for more.
#[derive(Debug, Default)]
struct Lines {
    kept: Mutex<Vec<String>>,
    more: Notify,
}

impl Program {
    /// Runs `NAME serve --config FILE` and waits until it is ready. `name` is `thundergate-milter` or
    /// `thundergate-worker`. Unless the configuration says otherwise it has an admin socket, [`Program::socket`].
    pub async fn start(name: &str, config: &str) -> anyhow::Result<Self> {
        Self::start_with_env(name, config, &[]).await
    }

    /// The same with environment variables.
    pub async fn start_with_env(name: &str, config: &str, env: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut program = Self::spawn(name, config, env)?;
        program.wait_until_ready().await?;
        Ok(program)
    }

    /// The same with a program of any version, by its path, and without an admin socket.
    pub async fn start_file(path: &Path, config: &str, env: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut program = Self::spawn_file(path, config, env, false)?;
        program.wait_until_ready().await?;
        Ok(program)
    }

    /// Runs it without waiting: for programs that are expected to refuse to start.
    pub fn spawn(name: &str, config: &str, env: &[(&str, &str)]) -> anyhow::Result<Self> {
        let has_socket = !config.contains("socket =");
        Self::spawn_file(&binary(name)?, config, env, has_socket)
    }

    fn spawn_file(path: &Path, config: &str, env: &[(&str, &str)], has_socket: bool) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("thundergate").tempdir()?;
        let file = dir.path().join("config.toml");
        std::fs::write(&file, config)?;
        let mut command = Command::new(path);
        if has_socket {
            command.env("THUNDERGATE_ADMIN__SOCKET", dir.path().join(SOCKET));
        }
        command
            .args([OsStr::new("serve"), OsStr::new("--config"), file.as_os_str()])
            .envs(env.iter().copied())
            .stdin(Stdio::null());
        Ok(Self { dir: Some(dir), ..Self::launch(command)? })
    }

    /// Runs any command that logs as our programs do.
    pub fn launch(mut command: Command) -> anyhow::Result<Self> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
        let (lines, reading) = (Arc::<Lines>::default(), watch::Sender::new(true));
        let mut readers = JoinSet::new();
        readers.spawn(keep(child.stdout.take(), Arc::clone(&lines), reading.subscribe()));
        readers.spawn(keep(child.stderr.take(), Arc::clone(&lines), reading.subscribe()));
        Ok(Self { child, lines, reading, readers, dir: None })
    }

    /// Waits for the line with `event = "ready"`. An end before it is an error that shows what was written.
    pub async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let ready = tokio::select! {
            ready = self.lines.wait_for(&is_ready, PATIENCE) => ready,
            status = self.child.wait() => {
                while self.readers.join_next().await.is_some() {}
                bail!("it ended with {} before it was ready: {:#?}", status?, self.log_lines())
            }
        };
        ensure!(ready.is_some(), "it is not ready: {:#?}", self.log_lines());
        Ok(())
    }

    /// Where its configuration is, and its other files may be; none for a launched command.
    pub fn dir(&self) -> Option<&Path> {
        self.dir.as_ref().map(TempDir::path)
    }

    /// Where its admin socket is, for `thundergate --socket`; none for a launched command.
    pub fn socket(&self) -> Option<PathBuf> {
        self.dir().map(|dir| dir.join(SOCKET))
    }

    /// Its process id; none after its end.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The line with `event = "ready"`.
    pub fn ready(&self) -> Option<Value> {
        self.events().into_iter().find(is_ready)
    }

    /// What the ready line says under `field`, such as `listen` or `admin`: a text, or several.
    pub fn addresses(&self, field: &str) -> Vec<String> {
        let ready = self.ready().unwrap_or_default();
        let value = ready.get(field).or_else(|| ready.pointer(&format!("/fields/{field}")));
        match value {
            Some(Value::String(one)) => serde_json::from_str(one).unwrap_or_else(|_| vec![one.clone()]),
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    }

    /// From now on nobody reads what it writes, or somebody does again.
    pub fn read(&self, reading: bool) {
        self.reading.send_replace(reading);
    }

    /// All it wrote so far, as far as it was read.
    pub fn log_lines(&self) -> Vec<String> {
        self.lines.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The lines that are JSON.
    pub fn events(&self) -> Vec<Value> {
        self.log_lines().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for a line in JSON for which `wanted` holds, among the past ones too; none after `patience`.
    pub async fn wait_for(
        &self,
        wanted: impl Fn(&Value) -> bool + Sync,
        patience: Duration,
    ) -> Option<Value> {
        self.lines.wait_for(&wanted, patience).await
    }

    /// SIGKILL: a crash.
    pub async fn kill9(&mut self) -> anyhow::Result<ExitStatus> {
        self.child.start_kill()?;
        Ok(self.child.wait().await?)
    }

    /// SIGTERM, without waiting for its end.
    pub fn ask_to_end(&self) -> anyhow::Result<()> {
        self.signal("-TERM")
    }

    /// SIGHUP.
    pub fn hang_up(&self) -> anyhow::Result<()> {
        self.signal("-HUP")
    }

    /// Another configuration in the place of its own, and SIGHUP.
    pub fn reload(&self, config: &str) -> anyhow::Result<()> {
        let dir = self.dir().context("it was launched without a configuration")?;
        std::fs::write(dir.join("config.toml"), config)?;
        self.hang_up()
    }

    fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let id = self.id().context("it has ended already")?;
        let killed = std::process::Command::new("kill").args([signal, &id.to_string()]).status()?;
        ensure!(killed.success(), "no such process");
        Ok(())
    }

    /// SIGTERM, and its exit status.
    pub async fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        self.ask_to_end()?;
        self.ended().await
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let ended = tokio::time::timeout(2 * PATIENCE, self.child.wait()).await;
        Ok(ended.with_context(|| format!("it does not end: {:#?}", self.log_lines()))??)
    }
}

impl Lines {
    async fn wait_for(&self, wanted: &(dyn Fn(&Value) -> bool + Sync), patience: Duration) -> Option<Value> {
        let mut seen = 0;
        let found = async {
            loop {
                let more = self.more.notified();
                tokio::pin!(more);
                more.as_mut().enable();
                let new = self.kept.lock().unwrap_or_else(PoisonError::into_inner)[seen..].to_vec();
                seen += new.len();
                let mut events = new.iter().filter_map(|line| serde_json::from_str(line).ok());
                if let Some(event) = events.find(wanted) {
                    return event;
                }
                more.await;
            }
        };
        tokio::time::timeout(patience, found).await.ok()
    }
}

/// The binary of this name beside the running test (`target/<profile>/`), built first, so that it is never an old one.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    static BUILT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let test = std::env::current_exe()?;
    let beside = test.parent().unwrap_or(&test);
    let profile = if beside.ends_with("deps") { beside.parent().unwrap_or(beside) } else { beside };
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if !built.contains(name) {
        build(name, profile.ends_with("release"))?;
        built.insert(name.to_owned());
    }
    let binary = profile.join(name);
    ensure!(binary.exists(), "{} is missing after its build", binary.display());
    Ok(binary)
}

fn build(name: &str, release: bool) -> anyhow::Result<()> {
    let mut cargo = std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--quiet", "--workspace", "--bin", name]);
    cargo.args(release.then_some("--release"));
    // What cargo tells this test of its package: ring's build script reads these, so ring and all above it would be
    // built anew, now and at the next build from outside.
    let told = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars().filter(|(name, _)| told(name)) {
        cargo.env_remove(name);
    }
    ensure!(cargo.status().context("cannot run cargo")?.success(), "{name} does not build");
    Ok(())
}

fn is_ready(event: &Value) -> bool {
    event["event"] == "ready" || event["fields"]["event"] == "ready"
}

async fn keep(output: Option<impl AsyncRead + Unpin>, lines: Arc<Lines>, mut reading: watch::Receiver<bool>) {
    let Some(output) = output else { return };
    let mut output = BufReader::new(output).lines();
    // An error: the program's value is gone, and with it whoever could stop the reading.
    while reading.wait_for(|reading| *reading).await.is_ok() {
        let Ok(Some(line)) = output.next_line().await else { return };
        lines.kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        lines.more.notify_waiters();
    }
}
