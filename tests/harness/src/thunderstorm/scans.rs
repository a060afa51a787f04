// SPDX-License-Identifier: GPL-3.0-or-later
//! The work of a Thunderstorm server: a few threads, a bounded number that wait for them, results of asynchronous scans.
//!
//! A synchronous scan waits for a thread if fewer than `waiting` do, or is refused. A client that goes away takes its
//! scan with it, unless the file is one that keeps its thread busy. An asynchronous scan always waits, survives its client,
//! and is lost at a restart.

use super::{
    hostile::{Hostility, Marks},
    rules::{Assessment, Rules},
    settings::{Asked, Fault, FaultPlan, Settings},
    shapes::Counters,
    uploads::{Origin, Uploads},
    zip::stored_members,
};
use bytes::Bytes;
use futures_util::FutureExt as _;
use std::{
    collections::BTreeMap,
    future::pending,
    iter,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use thundergate_common::digest::Digest;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot},
    task::JoinSet,
};

/// How late a timer of the runtime may be.
const LATE: Duration = Duration::from_millis(2);

/// A file to scan.
#[derive(Clone, Debug)]
pub(super) struct Upload {
    pub origin: Origin,
    pub name: String,
    pub bytes: Bytes,
}

/// The answer of a scan.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// What the rules say; none: nothing to report.
    Assessed(Option<Assessment>),
    /// The status 500.
    Refused,
    /// An entry of level `Error`.
    Error,
    /// None: the connection is closed.
    HungUp,
}

/// Where an asynchronous scan stands.
#[derive(Clone)]
pub(super) enum Progress {
    Waiting,
    Scanning,
    Done(Upload, Answer),
}

/// Every thread is busy and enough requests wait.
pub(super) struct Busy;

/// The state of one stand-in.
pub(super) struct Scans {
    rules: Rules,
    settings: Mutex<Settings>,
    threads: Mutex<Arc<Semaphore>>,
    plan: Mutex<FaultPlan>,
    uploads: Mutex<Uploads>,
    results: Mutex<BTreeMap<u64, Progress>>,
    background: Mutex<JoinSet<()>>,
    started: Mutex<Instant>,
    crash: Notify,
    next_id: AtomicU64,
    requests: AtomicU64,
    denied: AtomicU64,
    scanned: AtomicU64,
    scan_us: AtomicU64,
    wait_us: AtomicU64,
    waiting: Arc<AtomicUsize>,
    scanning: Arc<AtomicUsize>,
}

/// One more of something, until dropped.
struct OneMore(Arc<AtomicUsize>);

impl OneMore {
    fn of(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for OneMore {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl std::fmt::Debug for Scans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scans").field("settings", &self.settings()).finish_non_exhaustive()
    }
}

impl Scans {
    pub fn new(settings: Settings, rules: Rules) -> Self {
        Self {
            rules,
            threads: Mutex::new(Arc::new(Semaphore::new(settings.threads))),
            settings: Mutex::new(settings),
            plan: Mutex::default(),
            uploads: Mutex::default(),
            results: Mutex::default(),
            background: Mutex::default(),
            started: Mutex::new(Instant::now()),
            crash: Notify::new(),
            next_id: AtomicU64::new(u64::from(fastrand::u32(1..1_000_000))),
            requests: AtomicU64::new(0),
            denied: AtomicU64::new(0),
            scanned: AtomicU64::new(0),
            scan_us: AtomicU64::new(0),
            wait_us: AtomicU64::new(0),
            waiting: Arc::default(),
            scanning: Arc::default(),
        }
    }

    pub fn settings(&self) -> Settings {
        locked(&self.settings).clone()
    }

    /// A new number of threads holds for the scans that begin from now on.
    pub fn set(&self, settings: Settings) {
        let mut current = locked(&self.settings);
        if settings.threads != current.threads {
            *locked(&self.threads) = Arc::new(Semaphore::new(settings.threads));
        }
        *current = settings;
    }

    pub fn plan(&self, plan: FaultPlan) {
        *locked(&self.plan) = plan;
    }

    /// The fault that this request meets.
    pub fn meet(&self, asked: &Asked) -> Fault {
        if *asked == Asked::Scan(Origin::Mail) {
            self.requests.fetch_add(1, SeqCst);
        }
        locked(&self.plan).meet(asked)
    }

    /// Returns when a file kills the scanner.
    pub async fn crashed(&self) {
        self.crash.notified().await;
    }

    pub fn uploads(&self) -> MutexGuard<'_, Uploads> {
        locked(&self.uploads)
    }

    pub fn requests(&self) -> u64 {
        self.requests.load(SeqCst)
    }

    pub fn scanning(&self) -> usize {
        self.scanning.load(SeqCst)
    }

    pub fn busy(&self) -> Duration {
        Duration::from_micros(self.scan_us.load(SeqCst))
    }

    /// Counts a request that was answered 503.
    pub fn deny(&self) {
        self.denied.fetch_add(1, SeqCst);
    }

    pub fn counters(&self) -> Counters {
        let scanned = self.scanned.load(SeqCst);
        let mean_ms = |total_us: u64| total_us / 1000 / scanned.max(1);
        let (scan_us, wait_us) = (self.scan_us.load(SeqCst), self.wait_us.load(SeqCst));
        let waits = |progress: &&Progress| matches!(progress, Progress::Waiting);
        Counters {
            scanned,
            denied: self.denied.load(SeqCst),
            queued: locked(&self.results).values().filter(waits).count(),
            scan_ms: mean_ms(scan_us),
            total_ms: mean_ms(scan_us + wait_us),
            uptime_seconds: locked(&self.started).elapsed().as_secs(),
        }
    }

    /// A scan whose client waits.
    pub async fn check(self: &Arc<Self>, upload: Upload) -> Result<Answer, Busy> {
        let settings = self.settings();
        until(Instant::now() + settings.latency).await;
        let threads = self.threads();
        let waits = Instant::now();
        let thread = match Arc::clone(&threads).try_acquire_owned() {
            Ok(thread) => thread,
            Err(_) if self.waiting.load(SeqCst) >= settings.waiting => return Err(Busy),
            Err(_) => {
                let _one_more = OneMore::of(&self.waiting);
                taken(threads).await
            }
        };
        self.wait_us.fetch_add(micros(waits.elapsed()), SeqCst);
        Ok(self.scan(upload, thread).await)
    }

    /// A scan whose result is asked for later. Returns its id.
    pub fn check_later(self: &Arc<Self>, upload: Upload) -> u64 {
        let id = self.next_id.fetch_add(1, SeqCst);
        locked(&self.results).insert(id, Progress::Waiting);
        let scans = Arc::clone(self);
        locked(&self.background).spawn(async move {
            let thread = taken(scans.threads()).await;
            scans.progress(id, Progress::Scanning);
            let answer = scans.scan(upload.clone(), thread).await;
            scans.progress(id, Progress::Done(upload, answer));
        });
        id
    }

    /// Where an asynchronous scan stands; none: never heard of it, or forgotten.
    pub fn result(&self, id: u64) -> Option<Progress> {
        locked(&self.results).get(&id).cloned()
    }

    /// Forgets what THOR 10 forgets when its service restarts. What dies twice in one moment dies once.
    pub fn restart(&self) {
        self.crash.notified().now_or_never();
        locked(&self.background).abort_all();
        locked(&self.results).clear();
        *locked(&self.started) = Instant::now();
    }

    fn threads(&self) -> Arc<Semaphore> {
        Arc::clone(&locked(&self.threads))
    }

    /// Notes progress; past `result_cache` results the oldest is forgotten.
    fn progress(&self, id: u64, progress: Progress) {
        let most = self.settings().result_cache;
        let mut results = locked(&self.results);
        results.insert(id, progress);
        while results.values().filter(|p| matches!(p, Progress::Done(..))).count() > most {
            let oldest = results.iter().find(|(_, p)| matches!(p, Progress::Done(..))).map(|(id, _)| *id);
            oldest.and_then(|id| results.remove(&id));
        }
    }

    /// Keeps the thread for the service time: matching happens within it.
    async fn scan(self: &Arc<Self>, upload: Upload, thread: OwnedSemaphorePermit) -> Answer {
        let settings = self.settings();
        let busy = BusyThread {
            scans: Arc::clone(self),
            begun: Instant::now(),
            _thread: thread,
            _one_more: (upload.origin == Origin::Mail).then(|| OneMore::of(&self.scanning)),
        };
        self.uploads().note(&upload.origin, Digest::of(&upload.bytes), &upload.name);
        let passed_over = upload.bytes.len() > settings.max_file_bytes;
        let (hostility, assessment) = if passed_over { (None, None) } else { self.assess(upload).await };
        match hostility {
            Some(Hostility::Crash) => {
                self.crash.notify_one();
                // Until its connection is closed with all others.
                pending::<()>().await;
            }
            Some(Hostility::Slow) => self.keep_busy(busy, settings.slow).await,
            _ => busy.work_for(settings.service_time).await,
        }
        match hostility {
            Some(Hostility::Refused) => Answer::Refused,
            Some(Hostility::Error) => Answer::Error,
            Some(Hostility::HungUp) => Answer::HungUp,
            _ => Answer::Assessed(assessment),
        }
    }

    async fn assess(&self, upload: Upload) -> (Option<Hostility>, Option<Assessment>) {
        let (rules, settings) = (self.rules.clone(), self.settings());
        let matching = tokio::task::spawn_blocking(move || {
            let marks = Marks::of(&upload.bytes);
            let sees = !settings.blind && marks.are_known_to(&settings.signatures);
            let members = if settings.unpacks { stored_members(&upload.bytes) } else { Vec::new() };
            let mut files = iter::once(&*upload.bytes).chain(members).filter(|_| sees);
            (marks.hostility, files.find_map(|bytes| rules.assess(bytes, &upload.name)))
        });
        matching.await.expect("matching does not panic")
    }

    /// Works for `time`, whether or not the client waits for it.
    async fn keep_busy(&self, busy: BusyThread, time: Duration) {
        let (done, is_done) = oneshot::channel();
        locked(&self.background).spawn(async move {
            busy.work_for(time).await;
            done.send(()).ok();
        });
        // An error only at a restart, which ends this scan too.
        is_done.await.ok();
    }
}

/// A thread that is busy with a sample.
struct BusyThread {
    scans: Arc<Scans>,
    begun: Instant,
    _thread: OwnedSemaphorePermit,
    _one_more: Option<OneMore>,
}

impl BusyThread {
    /// Is busy until `time` after the beginning of the scan, counts it, and gives the thread back.
    async fn work_for(self, time: Duration) {
        until(self.begun + time).await;
        self.scans.scan_us.fetch_add(micros(self.begun.elapsed()), SeqCst);
        self.scans.scanned.fetch_add(1, SeqCst);
    }
}

/// Sleeps until then and hardly longer: the timers of the runtime are up to two milliseconds late, a thread is not.
pub(crate) async fn until(end: Instant) {
    let left = move || end.saturating_duration_since(Instant::now());
    // Of no time at all, too, they would make a millisecond.
    if left() > LATE {
        tokio::time::sleep(left().saturating_sub(LATE)).await;
    }
    if !left().is_zero() {
        let sleep = tokio::task::spawn_blocking(move || std::thread::sleep(left()));
        sleep.await.expect("sleeping does not panic");
    }
}

async fn taken(threads: Arc<Semaphore>) -> OwnedSemaphorePermit {
    threads.acquire_owned().await.expect("the semaphore is never closed")
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
