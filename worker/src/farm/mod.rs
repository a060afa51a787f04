// SPDX-License-Identifier: GPL-3.0-or-later
//! The farm: all Thunderstorm servers. It gives a sample to one of them and, where that fails, to another.
//!
//! 1. Among the available instances with room, and with the signatures that the sample needs, [`balance`] chooses one.
//!    None has room: the sample stands in [`line`](mod@line) until one has.
//! 2. A verdict: done. 503 or 429: the instance gets fewer samples ([`limit`]) or none for a while, this one goes elsewhere at
//!    once, and nothing has failed.
//! 3. 413: the sample goes to an instance that is not known to refuse its size; where all do, it is
//!    [`ScanError::TooLarge`]. That is no failure of an instance either.
//! 4. The instance cannot be reached, or turns out not to scan: its fault. The sample goes elsewhere, `farm.attempts`
//!    times; after that it is [`ScanError::NoInstance`], nobody's fault, and the job goes back.
//! 5. The instance answers with an error and scans other samples ([`proof`]): the sample's fault. After
//!    two of those it is [`ScanError::Failed`].
//! 6. The instance is not heard of again: perhaps the sample has killed it. It is a [`ScanError::Suspect`], and
//!    [`Farm::scan_alone`] tries it once more, by itself ([`alone`]). What else was in flight there is in the same place,
//!    and passes.
//!
//! Nothing hangs: every call to a server has a time-out, which covers its answer to the last byte; a sample stands in
//! the line for a bounded time; and once a delivery has taken `farm.timeout` × `farm.attempts`, it begins no further
//! attempt, whether the ones before failed or were refused. A sample whose sender has given up is scanned all the same:
//! the sender's next try finds the verdict.
//!
//! Whether an instance is available is the [`breaker`]'s business; [`Farm::watch`] probes them all. Which ones there
//! are can change while it runs ([`Farm::reconfigure`]).
//!
//! Metrics: `thundergate_farm_*`, see [`metrics`] and, for what is read when somebody asks, `metrics::farm` beside it.

mod alone;
pub(crate) mod balance;
pub mod breaker;
mod busy;
mod check;
mod error;
pub mod instance;
pub mod limit;
pub mod line;
pub mod metrics;
mod orders;
mod overseen;
mod proof;
pub(crate) mod roster;
mod scan;
mod standing;

pub use error::ScanError;
pub(crate) use instance::Scanned;
pub use roster::Changes;
pub use thundergate_common::causes::with_causes;

use crate::thunderstorm::settings::SetupError;
use alone::Suspects;
use busy::Busy;
use futures_util::{
    future::join_all,
    stream::{FuturesUnordered, StreamExt},
};
use instance::Instance;
use line::Line;
use metrics::FarmMetrics;
use roster::Roster;
use std::{
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};
use thundergate_common::{config, generation::InstanceReport};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Pauses and slow starts end without a word: look again this often.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// An instance that is away is asked this often: mail may wait for its return.
const RETURN: Duration = Duration::from_millis(500);

/// All instances.
#[derive(Debug)]
pub struct Farm {
    roster: watch::Sender<Arc<Roster>>,
    line: Line,
    suspects: Suspects,
    busy: Busy,
    overseen: overseen::Overseen,
    changed: watch::Sender<()>,
    metrics: FarmMetrics,
}

impl Farm {
    /// The farm that `configured` describes. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// HTTP cannot be set up as configured: a certificate or a password file, say.
    pub fn new(configured: &config::Farm, metrics: FarmMetrics) -> Result<Self, SetupError> {
        let roster = Roster::new(configured)?;
        metrics.know(roster.instances.iter().map(|instance| instance.name()));
        Ok(Self {
            roster: watch::Sender::new(Arc::new(roster)),
            line: Line::default(),
            suspects: Suspects::default(),
            busy: Busy::default(),
            overseen: overseen::Overseen::default(),
            changed: watch::Sender::new(()),
            metrics,
        })
    }

    /// From now on it is the farm that `configured` describes. Instances that stay keep their breaker, latency and
    /// scans in flight; removed ones finish their scans and get no more; new ones get samples once [`Farm::watch`]
    /// has heard of them. Certificates and passwords are read again.
    ///
    /// # Errors
    ///
    /// As [`Farm::new`]; then all stays as it is.
    pub fn reconfigure(&self, configured: &config::Farm) -> Result<Changes, SetupError> {
        let (next, changes) = self.roster().next(configured)?;
        self.metrics.know(next.instances.iter().map(|instance| instance.name()));
        self.roster.send_replace(Arc::new(next));
        self.announce();
        tracing::info!(
            farm.added = changes.added.join(","),
            farm.removed = changes.removed.join(","),
            farm.changed = changes.changed.join(","),
            farm.kept = changes.kept.join(","),
            "The farm is what the configuration says now"
        );
        Ok(changes)
    }

    /// Whether a sample would be scanned now.
    pub fn available(&self) -> bool {
        self.capacity() > 0
    }

    /// Whether an instance scans, or would, were it not busy.
    pub(crate) fn scans(&self) -> bool {
        let now = Instant::now();
        self.roster().instances.iter().any(|one| one.is_healthy(now))
    }

    /// Another worker scans suspects at this instance: nothing is sent there for a moment.
    pub(crate) fn leave_alone(&self, instance: &str, moment: Duration) {
        let (roster, now) = (self.roster(), Instant::now());
        let named = roster.instances.iter().find(|one| one.name() == instance);
        if let Some(one) = named.filter(|_| !roster.is_last(now)) {
            one.reserve(now + moment);
        }
    }

    /// Whether no more than one instance scans: everybody needs it.
    pub(crate) fn has_one_left(&self) -> bool {
        self.roster().is_last(Instant::now())
    }

    /// How many scans the available instances run at a time.
    pub fn capacity(&self) -> usize {
        self.roster().capacity(Instant::now())
    }

    /// The largest sample in bytes that the instances scan; above it they would answer "nothing found".
    pub fn largest(&self) -> u64 {
        self.roster().largest
    }

    /// How many healthy instances must have reached a signature version before the farm has; none: all of them.
    pub fn quorum(&self) -> Option<NonZeroUsize> {
        self.roster().quorum
    }

    /// All instances as they stand, in the order of the configuration.
    pub fn reports(&self) -> Vec<InstanceReport> {
        self.roster().instances.iter().map(|instance| instance.report()).collect()
    }

    /// Waits until an instance may have become available or free; at most a moment.
    pub async fn changed(&self) {
        let mut changed = self.changed.subscribe();
        let _ = tokio::time::timeout(LOOK_AGAIN, changed.changed()).await;
    }

    /// Probes every instance at once.
    pub async fn probe(&self) {
        join_all(self.roster().instances.iter().map(|instance| instance.probe())).await;
        self.announce();
    }

    /// Probes every instance again and again, and new ones at once, until `shutdown`.
    pub async fn watch(&self, shutdown: CancellationToken) {
        let all = async {
            let mut rosters = self.roster.subscribe();
            let mut watched: Vec<Arc<Instance>> = Vec::new();
            let mut probing = FuturesUnordered::new();
            loop {
                let roster = Arc::clone(&rosters.borrow_and_update());
                let new = |one: &&Arc<Instance>| !watched.iter().any(|old| Arc::ptr_eq(old, one));
                probing
                    .extend(roster.instances.iter().filter(new).map(|one| self.watch_one(Arc::clone(one))));
                watched.clone_from(&roster.instances);
                loop {
                    tokio::select! {
                        _ = rosters.changed() => break,
                        _ = probing.next(), if !probing.is_empty() => {}
                    }
                }
            }
        };
        shutdown.run_until_cancelled(all).await;
    }

    /// Probes `instance` until it is no longer part of the farm.
    async fn watch_one(&self, instance: Arc<Instance>) {
        loop {
            // How it went is in the instance's state, and logged where that changes.
            let _ = instance.probe().await;
            self.announce();
            // A tenth of jitter: the workers of a site shall not all probe in the same moment.
            let interval = self.roster().probe_interval.mul_f64(0.95 + fastrand::f64() / 10.0);
            let returns_soon = instance.is_open(Instant::now());
            tokio::time::sleep(if returns_soon { interval.min(RETURN) } else { interval }).await;
            if !self.roster().instances.iter().any(|one| Arc::ptr_eq(one, &instance)) {
                return;
            }
        }
    }

    fn roster(&self) -> Arc<Roster> {
        Arc::clone(&self.roster.borrow())
    }

    /// There may be room where there was none.
    fn announce(&self) {
        self.line.serve(&self.roster(), Instant::now());
        self.changed.send_replace(());
    }
}
