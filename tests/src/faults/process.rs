// SPDX-License-Identifier: GPL-3.0-or-later
//! A milter or worker that dies and comes back with the same configuration at the same address.

use crate::harness::process::Program;
use anyhow::Context as _;
use std::{
    path::PathBuf,
    sync::{Mutex as Brief, PoisonError},
};
use tokio::sync::Mutex;

/// One process after the other.
pub struct Revenant {
    /// `milter2`, `worker0`.
    pub name: String,
    /// How it is told apart: its number among its kind.
    pub number: usize,
    binary: &'static str,
    config: String,
    env: Vec<(String, String)>,
    /// Where it logs, where that is not stdout.
    log_file: Option<PathBuf>,
    running: Mutex<Option<Program>>,
    /// What the dead ones wrote.
    past: Brief<Vec<String>>,
}

impl Revenant {
    /// A milter or a worker that has not been started yet.
    pub fn new(sort: &str, number: usize, config: String, env: Vec<(String, String)>) -> Self {
        let binary = if sort == "milter" { "thundergate-milter" } else { "thundergate-worker" };
        let name = format!("{sort}{number}");
        let past = Brief::default();
        Self { name, number, binary, config, env, log_file: None, running: Mutex::default(), past }
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
        let started = Program::start_with_env(self.binary, &self.config, &env).await;
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

    /// SIGTERM; an error where it does not leave with success.
    pub async fn terminate(&self) -> anyhow::Result<()> {
        let Some(mut program) = self.running.lock().await.take() else { return Ok(()) };
        let status = program.terminate().await;
        self.bury(&program);
        let status = status?;
        anyhow::ensure!(status.success(), "{} ended with {status} after SIGTERM", self.name);
        Ok(())
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
