// SPDX-License-Identifier: GPL-3.0-or-later
//! A private redis-server with the settings and the users that are delivered, `deploy/redis/`: on a free port of
//! 127.0.0.1 and a unix socket, in a directory of its own; over TLS where asked for. And several of them as a cluster, or
//! as a master and its replica watched by a Sentinel.

mod cluster;
mod guard;
mod sentinel;
mod tls;

pub use cluster::RedisCluster;
pub use guard::{Guard, HARNESS, MILTER, OPERATOR, WORKER, login_of, password_of};
pub use sentinel::WatchedRedis;
pub use tls::Certificates;

use anyhow::{Context, Result, bail, ensure};
use redis::{Client, Cmd, FromRedisValue, Value};
use std::{
    fs::{DirEntry, OpenOptions},
    io::ErrorKind,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// A place in an append-only file.
pub struct Mark {
    file: PathBuf,
    length: u64,
}

/// A redis-server that ends with this value.
pub struct RedisServer {
    process: Option<Child>,
    port: u16,
    directory: TempDir,
    guard: Guard,
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

    /// A server that everybody gets in to and that keeps nothing on disk: for other programs than ours, and to measure.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_open() -> Result<Self> {
        Self::start_guarded(&Guard::open(), &[])
    }

    /// As [`Self::start`] with further arguments, such as `["--maxmemory", "8mb"]`.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(arguments: &[&str]) -> Result<Self> {
        Self::start_guarded(&Guard::default(), arguments)
    }

    /// The same, with what else decides who gets in.
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

    /// Its address, for this user.
    pub fn url_of(&self, user: &str) -> String {
        format!("{}://{}@127.0.0.1:{}/0", self.guard.scheme(), login_of(user), self.port)
    }

    /// Its address, for nobody.
    pub fn bare_url(&self) -> String {
        format!("{}://127.0.0.1:{}/0", self.guard.scheme(), self.port)
    }

    /// Its address on this machine's file system, for this user.
    pub fn unix_url_of(&self, user: &str) -> String {
        format!("{}?user={user}&pass={}", self.bare_unix_url(), guard::escaped(&password_of(user)))
    }

    /// Its address on this machine's file system, for nobody.
    pub fn bare_unix_url(&self) -> String {
        format!("unix://{}", self.directory.path().join("redis.sock").display())
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Ends it as an operator does (SIGTERM), and waits for its end.
    ///
    /// # Errors
    /// Where it does not end well.
    pub fn terminate(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let sent = Command::new("kill").args(["-TERM", &process.id().to_string()]).status()?;
        ensure!(sent.success(), "redis-server had ended before");
        let ended = process.wait()?;
        ensure!(ended.success(), "redis-server ended: {ended}");
        Ok(())
    }

    /// Kills it, as a crash would. What it has on disk stays.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // An error means that it has ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Kills it, and its disk is lost with it.
    ///
    /// # Errors
    /// Where its files cannot be removed.
    pub fn stop_and_forget(&mut self) -> Result<()> {
        self.stop();
        match std::fs::remove_dir_all(self.append_only()) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            outcome => outcome.context("the append-only file cannot be removed"),
        }
    }

    /// What is in the append-only file now, as a mark for [`Self::stop_and_lose_since`].
    ///
    /// # Errors
    /// Where there is none.
    pub fn mark(&self) -> Result<Mark> {
        let files = std::fs::read_dir(self.append_only())?.collect::<Result<Vec<_>, _>>()?;
        let grows = |file: &DirEntry| file.file_name().to_string_lossy().ends_with(".incr.aof");
        let file = files.into_iter().rfind(grows).context("nothing is appended to a file")?;
        Ok(Mark { length: file.metadata()?.len(), file: file.path() })
    }

    /// Kills it, and what it wrote since `mark` never reached the disk, as where its whole machine crashes.
    ///
    /// # Errors
    /// Where the file cannot be cut.
    pub fn stop_and_lose_since(&mut self, mark: &Mark) -> Result<()> {
        self.stop();
        Ok(OpenOptions::new().write(true).open(&mark.file)?.set_len(mark.length)?)
    }

    fn append_only(&self) -> PathBuf {
        self.directory.path().join("appendonlydir")
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
        std::fs::write(&file, self.guard.settings())?;
        let process = Command::new("redis-server")
            .arg(&file)
            .args(self.guard.arguments(self.port, self.directory.path())?)
            .args(["--bind", "127.0.0.1", "--unixsocket", "redis.sock", "--dir"])
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
        self.run(&words.split(' ').collect::<Vec<_>>())
    }

    /// The same for words with blanks in them.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn run<T: FromRedisValue>(&self, words: &[&str]) -> Result<T> {
        // Over the unix socket: no certificate is needed there.
        let url = if self.guard.is_open() { self.bare_unix_url() } else { self.unix_url_of(HARNESS) };
        let client = Client::open(url)?;
        let mut connection = client.get_connection_with_timeout(PATIENCE)?;
        let mut command = Cmd::new();
        words.iter().for_each(|word| _ = command.arg(word));
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
