// SPDX-License-Identifier: GPL-3.0-or-later
//! A private redis-server: a free port of 127.0.0.1 and a unix socket, a directory of its own, nothing on disk; over
//! TLS and with the users of `deploy/redis/users.acl` where asked for. And several of them as a cluster, or as a master
//! and its replica watched by a Sentinel.

mod cluster;
mod sentinel;
mod tls;

pub use cluster::RedisCluster;
pub use sentinel::WatchedRedis;
pub use tls::Certificates;

use anyhow::{Context, Result, bail};
use redis::{Client, FromRedisValue, Value, cmd};
use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use thundergate_common::digest::Digest;

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(10);
/// Who may do what, as it is delivered.
const USERS: &str = include_str!("../../../../deploy/redis/users.acl");
/// Who may do everything, for this harness.
const HARNESS: &str = "harness";

/// Who gets in to a server; by default everybody.
#[derive(Clone, Default)]
pub struct Guard {
    /// TLS alone, with these.
    pub certificates: Option<Arc<Certificates>>,
    /// Whether clients have to show a certificate.
    pub client_certificates: bool,
    /// The users of `deploy/redis/users.acl` alone; [`password_of`] says their passwords.
    pub users: bool,
}

/// A redis-server that ends with this value.
pub struct RedisServer {
    process: Option<Child>,
    port: u16,
    directory: TempDir,
    guard: Guard,
    arguments: Vec<String>,
}

/// The password that a user of `users.acl` has here.
pub fn password_of(user: &str) -> String {
    format!("{user}'s/p@ss:w%rd")
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
        Self::start_guarded(&Guard::default(), arguments)
    }

    /// The same, and not everybody gets in.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_guarded(guard: &Guard, arguments: &[&str]) -> Result<Self> {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let directory = tempfile::tempdir()?;
        let mut server =
            Self { process: None, port: free_port()?, directory, guard: guard.clone(), arguments };
        server.start_again()?;
        Ok(server)
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}/0", self.guard.scheme(), self.port)
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

    /// Whether it has been started and not stopped.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Its process id; none while it is stopped.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Starts it on the same port and waits until it answers.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_again(&mut self) -> Result<()> {
        self.stop();
        // A Sentinel writes down what it sees, a node of a cluster too; both in their own directory.
        let file = self.directory.path().join("redis.conf");
        let is_sentinel = self.arguments.iter().any(|argument| argument == "--sentinel");
        let persistence = if is_sentinel { "" } else { "save \"\"\nappendonly no\n" };
        std::fs::write(&file, format!("bind 127.0.0.1\nunixsocket redis.sock\n{persistence}"))?;
        let process = Command::new("redis-server")
            .arg(&file)
            .args(self.guard.arguments(self.port, self.directory.path())?)
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
        self.ask(words)
    }

    /// The same, for an answer of a known shape.
    ///
    /// # Errors
    /// As [`Self::command`], and where the answer has another shape.
    pub fn ask<T: FromRedisValue>(&self, words: &str) -> Result<T> {
        // Over the unix socket: no certificate is needed there.
        let login = if self.guard.users { format!("?user={HARNESS}&pass={HARNESS}") } else { String::new() };
        let client = Client::open(format!("{}{login}", self.unix_url()))?;
        let mut connection = client.get_connection_with_timeout(PATIENCE)?;
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

impl Guard {
    fn scheme(&self) -> &'static str {
        if self.certificates.is_some() { "rediss" } else { "redis" }
    }

    fn arguments(&self, port: u16, directory: &Path) -> Result<Vec<String>> {
        let mut arguments = match &self.certificates {
            Some(certificates) => certificates.server_arguments(port, self.client_certificates),
            None => vec!["--port".to_owned(), port.to_string()],
        };
        if self.users {
            let file = directory.join("users.acl");
            std::fs::write(&file, users())?;
            // As a replica it logs in as the harness.
            let login = ["--masteruser", HARNESS, "--masterauth", HARNESS].map(str::to_owned);
            arguments.extend(login);
            arguments.extend(["--aclfile".to_owned(), file.display().to_string()]);
        }
        Ok(arguments)
    }
}

/// The delivered file with passwords, given as its documentation says, and the harness's own user.
fn users() -> String {
    let with_password = |line: &str| {
        let user = line.split(' ').nth(1).filter(|user| *user != "default");
        let digest = user.map(|user| Digest::of(password_of(user).as_bytes()).to_string());
        digest
            .map_or(line.to_owned(), |digest| line.replacen("resetpass", &format!("resetpass #{digest}"), 1))
    };
    let delivered: Vec<String> = USERS.lines().map(with_password).collect();
    format!("{}\nuser {HARNESS} on >{HARNESS} ~* &* +@all\n", delivered.join("\n"))
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn eventually(what: &str, mut happens: impl FnMut() -> bool) -> Result<()> {
    let started = Instant::now();
    while !happens() {
        if started.elapsed() > PATIENCE * 2 {
            bail!("never: {what}");
        }
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
