// SPDX-License-Identifier: GPL-3.0-or-later
//! A whole site on this machine: stand-in scanners, Redis, workers and milters as processes of their own.

use super::{
    mta::{Mail, Mta, Reply},
    process::{Program, binary},
    redis::{MILTER, RedisServer, WORKER},
};
use crate::thunderstorm::{Settings, Standin};
use anyhow::Context as _;
use std::{
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{Mutex, MutexGuard},
    time::Duration,
};
use thundergate_common::digest::Digest;

/// Quick everywhere, so that tests need not wait for what an operator would.
const QUICK_FARM: &str = "probe_interval = \"200ms\"\nconnect_timeout = \"500ms\"\n";

const PATIENCE: Duration = Duration::from_secs(10);

/// A milter that runs, and its address.
pub struct Milter {
    /// The process.
    pub program: Program,
    /// `inet:127.0.0.1:PORT` or `unix:PATH`.
    pub address: String,
}

/// Some stand-ins and, if asked for, a Redis.
pub struct Site {
    /// The scanners.
    pub farm: Vec<Standin>,
    /// What milters and workers share.
    redis: Option<Mutex<RedisServer>>,
    /// The admin sockets of all who know of queue and verdicts, in the order of their starts.
    sockets: Mutex<Vec<PathBuf>>,
}

impl Site {
    /// `scanners` stand-ins and a Redis.
    pub async fn cluster(scanners: usize, settings: Settings) -> Self {
        let redis = Some(Mutex::new(RedisServer::start().expect("redis-server starts")));
        Self { redis, ..Self::single(scanners, settings).await }
    }

    /// `scanners` stand-ins for a milter without Redis.
    pub async fn single(scanners: usize, settings: Settings) -> Self {
        let mut farm = Vec::new();
        for _ in 0..scanners {
            farm.push(Standin::start(settings.clone()).await);
        }
        Self { farm, redis: None, sockets: Mutex::default() }
    }

    /// Starts a milter: over Redis where the site has one, else with the farm inside. `extra` is TOML: top-level keys
    /// in dotted form first.
    pub async fn milter(&self, extra: &str) -> Milter {
        let hub = self.redis_section(MILTER).unwrap_or_else(|| self.farm_section());
        let milter = Milter::start(&format!("{extra}\n{hub}")).await;
        if self.redis.is_none() {
            self.remember(&milter.program);
        }
        milter
    }

    /// Starts a milter over Redis that logs in as another user than milters do.
    pub async fn milter_as(&self, user: &str, extra: &str) -> Milter {
        let redis = self.redis_section(user).expect("a site with Redis");
        Milter::start(&format!("{extra}\n{redis}")).await
    }

    /// Starts a milter over Redis that can scan directly, too.
    pub async fn milter_with_fallback(&self, extra: &str) -> Milter {
        let redis = self.redis_section(MILTER).expect("a site with Redis");
        Milter::start(&format!("{extra}\n{redis}\n{}", self.farm_section())).await
    }

    /// Starts a worker for the whole farm.
    pub async fn worker(&self, extra: &str) -> Program {
        let redis = self.redis_section(WORKER).expect("a site with Redis");
        let toml = format!("admin.listen = \"127.0.0.1:0\"\n{extra}\n{redis}\n{}", self.farm_section());
        let worker = Program::start("thundergate-worker", &toml).await.expect("the worker starts");
        self.remember(&worker);
        worker
    }

    /// Runs `thundergate` for this site. It asks the first worker that runs, or the milter of a site without Redis.
    pub async fn command(&self, arguments: &[&str]) -> std::process::Output {
        let socket = self.socket().expect("a worker, or a milter without Redis, was started and runs");
        tokio::process::Command::new(binary("thundergate").expect("the command builds"))
            .args(arguments)
            .env("THUNDERGATE_SOCKET", socket)
            .output()
            .await
            .expect("the command runs")
    }

    /// The first admin socket where somebody listens who knows of queue and verdicts.
    pub fn socket(&self) -> Option<PathBuf> {
        self.sockets().iter().find(|socket| UnixStream::connect(socket).is_ok()).cloned()
    }

    fn remember(&self, program: &Program) {
        self.sockets().extend(program.socket());
    }

    fn sockets(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.sockets.lock().expect("nothing panics while it holds the sockets")
    }

    /// How often this sample was scanned, by whomever.
    pub fn scans_of(&self, bytes: &[u8]) -> u64 {
        let digest = Digest::of(bytes);
        self.farm.iter().map(|instance| instance.uploads_of(&digest)).sum()
    }

    /// Scans of any sample.
    pub fn scans(&self) -> u64 {
        self.farm.iter().map(Standin::total).sum()
    }

    /// `[farm]` with every stand-in.
    pub fn farm_section(&self) -> String {
        format!("[farm]\n{QUICK_FARM}instances = {}\n", self.instances())
    }

    /// The instances as `farm.instances` has them.
    pub fn instances(&self) -> String {
        let instances = self.farm.iter().enumerate();
        let tables: Vec<String> = instances
            .map(|(number, instance)| format!("{{ name = \"storm{number}\", url = \"{}\" }}", instance.url()))
            .collect();
        format!("[{}]", tables.join(", "))
    }

    /// Where Redis is, for this user.
    pub fn redis_url_of(&self, user: &str) -> String {
        self.redis().url_of(user)
    }

    /// The most memory that Redis has taken, in bytes.
    ///
    /// # Errors
    /// It does not answer.
    pub fn redis_peak(&self) -> anyhow::Result<u64> {
        let info = redis::from_redis_value::<String>(self.redis().command("INFO memory")?)?;
        let peak = info.lines().find_map(|line| line.strip_prefix("used_memory_peak:"));
        Ok(peak.context("no used_memory_peak")?.trim().parse()?)
    }

    /// Kills Redis; what it has on disk stays.
    pub fn stop_redis(&self) {
        self.redis().stop();
    }

    /// Kills Redis and its disk with it, and starts it again where it was.
    pub fn empty_redis(&self) {
        self.redis().stop_and_forget().expect("its files can be removed");
        self.start_redis();
    }

    /// Starts Redis again where it was, with what it has on disk.
    pub fn start_redis(&self) {
        self.redis().start_again().expect("redis-server starts again");
    }

    fn redis(&self) -> MutexGuard<'_, RedisServer> {
        self.redis.as_ref().expect("a site with Redis").lock().expect("nothing panics while it holds Redis")
    }

    fn redis_section(&self, user: &str) -> Option<String> {
        self.redis.as_ref()?;
        Some(format!("[redis]\nurl = \"{}\"\n", self.redis_url_of(user)))
    }
}

impl Milter {
    /// Starts one with this configuration, on free ports unless it says otherwise.
    pub async fn start(toml: &str) -> Self {
        let listen = if toml.contains("listen = [") { "" } else { "listen = [\"inet:127.0.0.1:0\"]\n" };
        let toml = format!("admin.listen = \"127.0.0.1:0\"\n{listen}{toml}");
        let program = Program::start("thundergate-milter", &toml).await.expect("the milter starts");
        let address = program.addresses("listen").swap_remove(0);
        Self { program, address }
    }

    /// One message over a connection of its own.
    pub async fn send(&self, mail: &Mail) -> Reply {
        let mut mta = Mta::connect(&self.address).await.expect("the milter accepts connections");
        let reply = mta.send(mail).await.expect("the milter answers");
        mta.quit().await.expect("the milter lets go");
        reply
    }

    /// The log line of a message.
    pub async fn line_of(&self, mail: &Mail) -> serde_json::Value {
        let is_it = |line: &serde_json::Value| {
            line["event"] == "message" && line["queue.id"] == mail.queue_id.as_str()
        };
        self.program.wait_for(is_it, PATIENCE).await.expect("the message is logged")
    }
}
