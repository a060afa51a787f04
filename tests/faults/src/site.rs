// SPDX-License-Identifier: GPL-3.0-or-later
//! The site that a run torments: milters, workers and Redis as processes, stand-ins in this one, a proxy on every link
//! between them.

use super::{
    backend::{Backend, Sort},
    blind::{CANARY_EVERY, LAG},
    corpus::POLICY,
    disk::{Clock, SmallDisk},
    hostile::{RESTART, SLOW},
    journal::Journal,
    kind::{ALL, INSTANCES, Kind, MILTERS, WORKERS},
    process::Revenant,
    witness::Witness,
};
use std::{fmt::Write as _, io::Write as _, path::PathBuf, sync::Arc, time::Duration};
use tempfile::NamedTempFile;
use thundergate_harness::{
    free_port,
    postfix::Postfix,
    proxy::Proxy,
    redis::{MILTER, WORKER},
    thunderstorm::{Settings, Standin},
};

/// How long an instance is busy with a sample.
pub const SERVICE_TIME: Duration = Duration::from_millis(30);

/// Short, so that what was left behind by the dead is gone soon, and a run can be short.
const SHORT: &str = r#"
queue.lease_ttl = "5s"
queue.reclaim_after = "3s"
queue.reserve_ttl = "3s"
queue.sample_ttl = "20s"
cache.local_ttl = "2s"
"#;
const SHORT_WAIT: &str = "wait.deadline = \"6s\"\nwait.poll = \"500ms\"\n";
/// Of a twin: the milter's own deadline, since whether a mail is deferred is what twins are about.
const TWINS_WAIT: &str = "wait.poll = \"500ms\"\n";
const FARM: &str = "probe_interval = \"500ms\"\nconnect_timeout = \"500ms\"\n";
/// `farm.timeout`.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Of a twin: shorter than a slow sample takes.
const TWINS_TIMEOUT: Duration = Duration::from_secs(6);
/// The instances of a twin, and what they scan at a time.
const TWINS_INSTANCES: usize = 3;
const TWINS_THREADS: usize = 8;
/// What is compiled into the worker.
const WORKER_DEFAULTS: &str = include_str!("../../../deploy/worker.toml");
/// Both programs; the drain is given less time than a run gives a process to end.
const BOTH: &str = "admin.listen = \"127.0.0.1:0\"\ngrace = \"8s\"\n";
/// `limits.connections` of a milter: few enough to be used up, and more than all senders have.
pub const CONNECTIONS: usize = 250;

/// How a site is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// What Redis is.
    pub redis: Sort,
    /// The programs' own time-outs rather than short ones.
    pub defaults: bool,
    /// With a Postfix in front of the first milter.
    pub postfix: bool,
    /// More TOML for milters: keys in dotted form.
    pub milter: String,
    /// With `redis.secret_file`.
    pub sealed: bool,
    /// Where programs of another version are, to begin with.
    pub upgrade_from: Option<PathBuf>,
    /// It is one of two that are compared.
    pub twin: bool,
}

impl Layout {
    fn instances(&self) -> usize {
        if self.twin { TWINS_INSTANCES } else { INSTANCES }
    }

    fn instance(&self) -> Settings {
        let usual = Settings {
            service_time: SERVICE_TIME,
            waiting: 16,
            restart: RESTART,
            slow: SLOW,
            ..Settings::default()
        };
        let threads = if self.twin { TWINS_THREADS } else { usual.threads };
        Settings { threads, ..usual }
    }
}

/// All of it. Dropping it stops everything.
pub struct Site {
    /// One after the other, with their addresses.
    pub milters: Vec<Revenant>,
    /// Where milters listen, in Postfix's spelling.
    pub addresses: Vec<String>,
    /// One after the other.
    pub workers: Vec<Revenant>,
    /// The scanners.
    pub farm: Vec<Standin>,
    /// Redis.
    pub backend: Backend,
    /// Milter to Redis; empty where no proxy can stand in between.
    pub milter_links: Vec<Proxy>,
    /// Worker to Redis; likewise.
    pub worker_links: Vec<Proxy>,
    /// Worker to instance.
    pub instance_links: Vec<Vec<Proxy>>,
    /// The disk that the last milter and the last worker log to, where there can be one.
    pub disk: Option<SmallDisk>,
    /// The clock of the second milter and the second worker, where there can be one.
    pub clock: Option<Clock>,
    /// In front of the first milter.
    pub postfix: Option<Postfix>,
    /// `redis.secret_file`, where there is one.
    secret: Option<NamedTempFile>,
    /// How long a message waits.
    pub deadline: Duration,
    /// How long after the death of a worker others have its jobs.
    pub reclaimed_within: Duration,
}

impl Site {
    /// Starts everything and waits until it is ready.
    pub async fn start(layout: &Layout, journal: &Arc<Journal>) -> anyhow::Result<Self> {
        let backend = Backend::start(layout.redis)?;
        let mut farm = Vec::new();
        for _ in 0..layout.instances() {
            farm.push(Standin::start(layout.instance()).await);
        }
        let milter_links = redis_links(&backend, MILTERS).await?;
        let worker_links = redis_links(&backend, WORKERS).await?;
        let instance_links = instance_links(&farm, journal).await?;
        let (disk, clock) = (SmallDisk::mount(), Clock::right());
        let mut site = Self {
            milters: Vec::new(),
            addresses: (0..MILTERS).map(|_| format!("inet:127.0.0.1:{}", free_port())).collect(),
            workers: Vec::new(),
            farm,
            backend,
            milter_links,
            worker_links,
            instance_links,
            disk,
            clock,
            postfix: None,
            secret: if layout.sealed { Some(secret_file()?) } else { None },
            deadline: Duration::from_secs(if layout.defaults || layout.twin { 20 } else { 6 }),
            reclaimed_within: Duration::from_secs(if layout.defaults { 16 } else { 6 }),
        };
        site.milters = (0..MILTERS).map(|number| site.milter(number, layout)).collect::<Result<_, _>>()?;
        site.workers = (0..WORKERS).map(|number| site.worker(number, layout)).collect::<Result<_, _>>()?;
        for program in site.programs() {
            program.start().await?;
        }
        if layout.postfix {
            site.postfix = Some(Postfix::start(&site.addresses[..1]).await?);
        }
        Ok(site)
    }

    /// Milters and workers.
    pub fn programs(&self) -> impl Iterator<Item = &Revenant> {
        self.workers.iter().chain(&self.milters)
    }

    /// The faults that can be done to it.
    pub fn possible(&self) -> Vec<Kind> {
        let proxied = !self.milter_links.is_empty();
        let possible = |kind: &Kind| match kind {
            Kind::Failover => self.backend.replicated_master().is_some(),
            Kind::RedisRestarted
            | Kind::RedisEmptied
            | Kind::RedisFull
            | Kind::RedisReadOnly
            | Kind::RedisMisconf => matches!(self.backend, Backend::Single(_)),
            Kind::MilterCutFromRedis
            | Kind::WorkerCutFromRedis
            | Kind::RedisRefused
            | Kind::RedisLatency
            | Kind::RedisFar => proxied,
            Kind::LogDiskFull => self.disk.is_some(),
            Kind::ClockJump => self.clock.is_some(),
            _ => true,
        };
        ALL.into_iter().filter(possible).collect()
    }

    /// Changes the settings of every instance.
    pub fn every_instance(&self, change: impl Fn(&mut Settings)) {
        self.farm.iter().for_each(|instance| instance.settings(&change));
    }

    /// How often each sample was scanned, as the instances count; by the name of the upload.
    pub fn uploads(&self) -> std::collections::BTreeMap<String, u64> {
        let mut uploads = std::collections::BTreeMap::new();
        for name in self.farm.iter().flat_map(Standin::names) {
            *uploads.entry(name).or_default() += 1;
        }
        uploads
    }

    /// What is logged about a queue id, by whomever.
    pub async fn lines_about(&self, text: &str) -> Vec<String> {
        let mut about = Vec::new();
        for program in self.programs() {
            let lines = program.lines().await.into_iter().filter(|line| line.contains(text));
            about.extend(lines.map(|line| format!("{}: {line}", program.name)));
        }
        about
    }

    fn milter(&self, number: usize, layout: &Layout) -> anyhow::Result<Revenant> {
        let listen = format!("listen = [\"{}\"]\n", self.addresses[number]);
        let short = match layout {
            Layout { defaults: true, .. } => "",
            Layout { twin: true, .. } => TWINS_WAIT,
            Layout { .. } => SHORT_WAIT,
        };
        let redis = self.redis_section(MILTER, self.milter_links.get(number), layout);
        let limits = format!("limits.connections = {CONNECTIONS}\n");
        let config = format!("{listen}{BOTH}{POLICY}{limits}{short}{}\n{redis}", layout.milter);
        self.program("milter", number, MILTERS, config, layout)
    }

    fn worker(&self, number: usize, layout: &Layout) -> anyhow::Result<Revenant> {
        let redis = self.redis_section(WORKER, self.worker_links.get(number), layout);
        let timeout = if layout.twin { TWINS_TIMEOUT } else { TIMEOUT };
        let mut farm =
            format!("[farm]\n{FARM}{}timeout = \"{}s\"\ninstances = [\n", lag(), timeout.as_secs());
        for (instance, link) in self.instance_links[number].iter().enumerate() {
            let url = format!("http://{}", link.address());
            writeln!(farm, "  {{ name = \"storm{instance}\", url = \"{url}\" }},").expect("texts grow");
        }
        self.program("worker", number, WORKERS, format!("{BOTH}{}{redis}{farm}]\n", canary()), layout)
    }

    fn program(
        &self,
        sort: &str,
        number: usize,
        of: usize,
        config: String,
        layout: &Layout,
    ) -> anyhow::Result<Revenant> {
        let clock = self.clock.as_ref().filter(|_| number == 1);
        let program = Revenant::new(sort, number, config, clock.map(Clock::env).unwrap_or_default())?;
        let program = program.replacing(layout.upgrade_from.as_deref());
        Ok(match &self.disk {
            Some(disk) if number + 1 == of => {
                let file = disk.path().join(format!("{sort}.log"));
                program.logging_to(file)
            }
            _ => program,
        })
    }

    fn redis_section(&self, user: &str, link: Option<&Proxy>, layout: &Layout) -> String {
        let url = self.backend.url_of(user, link.map(Proxy::address));
        let short = if layout.defaults { "" } else { SHORT };
        let secret = self.secret.as_ref().map(|file| format!("secret_file = {:?}\n", file.path()));
        format!("{short}[redis]\nurl = {url}\n{}", secret.unwrap_or_default())
    }
}

/// Short, too, in versions that have it.
fn canary() -> String {
    let known = WORKER_DEFAULTS.lines().any(|line| line == "[canary]");
    if known { format!("canary.every = \"{}s\"\n", CANARY_EVERY.as_secs()) } else { String::new() }
}

/// See [`canary`].
fn lag() -> String {
    let known = WORKER_DEFAULTS.lines().any(|line| line.starts_with("lag ="));
    if known { format!("lag = \"{}s\"\n", LAG.as_secs()) } else { String::new() }
}

fn secret_file() -> std::io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    writeln!(file, "a secret of the fault suite, long enough")?;
    Ok(file)
}

async fn redis_links(backend: &Backend, count: usize) -> std::io::Result<Vec<Proxy>> {
    let mut links = Vec::new();
    if let Some(address) = backend.address() {
        for _ in 0..count {
            links.push(Proxy::start(address).await?);
        }
    }
    Ok(links)
}

async fn instance_links(farm: &[Standin], journal: &Arc<Journal>) -> std::io::Result<Vec<Vec<Proxy>>> {
    let mut all = Vec::new();
    for worker in 0..WORKERS {
        let mut links = Vec::new();
        for (instance, standin) in farm.iter().enumerate() {
            let witness = Witness { journal: Arc::clone(journal), worker, instance };
            links.push(Proxy::start_with(standin.address(), Some(Arc::new(witness))).await?);
        }
        all.push(links);
    }
    Ok(all)
}
