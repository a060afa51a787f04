// SPDX-License-Identifier: GPL-3.0-or-later
//! How each fault is done and undone, and what is measured afterwards. A fault that cannot be done or undone is a trouble
//! of the run, not of the product.

use super::{
    attack::attack,
    backend,
    corpus::PROBES,
    journal::{End, Journal, Measured, Millis},
    kind::Kind,
    millis,
    process::Revenant,
    schedule::Planned,
    senders::Senders,
    shortage,
    site::{SERVICE_TIME, Site},
};
use futures_util::future::{join, join_all};
use std::{
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use thundergate_harness::{
    proxy::{Mode, Proxy},
    redis::Mark,
    thunderstorm::{Fault, Settings},
};
use tokio::time::sleep;

/// Mail must flow so soon after Redis is back.
const FLOWS_WITHIN: Duration = Duration::from_secs(5);
/// And while Redis is far: a dozen ways there and back.
const FLOWS_FAR_WITHIN: Duration = Duration::from_secs(10);
/// What Redis may lose in a crash.
const UNSYNCED: Duration = Duration::from_secs(1);
/// When a measurement is given up.
const GIVEN_UP: Duration = Duration::from_secs(20);
/// Scans last so long while a worker is to be killed in the middle of one.
const LONG_SCAN: Duration = Duration::from_millis(1_500);
/// Mails sent for it to have something to scan.
const VICTIMS: usize = 12;
/// A slow instance takes so long for a scan.
const SLOW_SCAN: Duration = Duration::from_secs(2);
const LATENCY: Duration = Duration::from_millis(40);
/// Half of a way there and back.
const FAR: Duration = Duration::from_millis(150);
/// What an instance that is late says of its signatures.
const OLD: &str = "2026/10/01-120000";
/// How a worker logs it.
pub const BREAKER_OPENED: &str = "failed too often and gets no samples";
const LIES: [Fault; 6] = [
    Fault::WrongHash,
    Fault::Html,
    Fault::TruncatedJson,
    Fault::NotAnArray,
    Fault::Redirect,
    Fault::Status(500),
];

/// Does the faults of a run.
pub struct Injector {
    /// To whom.
    pub site: Arc<Site>,
    /// Where they are written down.
    pub journal: Arc<Journal>,
    /// Who sends the mails that measure.
    pub senders: Arc<Senders>,
    probes: AtomicU32,
    updates: AtomicU32,
    failovers: AtomicU32,
    hostile: AtomicU32,
}

impl Injector {
    /// For this site.
    pub fn new(site: Arc<Site>, journal: Arc<Journal>, senders: Arc<Senders>) -> Self {
        let (probes, updates, failovers) = (AtomicU32::new(PROBES), AtomicU32::new(1), AtomicU32::new(0));
        Self { site, journal, senders, probes, updates, failovers, hostile: AtomicU32::new(0) }
    }

    /// Waits for its time, does it, undoes it, measures.
    pub async fn inject(&self, mut fault: Planned) {
        // A site may have fewer of them.
        fault.target %= if fault.kind.is_of_instances() { self.site.farm.len() } else { usize::MAX };
        tokio::time::sleep_until(self.journal.moment(fault.at)).await;
        let done = match fault.kind {
            // It begins later than it is prepared.
            Kind::WorkerKilled => self.kill_while_it_scans(&fault).await,
            _ => self.noted(&fault, self.do_and_undo(&fault)).await,
        };
        if let Err(error) = done {
            self.journal.trouble(format!("{:?} went wrong: {error:#}", fault.kind));
        }
        if matches!(fault.kind, Kind::RedisRestarted | Kind::RedisEmptied | Kind::Failover) {
            self.measure_flow(&format!("new mail flows after {:?}", fault.kind), FLOWS_WITHIN).await;
        }
    }

    async fn noted<T>(&self, fault: &Planned, doing: impl Future<Output = T>) -> T {
        let noted = self.journal.fault_begins(fault.kind, fault.target);
        let done = doing.await;
        self.journal.fault_ends(noted);
        done
    }

    async fn do_and_undo(&self, fault: &Planned) -> anyhow::Result<()> {
        let (site, target, lasts) = (&*self.site, fault.target, fault.lasts);
        match fault.kind {
            Kind::WorkerKilled => self.kill_while_it_scans(fault).await?,
            Kind::MilterKilled => killed(&site.milters[target], lasts).await?,
            Kind::WorkerTerminated => terminated(&site.workers[target]).await?,
            Kind::MilterTerminated => terminated(&site.milters[target]).await?,
            Kind::WorkerReloaded => site.workers[target].reload(lasts).await?,
            Kind::MilterReloaded => site.milters[target].reload(lasts).await?,
            Kind::RedisRestarted => self.crash_redis(lasts).await?,
            Kind::RedisEmptied => self.restart_redis(None, lasts).await?,
            Kind::RedisFrozen => self.freeze(lasts).await?,
            Kind::Failover => self.fail_over().await?,
            Kind::MilterCutFromRedis => cut([&site.milter_links[target]], Mode::Stall, lasts).await,
            Kind::WorkerCutFromRedis => cut([&site.worker_links[target]], Mode::Stall, lasts).await,
            Kind::WorkerCutFromInstance => {
                cut([&site.instance_links[target][fault.second()]], Mode::Stall, lasts).await;
            }
            Kind::RedisRefused => cut(redis_links(site), Mode::Refuse, lasts).await,
            Kind::RedisLatency => cut(redis_links(site), Mode::Latency(LATENCY), lasts).await,
            Kind::RedisFar => self.move_redis_away(lasts).await,
            Kind::RedisFull | Kind::RedisReadOnly | Kind::RedisMisconf => {
                shortage::of_redis(&site.backend, fault.kind, lasts).await?;
            }
            Kind::LogUnread => shortage::of_readers(&[&site.milters[0], &site.workers[0]], lasts).await,
            Kind::Descriptors => shortage::of_descriptors(&site.milters[target], lasts).await?,
            Kind::Connections => shortage::of_connections(&site.addresses[target], lasts).await?,
            Kind::InstancesTrickle => cut(site.instance_links.iter().flatten(), Mode::Trickle, lasts).await,
            Kind::Loss => lose(site, lasts).await,
            Kind::InstanceSlow => self.slow_down(target, lasts).await,
            Kind::InstanceHung => self.instances(target..=target, Fault::Hang, lasts).await,
            Kind::InstanceLies => self.instances(target..=target, lie(fault.dice), lasts).await,
            Kind::InstanceDown => self.take_down(target, lasts).await,
            Kind::BusyStorm => self.instances(0..=site.farm.len() - 1, Fault::Busy503, lasts).await,
            Kind::SignatureUpdate => self.update_signatures(lasts).await,
            Kind::LogDiskFull => self.fill_the_disk(lasts).await,
            Kind::ClockJump => self.turn_the_clock(fault.dice, lasts).await,
            Kind::ScriptFlush => self.repeat("SCRIPT FLUSH", lasts).await?,
            Kind::ClientKill => {
                self.repeat("CLIENT KILL TYPE normal", lasts / 2).await?;
                self.repeat("CLIENT KILL TYPE pubsub", lasts / 2).await?;
            }
            Kind::Refusing | Kind::Crashing | Kind::Slow => self.send_hostile(fault).await,
            Kind::Blind => self.with_settings(target, lasts, |settings| settings.blind = true).await,
            Kind::Late => {
                self.with_settings(target, lasts, |settings| settings.signatures = OLD.to_owned()).await;
            }
        }
        Ok(())
    }

    /// Makes scans long, gives the workers some more, and kills one in the middle of them.
    async fn kill_while_it_scans(&self, fault: &Planned) -> anyhow::Result<()> {
        self.site.every_instance(|settings| settings.service_time = LONG_SCAN);
        let more = (0..VICTIMS).map(|number| async move {
            let probe = self.probes.fetch_add(1, SeqCst);
            self.senders.probe(number % self.site.milters.len(), probe).await
        });
        let kill = async {
            self.wait_until_it_scans(fault.target).await;
            self.site.every_instance(|settings| settings.service_time = SERVICE_TIME);
            self.noted(fault, killed(&self.site.workers[fault.target], fault.lasts)).await
        };
        join(join_all(more), kill).await.1
    }

    async fn wait_until_it_scans(&self, worker: usize) {
        let began = Instant::now();
        let scanning = || {
            let (record, now) = (self.journal.record(), self.journal.now());
            // Far from their ends.
            let fresh = |began: Millis| now.saturating_sub(began) < millis(LONG_SCAN) / 2;
            let scans = record.scans.iter().filter(|scan| scan.worker == worker && scan.ended.is_none());
            scans.filter(|scan| fresh(scan.began)).count()
        };
        while scanning() < 2 && began.elapsed() < GIVEN_UP / 4 {
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// What Redis writes in the last moment before a crash is not on its disk (`appendfsync everysec`).
    async fn crash_redis(&self, lasts: Duration) -> anyhow::Result<()> {
        let mark = self.site.backend.mark()?;
        sleep(UNSYNCED).await;
        self.restart_redis(Some(&mark), lasts).await
    }

    async fn restart_redis(&self, mark: Option<&Mark>, lasts: Duration) -> anyhow::Result<()> {
        self.site.backend.stop(mark)?;
        sleep(lasts / 2).await;
        tokio::task::block_in_place(|| self.site.backend.start_again())
    }

    /// All connections are made anew over that distance, and new mail must flow all the same.
    async fn move_redis_away(&self, lasts: Duration) {
        let links: Vec<_> = redis_links(&self.site).collect();
        links.iter().for_each(|link| link.set(Mode::Latency(FAR)));
        links.iter().for_each(|link| link.reset());
        let flows = self.measure_flow("new mail flows to a Redis that is far", FLOWS_FAR_WITHIN);
        join(sleep(lasts), flows).await;
        links.iter().for_each(|link| link.set(Mode::Pass));
    }

    async fn freeze(&self, lasts: Duration) -> anyhow::Result<()> {
        let masters = tokio::task::block_in_place(|| self.site.backend.masters());
        let master = masters.first().ok_or_else(|| anyhow::anyhow!("no master answers"))?;
        let process = tokio::task::block_in_place(|| backend::info(master, "process_id"))?;
        backend::signal(&process, "-STOP")?;
        sleep(lasts).await;
        backend::signal(&process, "-CONT")
    }

    /// Kills a master that has a replica. A replica that was promoted a moment ago may have none yet, and after the last
    /// one there is none any more.
    async fn fail_over(&self) -> anyhow::Result<()> {
        let find = || tokio::task::block_in_place(|| self.site.backend.replicated_master());
        let began = Instant::now();
        let master = loop {
            match find() {
                Some(master) => break master,
                None if began.elapsed() < GIVEN_UP => sleep(Duration::from_millis(200)).await,
                None if self.failovers.load(SeqCst) > 0 => return Ok(()),
                None => anyhow::bail!("no master has a replica"),
            }
        };
        self.failovers.fetch_add(1, SeqCst);
        let process = tokio::task::block_in_place(|| backend::info(&master, "process_id"))?;
        let masters = || tokio::task::block_in_place(|| self.site.backend.masters());
        let before = masters().len();
        backend::signal(&process, "-KILL")?;
        let replaced = |now: Vec<String>| now.len() >= before && !now.contains(&master);
        let began = Instant::now();
        while !replaced(masters()) {
            anyhow::ensure!(began.elapsed() < GIVEN_UP, "no replica takes over");
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    async fn instances(&self, which: RangeInclusive<usize>, fault: Fault, lasts: Duration) {
        let instances = &self.site.farm[which];
        instances.iter().for_each(|instance| instance.fault(fault));
        sleep(lasts).await;
        instances.iter().for_each(|instance| instance.fault(Fault::None));
    }

    async fn slow_down(&self, instance: usize, lasts: Duration) {
        let takes = |time| self.site.farm[instance].settings(|settings| settings.service_time = time);
        takes(SLOW_SCAN);
        sleep(lasts).await;
        takes(SERVICE_TIME);
    }

    async fn send_hostile(&self, fault: &Planned) {
        let opened = async || self.site.lines_about(BREAKER_OPENED).await.len();
        let before = opened().await;
        attack(&self.senders, fault.kind, &self.hostile, fault.lasts).await;
        let during = opened().await.saturating_sub(before);
        *self.journal.record().breakers.entry(fault.kind).or_default() += during;
    }

    /// With other settings for a while, and then with those that it had.
    async fn with_settings(&self, instance: usize, lasts: Duration, change: impl FnOnce(&mut Settings)) {
        let mut before = Settings::default();
        self.site.farm[instance].settings(|settings| {
            before = settings.clone();
            change(settings);
        });
        sleep(lasts).await;
        self.site.farm[instance].settings(|settings| *settings = before);
    }

    async fn take_down(&self, instance: usize, lasts: Duration) {
        self.site.farm[instance].stop().await;
        sleep(lasts).await;
        self.site.farm[instance].start_again().await;
    }

    async fn fill_the_disk(&self, lasts: Duration) {
        if let Some(disk) = &self.site.disk {
            tokio::task::block_in_place(|| disk.fill());
            sleep(lasts).await;
            disk.free();
        }
    }

    /// There by minutes or hours, ahead or back, and then to the right time again.
    async fn turn_the_clock(&self, dice: u64, lasts: Duration) {
        if let Some(clock) = &self.site.clock {
            let seconds = 60 + (dice % 7_200) as i64;
            clock.turn(if dice & (1 << 40) == 0 { seconds } else { -seconds });
            sleep(lasts).await;
            clock.turn(0);
        }
    }

    /// One instance after the other.
    async fn update_signatures(&self, lasts: Duration) {
        let version = format!("2026/11/01-12{:04}", self.updates.fetch_add(1, SeqCst));
        for instance in &self.site.farm {
            instance.settings(|settings| settings.signatures.clone_from(&version));
            sleep(lasts / 8).await;
        }
    }

    async fn repeat(&self, words: &str, lasts: Duration) -> anyhow::Result<()> {
        for _ in 0..3 {
            tokio::task::block_in_place(|| self.site.backend.command_all(words))?;
            sleep(lasts / 3).await;
        }
        Ok(())
    }

    /// How long until a mail that nobody knows is accepted by every milter.
    async fn measure_flow(&self, what: &str, limit: Duration) {
        let (at, began) = (self.journal.now(), Instant::now());
        let flows = self.site.milters.iter().map(|milter| async move {
            while began.elapsed() < GIVEN_UP {
                let probe = self.probes.fetch_add(1, SeqCst);
                if self.senders.probe(milter.number, probe).await == End::Accepted {
                    return Some(began.elapsed());
                }
                sleep(Duration::from_millis(50)).await;
            }
            None
        });
        let flows = join_all(flows).await;
        for (milter, took) in self.site.milters.iter().zip(flows) {
            let what = format!("{what}: {}", milter.name);
            self.journal.measured(Measured { what, at, took, limit });
        }
    }
}

fn lie(dice: u64) -> Fault {
    LIES[(dice % LIES.len() as u64) as usize]
}

async fn killed(program: &Revenant, lasts: Duration) -> anyhow::Result<()> {
    program.kill9().await?;
    sleep(lasts).await;
    program.start().await
}

async fn terminated(program: &Revenant) -> anyhow::Result<()> {
    let ended = program.terminate().await;
    program.start().await?;
    ended
}

async fn cut<'a>(links: impl IntoIterator<Item = &'a Proxy>, mode: Mode, lasts: Duration) {
    let links: Vec<_> = links.into_iter().collect();
    links.iter().for_each(|link| link.set(mode));
    sleep(lasts).await;
    links.iter().for_each(|link| link.set(Mode::Pass));
}

/// What TCP makes of lost packets: connections that stand still for a moment, and connections that break.
async fn lose(site: &Site, lasts: Duration) {
    let links: Vec<_> = redis_links(site).chain(site.instance_links.iter().flatten()).collect();
    let began = Instant::now();
    while began.elapsed() < lasts {
        let link = links[fastrand::usize(..links.len())];
        if fastrand::bool() {
            link.reset();
        } else {
            link.set(Mode::Stall);
        }
        sleep(Duration::from_millis(fastrand::u64(50..250))).await;
        link.set(Mode::Pass);
    }
}

fn redis_links(site: &Site) -> impl Iterator<Item = &Proxy> {
    site.milter_links.iter().chain(&site.worker_links)
}
