// SPDX-License-Identifier: GPL-3.0-or-later
//! The programs that are measured, each a process of its own with its log in a file: reading it would cost the machine
//! something, and so would keeping it.

use crate::load::Process;
use anyhow::{Context as _, bail};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use thundergate_harness::{
    process::binary,
    redis::RedisServer,
    thunderstorm::{Settings, Standin},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A process. Dropping it ends it.
#[derive(Debug)]
pub struct Started {
    name: String,
    child: Child,
    dir: TempDir,
    ready: Value,
}

impl Started {
    /// Runs `command` and waits for its line with `event = "ready"`.
    fn start(name: &str, dir: TempDir, mut command: Command) -> anyhow::Result<Self> {
        let log = dir.path().join("log");
        let output = fs::File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().with_context(|| format!("cannot run {name}"))?;
        let mut started = Self { name: name.to_owned(), child, dir, ready: Value::Null };
        let began = Instant::now();
        while started.ready.is_null() {
            let lines = fs::read_to_string(&log)?;
            let events = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let ready = events.into_iter().find(|event| event["event"] == "ready");
            started.ready = ready.unwrap_or_default();
            if began.elapsed() > PATIENCE || started.child.try_wait()?.is_some() {
                bail!("{name} is not ready: {lines}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(started)
    }

    /// Where it listens first.
    pub fn address(&self) -> anyhow::Result<String> {
        Ok(self.addresses()?.swap_remove(0))
    }

    /// Where it listens.
    pub fn addresses(&self) -> anyhow::Result<Vec<String>> {
        let listen = &self.ready["listen"];
        Ok(match listen.as_str() {
            Some(text) => serde_json::from_str(text).unwrap_or_else(|_| vec![text.to_owned()]),
            None => serde_json::from_value(listen.clone())?,
        })
    }

    /// It, to be watched.
    pub fn process(&self) -> Process {
        Process { name: self.name.clone(), id: self.child.id() }
    }

    /// Where its files are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The floor: reads everything and accepts everything.
pub fn null_milter() -> anyhow::Result<Started> {
    let mut command = Command::new(binary("null-milter")?);
    command.args(["--listen", "inet:127.0.0.1:0"]);
    Started::start("null milter", tempfile::tempdir()?, command)
}

/// Ours, with its usual settings but for `toml`, on a free port and a socket in the file system.
pub fn milter(toml: &str) -> anyhow::Result<Started> {
    let dir = tempfile::Builder::new().prefix("thundergate-performance").tempdir()?;
    fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?; // others connect, too
    let socket = dir.path().join("milter.sock");
    let listen = format!("listen = [\"inet:127.0.0.1:0\", \"unix:{}\"]", socket.display());
    serve("thundergate-milter", dir, &format!("{listen}\nsocket_mode = \"666\"\n{toml}"))
}

/// A worker.
pub fn worker(toml: &str) -> anyhow::Result<Started> {
    serve("thundergate-worker", tempfile::tempdir()?, toml)
}

fn serve(name: &str, dir: TempDir, toml: &str) -> anyhow::Result<Started> {
    let file = dir.path().join("config.toml");
    fs::write(&file, format!("admin.listen = \"127.0.0.1:0\"\n{toml}"))?;
    let mut command = Command::new(binary(name)?);
    command.arg("serve").arg("--config").arg(&file);
    Started::start(name, dir, command)
}

/// A scanner that needs no time, or as long as it is told.
pub async fn scanner(service_time: Duration) -> Standin {
    Standin::start(Settings { service_time, waiting: 1000, ..Settings::default() }).await
}

/// `[farm]` with this scanner.
pub fn farm(scanner: &Standin) -> String {
    format!("[farm]\ninstances = [{{ url = \"{}\" }}]\n", scanner.url())
}

/// `[redis]` with this one.
pub fn redis(redis: &RedisServer) -> String {
    format!("[redis]\nurl = \"{}\"\n", redis.bare_url())
}
