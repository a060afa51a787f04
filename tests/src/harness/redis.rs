// SPDX-License-Identifier: GPL-3.0-or-later
//! A private redis-server: a free port of 127.0.0.1 and a unix socket, a directory of its own, nothing on disk. And
//! several of them as a cluster, or as a master and its replica watched by a Sentinel.

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
        // A Sentinel writes down what it sees, a node of a cluster too; both in their own directory.
        let file = self.directory.path().join("redis.conf");
        let is_sentinel = self.arguments.iter().any(|argument| argument == "--sentinel");
        let persistence = if is_sentinel { "" } else { "save \"\"\nappendonly no\n" };
        std::fs::write(&file, format!("bind 127.0.0.1\nunixsocket redis.sock\n{persistence}"))?;
        let process = Command::new("redis-server")
            .arg(&file)
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

/// Three masters that share the slots.
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts the nodes and waits until the cluster is whole.
    ///
    /// # Errors
    /// Where a node does not start, or they do not find each other.
    pub fn start() -> Result<Self> {
        let mut nodes = Vec::new();
        for _ in 0..3 {
            let bus = free_port()?.to_string();
            nodes.push(RedisServer::start_with(&["--cluster-enabled", "yes", "--cluster-port", &bus])?);
        }
        let addresses = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port));
        let output = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(addresses)
            .arg("--cluster-yes")
            .output()
            .context("redis-cli cannot be started")?;
        if !output.status.success() {
            bail!("no cluster: {}", String::from_utf8_lossy(&output.stdout));
        }
        let cluster = Self { nodes };
        eventually("the cluster is whole", || {
            cluster.nodes.iter().all(|node| {
                let info = node.command("CLUSTER INFO").map(|info| format!("{info:?}"));
                info.is_ok_and(|info| info.contains("cluster_state:ok"))
            })
        })?;
        Ok(cluster)
    }

    /// The addresses of its nodes.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(|node| format!("redis://127.0.0.1:{}", node.port)).collect()
    }
}

/// A master and its replica, watched by one Sentinel.
pub struct WatchedRedis {
    master: RedisServer,
    replica: RedisServer,
    sentinel: RedisServer,
}

impl WatchedRedis {
    /// Starts all three and waits until the Sentinel knows the replica.
    ///
    /// # Errors
    /// Where one does not start.
    pub fn start() -> Result<Self> {
        let master = RedisServer::start()?;
        let port = master.port.to_string();
        let replica =
            RedisServer::start_with(&["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"])?;
        let sentinel = RedisServer::start_with(&["--sentinel"])?;
        for words in [
            format!("SENTINEL MONITOR main 127.0.0.1 {port} 1"),
            "SENTINEL SET main down-after-milliseconds 500".to_owned(),
            "SENTINEL SET main failover-timeout 2000".to_owned(),
        ] {
            sentinel.command(&words)?;
        }
        let watched = Self { master, replica, sentinel };
        let knows = |port: u16| {
            let replicas = watched.sentinel.command("SENTINEL REPLICAS main").map(|all| format!("{all:?}"));
            replicas.is_ok_and(|all| all.contains(&port.to_string()) && all.contains("\"ok\""))
        };
        eventually("the Sentinel knows the replica", || knows(watched.replica.port))?;
        Ok(watched)
    }

    /// The address that names the Sentinel and the service.
    pub fn url(&self) -> String {
        format!("redis+sentinel://127.0.0.1:{}/main?db=0", self.sentinel.port)
    }

    /// Kills the master; the Sentinel then promotes the replica.
    pub fn lose_the_master(&mut self) {
        self.master.stop();
    }
}

fn eventually(what: &str, happens: impl Fn() -> bool) -> Result<()> {
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
