// SPDX-License-Identifier: GPL-3.0-or-later
//! A milter or worker that dies and comes back with the same configuration at the same address.

use anyhow::Context as _;
use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex as Brief, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use thundergate_harness::{
    process::{Program, binary},
    waiting::PATIENCE,
};
use tokio::{sync::Mutex, time::sleep};

/// One process after the other.
pub struct Revenant {
    /// `milter2`, `worker0`.
    pub name: String,
    /// How it is told apart: its number among its kind.
    pub number: usize,
    binary: PathBuf,
    config: String,
    env: Vec<(String, String)>,
    /// Another version of it.
    other: Option<PathBuf>,
    is_other: AtomicBool,
    /// Where it logs, where that is not stdout.
    log_file: Option<PathBuf>,
    running: Mutex<Option<Program>>,
    /// What the dead ones wrote.
    past: Brief<Vec<String>>,
}

impl Revenant {
    /// A milter or a worker that has not been started yet.
    pub fn new(
        sort: &str,
        number: usize,
        config: String,
        env: Vec<(String, String)>,
    ) -> anyhow::Result<Self> {
        let binary = binary(if sort == "milter" { "thundergate-milter" } else { "thundergate-worker" })?;
        Ok(Self {
            name: format!("{sort}{number}"),
            number,
            binary,
            config,
            env,
            other: None,
            is_other: AtomicBool::new(false),
            log_file: None,
            running: Mutex::default(),
            past: Brief::default(),
        })
    }

    /// Lets it begin as another version of the program, from this directory, and change versions at each SIGTERM.
    pub fn replacing(mut self, directory: Option<&Path>) -> Self {
        self.other = directory.zip(self.binary.file_name()).map(|(directory, name)| directory.join(name));
        self.is_other = AtomicBool::new(self.other.is_some());
        self
    }

    /// Lets it log to a file.
    pub fn logging_to(mut self, file: PathBuf) -> Self {
        self.config = format!("log.rotation = \"never\"\nlog.file = \"{}\"\n{}", file.display(), self.config);
        self.log_file = Some(file);
        self
    }

    /// Starts it; where it cannot, that is a trouble of the run.
    pub async fn start(&self) -> anyhow::Result<()> {
        let env: Vec<_> = self.env.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let other = self.other.as_ref().filter(|_| self.is_other.load(SeqCst));
        let started = Program::start_file(other.unwrap_or(&self.binary), &self.config, &env).await;
        let program = started.with_context(|| format!("{} does not start", self.name))?;
        *self.running.lock().await = Some(program);
        Ok(())
    }

    /// kill -9.
    pub async fn kill9(&self) -> anyhow::Result<()> {
        let Some(mut program) = self.running.lock().await.take() else { return Ok(()) };
        let killed = program.kill9().await;
        self.bury(&program);
        killed.map(drop)
    }

    /// SIGTERM; an error where it does not leave with success. The next one is the other version, where there is one.
    pub async fn terminate(&self) -> anyhow::Result<()> {
        let Some(mut program) = self.running.lock().await.take() else { return Ok(()) };
        let status = program.terminate().await;
        self.bury(&program);
        self.is_other.fetch_xor(self.other.is_some(), SeqCst);
        let status = status?;
        anyhow::ensure!(status.success(), "{} ended with {status} after SIGTERM", self.name);
        Ok(())
    }

    /// SIGHUP three times: with a configuration that is wrong, with one in which something is different, and, after
    /// `lasts`, with its own again. An error where the log does not say so.
    pub async fn reload(&self, lasts: Duration) -> anyhow::Result<()> {
        self.hang_up(&format!("wrong = true\n{}", self.config), "The configuration is wrong").await?;
        self.hang_up(&self.changed(), r#""event":"reloaded""#).await?;
        sleep(lasts).await;
        self.hang_up(&self.config, r#""event":"reloaded""#).await
    }

    /// A milter with fewer seats; a worker with an instance less.
    fn changed(&self) -> String {
        let config = self.config.lines().filter(|line| !line.contains("\"storm0\""));
        let fewer = if self.binary.ends_with("thundergate-milter") { "wait.sessions = 64\n" } else { "" };
        format!("{fewer}{}", config.collect::<Vec<_>>().join("\n"))
    }

    async fn hang_up(&self, config: &str, wanted: &str) -> anyhow::Result<()> {
        let said = async || self.lines().await.iter().filter(|line| line.contains(wanted)).count();
        let (before, began) = (said().await, Instant::now());
        match &*self.running.lock().await {
            Some(program) => program.reload(config)?,
            None => return Ok(()),
        }
        // What logs to a disk that may be full may say nothing.
        while said().await <= before && self.log_file.is_none() {
            anyhow::ensure!(began.elapsed() < PATIENCE, "{} does not say {wanted}", self.name);
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// From now on nobody reads what it writes to stdout, or somebody does again.
    pub async fn read(&self, reading: bool) {
        if let Some(program) = &*self.running.lock().await {
            program.read(reading);
        }
    }

    /// Its process id; none while it is stopped.
    pub async fn id(&self) -> Option<u32> {
        self.running.lock().await.as_ref().and_then(Program::id)
    }

    /// Whether it has ended although nobody asked it to.
    pub async fn is_dead(&self) -> bool {
        let running = self.running.lock().await;
        running.as_ref().is_some_and(|program| program.id().is_none_or(|id| !is_alive(id)))
    }

    /// All it ever wrote.
    pub async fn lines(&self) -> Vec<String> {
        let mut lines = self.past.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(program) = &*self.running.lock().await {
            lines.extend(program.log_lines());
        }
        let file = self.log_file.as_ref().and_then(|file| std::fs::read(file).ok());
        lines.extend(String::from_utf8_lossy(&file.unwrap_or_default()).lines().map(str::to_owned));
        lines
    }

    fn bury(&self, program: &Program) {
        self.past.lock().unwrap_or_else(PoisonError::into_inner).extend(program.log_lines());
    }
}

/// A process that has ended and was not waited for is a zombie.
fn is_alive(id: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z') && !line.contains('X'))
}
