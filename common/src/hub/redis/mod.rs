// SPDX-License-Identifier: GPL-3.0-or-later
//! The hub over Redis. [`crate::keys`] lists what is kept there; what must be atomic is a script under `scripts/`.
//!
//! | file | owns |
//! |---|---|
//! | `settings`, `check` | `[redis]` |
//! | `target` | where Redis is: a server, Sentinels, a cluster |
//! | `entrance` | how the process gets in, with the files as they are at each new connection |
//! | `names` | the short form of clean verdicts, and the table of their names |
//! | `fill` | how full Redis is, and how long clean verdicts may live therefore |
//! | `pulse` | whether Redis takes what the process writes, and if not, whose fault that is |
//! | [`inspect`] | what is wrong with all that, for `check --connect` |
//! | `connection` | connections that come back by themselves, and pipelines |
//! | `scripts` | the Lua scripts |
//! | `seal`, `vault` | what leaves the process, sealed |
//! | `listener` | the announcements |
//! | `farm` | what workers report, and the generation that every process learns of |
//! | `outage` | why no instance scans, as that tells |
//! | `oversight` | what the workers together know of their instances |
//! | `submit`, `lanes` | how samples get into the queue, whose turn it is, what gives way |
//! | `milter`, `worker` with `claims`, `observer`, `operator` | the calls of each role |
//! | `known` | what is known of a sample, under every name |
//! | `records`, `receipts` | the records of mails, and what there was before them |
//! | `entry` | an entry of a stream: its keys, its job, its lease |
//! | `error`, `wire` | what errors mean; JSON |
//!
//! Connections: one for verdicts and scripts, one for the pulse and one for what is known of the farm, one for the bytes of samples (a large value stalls everything behind it),
//! one for each claim that waits, one for announcements. Bytes on their way exist in several copies (the command, the
//! pipeline, the socket), so at most [`IN_TRANSIT`] of them are. A sample and the queue live in different slots of a cluster,
//! so a submission or a completion is two or three atomic steps, ordered so that a crash between them repeats work:
//! bytes before their job, an answer before its acknowledgement.
//!
//! A job's entry leaves its stream when it is acknowledged, and the script that adds or removes it also keeps the count
//! of bytes and the index that holds a second job of the same sample back. Nothing else counts, so nothing drifts.
//!
//! When memory is full (`maxmemory`, `noeviction`) submitting says
//! [`Admission::OutOfMemory`](crate::hub::Admission::OutOfMemory); claiming, beginning and completing go on, and free it.

mod check;
mod claims;
mod connection;
mod entrance;
mod entry;
mod error;
mod farm;
mod fill;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod inspect;
mod known;
mod lanes;
mod listener;
mod milter;
mod names;
mod observer;
mod operator;
mod outage;
mod oversight;
mod passwords;
mod pulse;
mod receipts;
mod records;
mod scripts;
pub mod seal;
mod settings;
mod submit;
mod target;
mod vault;
mod wire;
mod worker;

pub use settings::{Redis, RedisUrl};

use crate::{
    clock::Clock,
    failed::FailedSample,
    freshness::Cache,
    generation::Generation,
    hub::{Announcements, Hub, HubError, Queue},
    job::Lane,
    keys::{CLUSTER_SHARDS, Kept, Keys},
    sample::SampleKey,
    verdict::Verdict,
    wire::Versioned,
};
use async_trait::async_trait;
use connection::Connection;
use entrance::Entrance;
use error::{timed_out, unusable};
use listener::Listener;
use redis::{cmd, from_redis_value};
use seal::{Purpose, Seal};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, atomic::AtomicBool},
    time::Duration,
};
use target::{Target, Wire};
use tokio::{
    sync::{Semaphore, SemaphorePermit, watch},
    task::JoinSet,
    time::timeout,
};
use vault::Vault;

/// Samples may take so many times `redis.timeout`: 30 MiB need longer than a verdict.
const PAYLOAD_PATIENCE: u32 = 5;
/// Bytes of samples on their way to or from Redis at a time; a larger sample travels alone.
const IN_TRANSIT: u64 = 32 << 20;

/// A process's end of the hub.
pub struct RedisHub {
    keys: Keys,
    queue: Queue,
    cache: Cache,
    process: String,
    timeout: Duration,
    entrance: Arc<Entrance>,
    vault: Arc<Vault>,
    verdicts: Connection,
    payloads: Connection,
    /// For [`pulse`]: it is lost with each write that a replica refuses.
    pulse: Connection,
    /// A permit for each KiB of [`IN_TRANSIT`].
    transit: Semaphore,
    generation: Arc<watch::Sender<Arc<Generation>>>,
    outage: Arc<outage::Known>,
    clock: Arc<Clock>,
    readers: Mutex<Vec<Wire>>,
    announcements: Announcements,
    listening: watch::Receiver<bool>,
    lanes: lanes::Lanes,
    /// Whether it was said that this process may not read what failed.
    failures_refused: AtomicBool,
    /// Samples of which this process does not know whether it owns them: no answer came.
    uncertain: Mutex<HashSet<SampleKey>>,
    names: names::Table,
    fill: Mutex<fill::Fill>,
    /// Why Redis does not take what this process writes.
    told: Mutex<pulse::Told>,
    /// Whether it was said that this process may not write records.
    records_refused: AtomicBool,
    /// They end with the hub.
    _tasks: JoinSet<()>,
}

impl RedisHub {
    /// The hub at `redis.url` for this `process`, whose name no other may have. An address that cannot be read is an
    /// error; a Redis that is down is not: calls are [`HubError::Unavailable`] until it is up.
    pub async fn connect(
        redis: &Redis,
        queue: &Queue,
        cache: &Cache,
        process: String,
    ) -> Result<Arc<Self>, HubError> {
        Self::connect_with(redis, queue, cache, process, Clock::default()).await
    }

    /// The same for a process with this `clock`.
    ///
    /// # Errors
    ///
    /// As [`Self::connect`].
    pub async fn connect_with(
        redis: &Redis,
        queue: &Queue,
        cache: &Cache,
        process: String,
        clock: Clock,
    ) -> Result<Arc<Self>, HubError> {
        if redis.prefix.contains(['{', '}']) {
            return Err(unusable("redis.prefix must not hold braces"));
        }
        let access = redis.access().map_err(unusable)?;
        let target = Target::new(redis, &access).map_err(unusable)?;
        let entrance = Arc::new(Entrance::new(redis, target));
        let shards = if entrance.is_cluster() { CLUSTER_SHARDS } else { 1 };
        let keys = Keys::new(&redis.prefix, shards);
        let vault = Arc::new(Vault::new(Seal::new(&access.secrets, &redis.prefix)));
        let announcements = Announcements::default();
        let (sender, mut listening) = watch::channel(false);
        let listener = Listener {
            entrance: entrance.clone(),
            channel: keys.announce(&process),
            patience: redis.timeout,
            vault: vault.clone(),
            cache: cache.clone(),
            announcements: announcements.clone(),
            listening: sender,
        };
        let generation = Arc::<watch::Sender<Arc<Generation>>>::default();
        let outage = Arc::<outage::Known>::default();
        let clock = Arc::new(clock);
        let watcher = farm::Watcher {
            connection: Connection::new(entrance.clone(), redis.timeout),
            keys: keys.clone(),
            vault: vault.clone(),
            generation: generation.clone(),
            outage: outage.clone(),
            clock: clock.clone(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(listener.run());
        let first_look = watcher.look();
        // Where Redis is up, nothing is announced before this process hears it, and nothing stale is believed.
        let _ = timeout(redis.connect_timeout, async {
            if first_look.await.is_ok() {
                let _ = listening.wait_for(|listening| *listening).await;
            }
        })
        .await;
        tasks.spawn(watcher.run());
        Ok(Arc::new(Self {
            lanes: lanes::Lanes::new(keys.shards()),
            keys,
            queue: queue.clone(),
            cache: cache.clone(),
            process,
            timeout: redis.timeout,
            verdicts: Connection::new(entrance.clone(), redis.timeout),
            payloads: Connection::new(entrance.clone(), redis.timeout * PAYLOAD_PATIENCE),
            pulse: Connection::new(entrance.clone(), redis.timeout),
            transit: Semaphore::new(kib(IN_TRANSIT) as usize),
            generation,
            outage,
            clock,
            entrance,
            vault,
            readers: Mutex::default(),
            announcements,
            listening,
            failures_refused: AtomicBool::new(false),
            uncertain: Mutex::default(),
            names: names::Table::default(),
            fill: Mutex::default(),
            told: Mutex::default(),
            records_refused: AtomicBool::new(false),
            _tasks: tasks,
        }))
    }

    /// Whether announcements arrive at present.
    pub fn listens(&self) -> bool {
        *self.listening.borrow()
    }

    /// From now on the process logs in as `redis` says: new connections at once, those that are open by being replaced.
    /// Where it is refused they go on, and the log says so.
    pub fn log_in_as(&self, redis: &Redis) {
        self.entrance.log_in_as(redis);
        self.verdicts.renew();
        self.payloads.renew();
        self.forget_readers();
    }

    /// The lease of a sample that this process has reserved and not submitted.
    fn owner_lease(&self) -> String {
        format!("milter:{}", self.process)
    }

    /// What is held against a sample, as it came from Redis; none that is not for it.
    fn failed(&self, key: &SampleKey, bytes: Vec<u8>) -> Option<FailedSample> {
        Versioned::decode(&self.vault.open(Purpose::Failed, &key.to_string(), bytes)?)
    }

    /// Whether who asks for a scan in `lane` can do with this verdict instead.
    fn believes(&self, verdict: &Verdict, lane: Lane) -> bool {
        self.cache.believes(verdict, &self.generation.borrow(), lane)
    }

    /// Waits until so many bytes may be on their way.
    async fn transit(&self, bytes: u64) -> Result<SemaphorePermit<'_>, HubError> {
        let permits = kib(bytes.min(IN_TRANSIT));
        let patience = self.timeout * PAYLOAD_PATIENCE;
        let permit = timeout(patience, self.transit.acquire_many(permits)).await.map_err(|_| timed_out())?;
        Ok(permit.expect("the semaphore is never closed"))
    }

    fn take_reader(&self) -> Option<Wire> {
        self.readers().pop()
    }

    fn keep_reader(&self, wire: Wire) {
        self.readers().push(wire);
    }

    fn forget_readers(&self) {
        self.readers().clear();
    }

    fn fill(&self) -> MutexGuard<'_, fill::Fill> {
        self.fill.lock().expect("nothing panics while it holds what was measured")
    }

    fn told(&self) -> MutexGuard<'_, pulse::Told> {
        self.told.lock().expect("nothing panics while it holds what was told")
    }

    fn uncertain(&self) -> MutexGuard<'_, HashSet<SampleKey>> {
        self.uncertain.lock().expect("nothing panics while it holds the samples")
    }

    fn readers(&self) -> MutexGuard<'_, Vec<Wire>> {
        self.readers.lock().expect("nothing panics while it holds the readers")
    }
}

/// In KiB, rounded up.
fn kib(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

#[async_trait]
impl Hub for RedisHub {
    async fn look_up(&self, keys: &[SampleKey]) -> Result<Vec<Option<Arc<Verdict>>>, HubError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<String> = keys.iter().map(|key| self.keys.of(key, Kept::Verdict)).collect();
        let answer = self.verdicts.one(cmd("MGET").arg(names).take()).await?;
        let verdicts: Vec<Option<Vec<u8>>> = from_redis_value(answer).map_err(unusable)?;
        let stored = |(key, bytes): (_, Option<Vec<u8>>)| names::stored(self, key, bytes?);
        let whole = names::whole(self, keys.iter().zip(verdicts).map(stored).collect()).await?;
        Ok(whole.into_iter().map(|verdict| verdict.map(Arc::new)).collect())
    }

    fn generation(&self) -> Arc<Generation> {
        self.generation.borrow().clone()
    }

    fn outage(&self) -> Option<Arc<str>> {
        self.outage.borrow().reason(std::time::Instant::now())
    }

    fn trouble(&self) -> Option<Arc<str>> {
        self.told().now()
    }

    fn now_ms(&self) -> u64 {
        self.clock.shared_ms()
    }

    /// A look-up rather than `PING`, which says nothing about a cluster's slots.
    async fn ping(&self) -> Result<(), HubError> {
        self.verdicts.one(cmd("EXISTS").arg(self.keys.job_bytes(0)).take()).await.map(drop)
    }
}
