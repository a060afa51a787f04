// SPDX-License-Identifier: GPL-3.0-or-later
//! A private redis-server: a free port of 127.0.0.1 and a unix socket, a directory of its own, nothing on disk.

use anyhow::{Context, Result, bail};
use redis::{Client, Value, cmd};
use std::{
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// A redis-server that ends with this value.
pub struct RedisServer {
    process: Option<Child>,
    port: u16,
    directory: TempDir,
    arguments: Vec<String>,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// Where there is no redis-server, or it does not answer in time.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// The same with further arguments, such as `["--maxmemory", "8mb"]`.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(arguments: &[&str]) -> Result<Self> {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let directory = tempfile::tempdir()?;
        let mut server = Self { process: None, port: free_port()?, directory, arguments };
        server.start_again()?;
        Ok(server)
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Its address on this machine's file system.
    pub fn unix_url(&self) -> String {
        format!("unix://{}", self.directory.path().join("redis.sock").display())
    }

    /// Kills it, as a crash would; all it held is gone.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // An error means that it has ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts it on the same port and waits until it answers.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_again(&mut self) -> Result<()> {
        self.stop();
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--unixsocket", "redis.sock"])
            .args(["--port", &self.port.to_string()])
            .arg("--dir")
            .arg(self.directory.path())
            .args(&self.arguments)
            .current_dir(self.directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("redis-server cannot be started")?;
        self.process = Some(process);
        self.wait_until_it_answers()
    }

    /// Runs one command, words separated by blanks.
    ///
    /// # Errors
    /// Where the server cannot be reached or refuses.
    pub fn command(&self, words: &str) -> Result<Value> {
        let mut connection = Client::open(self.url())?.get_connection_with_timeout(PATIENCE)?;
        let mut words = words.split(' ');
        let mut command = cmd(words.next().unwrap_or_default());
        words.for_each(|word| _ = command.arg(word));
        Ok(command.query(&mut connection)?)
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let started = Instant::now();
        while self.command("PING").is_err() {
            if let Some(status) = self.process.as_mut().and_then(|process| process.try_wait().transpose()) {
                bail!("redis-server ended: {}", status?);
            }
            if started.elapsed() > PATIENCE {
                bail!("redis-server does not answer");
            }
            sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
