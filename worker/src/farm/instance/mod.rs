// SPDX-License-Identifier: GPL-3.0-or-later
//! One instance: its client, how many scans it runs, its breaker, its latency, and what it says of itself.
//!
//! Results carry no signature version, so `info` is read before and after each scan and the older version is stored:
//! a server may take new signatures into use at any moment. One read serves every scan that it lies on the right side
//! of, so a busy instance is asked a few times a second, not twice a scan. The place at the instance is free again
//! before the second read.
//!
//! After a scan that failed, the instance is asked at once whether it scans a known sample ([`proof`](super::proof)): that
//! says whose fault it was ([`Whose`]). Where it does not, everything in flight there moves elsewhere.

mod fault;

use super::{
    breaker::Breaker,
    standing::{Asked, Condition, MOST_SCANS, Standing},
};
use crate::thunderstorm::{
    client::Client,
    error::CallError,
    facts::Info,
    settings::{Settings, SetupError},
};
use std::{
    sync::{Arc, MutexGuard},
    time::{Duration, Instant, SystemTime},
};
use thundergate_common::{
    clock,
    generation::{InstanceReport, InstanceState as State},
    sample::Sample,
    verdict::{Finding, Verdict},
};
use tokio::sync::OwnedSemaphorePermit;

/// Scans at a time until the instance has said how many threads it has.
const ASSUMED_THREADS: usize = 4;
/// Signatures read this long before a scan count as read before it. They only ever become newer, so this can make a
/// verdict look older than it is, never newer.
const BEFORE: Duration = Duration::from_secs(1);

/// One instance of the farm.
#[derive(Debug)]
pub struct Instance {
    name: String,
    url: String,
    settings: Settings,
    client: Client,
    standing: Arc<Standing>,
}

/// A scan that is over: its place is free, its signatures are still to be read.
#[derive(Debug)]
pub struct Scanned {
    instance: Arc<Instance>,
    findings: Vec<Finding>,
    before: Option<String>,
    ended: Instant,
    took: Duration,
}

/// A scan without a verdict.
#[derive(Debug)]
pub(crate) struct Unscanned {
    /// What happened.
    pub error: CallError,
    /// Whose fault it was.
    pub whose: Whose,
}

/// Whose fault a failed scan was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Back-pressure, a size limit, or a scan that was given up.
    Nobody,
    /// The instance scans other samples.
    Sample,
    /// The instance does not scan, or cannot be reached.
    Instance,
    /// It was too busy to tell.
    Unknown,
}

impl Instance {
    /// The instance `name`, reached as `settings` say. With what is known of `predecessor`, if that was at the same
    /// place. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// HTTP cannot be set up.
    pub fn new(name: String, settings: Settings, predecessor: Option<&Self>) -> Result<Self, SetupError> {
        let breaker = || Breaker::new(settings.breaker_failures, settings.breaker_hold);
        let same = predecessor.filter(|old| old.settings.url == settings.url);
        let standing = match same {
            Some(old) => {
                old.lock().breaker.tune(settings.breaker_failures, settings.breaker_hold);
                Arc::clone(&old.standing)
            }
            None => Arc::new(Standing::new(breaker())),
        };
        Ok(Self { url: settings.public_url(), client: Client::new(&settings)?, name, settings, standing })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When it was first heard of.
    pub(super) fn first_heard(&self) -> Instant {
        self.standing.since
    }

    /// Its server.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Whether it is reached as `settings` say.
    pub(crate) fn is_set(&self, settings: &Settings) -> bool {
        self.settings == *settings
    }

    /// How many scans it may run at `now`; 0 where it is not available.
    pub fn capacity(&self, now: Instant) -> usize {
        self.allowance(&self.lock(), now)
    }

    /// Whether it may run one more scan at `now`.
    pub(crate) fn has_room(&self, now: Instant) -> bool {
        self.in_flight() < self.capacity(now)
    }

    /// Whether it can be expected back: it gets samples, or said that it is busy.
    pub(crate) fn is_healthy(&self, now: Instant) -> bool {
        let condition = self.lock();
        let answers = matches!(condition.breaker.state(now), State::Closed | State::Paused);
        answers && !self.is_drained() && condition.orders.excluded.is_none()
    }

    /// Whether it is known to get no samples now, for a reason of its own.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        self.lock().breaker.state(now) == State::Open
    }

    /// Whether it shall get no samples, by the configuration.
    pub(crate) fn is_drained(&self) -> bool {
        self.settings.concurrency == Some(0)
    }

    /// Whether it is to get samples, once it answers: neither drained nor blind nor late.
    pub(crate) fn is_member(&self) -> bool {
        !self.is_drained() && self.lock().orders.excluded.is_none()
    }

    /// Whether it takes a sample of so many bytes, as far as is known: 413 is remembered for a while.
    pub fn takes(&self, bytes: u64, now: Instant) -> bool {
        self.lock().takes(bytes, now)
    }

    /// Whether its signature version is `needs` or newer.
    pub(crate) fn has_signatures(&self, needs: Option<&str>) -> bool {
        needs.is_none() || self.lock().info.signatures.as_deref() >= needs
    }

    /// Scans it runs for this process.
    pub fn in_flight(&self) -> usize {
        MOST_SCANS - self.standing.slots.available_permits()
    }

    /// Recent latency; none before the first scan.
    pub fn latency(&self) -> Option<Duration> {
        self.lock().latency.average()
    }

    /// What one more scan would cost, where `quickest` is the lowest latency in the farm.
    pub fn cost(&self, quickest: Duration, now: Instant) -> f64 {
        self.lock().latency.cost(self.in_flight(), quickest, now)
    }

    /// A permit for one more scan; none where it runs as many as it may.
    pub fn take(&self, now: Instant) -> Option<OwnedSemaphorePermit> {
        // Under the lock, or two could both see the last place.
        let condition = self.lock();
        let room = self.in_flight() < self.allowance(&condition, now);
        room.then(|| self.permit()).flatten()
    }

    /// From now on and until `until` it gets no new scan but by [`Instance::take_reserved`].
    pub(crate) fn reserve(&self, until: Instant) {
        self.lock().reserved_until = Some(until);
    }

    /// Ends what [`Instance::reserve`] began.
    pub(crate) fn release(&self) {
        self.lock().reserved_until = None;
    }

    /// A permit for the scan that it is reserved for; none where it gets no samples.
    pub(crate) fn take_reserved(&self, now: Instant) -> Option<OwnedSemaphorePermit> {
        let condition = self.lock();
        let gets_samples =
            condition.breaker.state(now) == State::Closed && condition.orders.excluded.is_none();
        drop(condition);
        gets_samples.then(|| self.permit()).flatten()
    }

    fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.standing.slots).try_acquire_owned().ok()
    }

    /// Scans, finds out whose fault it was where that fails, and takes note; then drops `slot`, the place that it has.
    pub(crate) async fn scan<S>(
        self: &Arc<Self>,
        sample: &Sample,
        source: &str,
        slot: S,
    ) -> Result<Scanned, Unscanned> {
        let mut moves = self.standing.moves.subscribe();
        let before = self.signatures(Instant::now().checked_sub(BEFORE)).await;
        // Where they cannot be read, what it had last is what it has at least.
        let before = before.or_else(|| self.lock().info.signatures.clone());
        let started = Instant::now();
        let result = tokio::select! {
            biased;
            result = self.client.scan(sample, source) => result,
            _ = moves.changed() => Err(CallError::Moved),
        };
        let ended = Instant::now();
        let took = ended.saturating_duration_since(started);
        let outcome = match result {
            Ok(findings) => {
                self.succeeded(took);
                Ok(Scanned { instance: Arc::clone(self), findings, before, ended, took })
            }
            Err(error) => {
                let whose = self.whose(&error, sample.bytes.len() as u64, ended).await;
                Err(Unscanned { error, whose })
            }
        };
        drop(slot);
        outcome
    }

    /// Asks the instance how it is. What it says of its threads and signatures holds until the next time. Where it does
    /// not answer as it should, or gets no samples now, it is asked for a proof as well.
    pub async fn probe(&self) -> Result<Info, CallError> {
        if self.client.follow_name().await {
            tracing::info!(farm.instance = self.name, "The name of an instance has other addresses now");
        }
        let answer = {
            let _reading = self.standing.reading.lock().await;
            self.read().await
        };
        let now = Instant::now();
        let wants_proof = self.lock().breaker.wants_proof(now);
        match &answer {
            Ok(_) if wants_proof => drop(self.prove(now, Duration::ZERO).await),
            Err(CallError::Busy { .. }) if wants_proof => drop(self.prove(now, Duration::ZERO).await),
            // It may be frozen, with samples in its hands.
            Err(_) if !wants_proof && !self.is_open(now) => drop(self.prove(now, Duration::ZERO).await),
            Ok(_) | Err(_) => {}
        }
        answer
    }

    /// The instance as it stands.
    pub fn report(&self) -> InstanceReport {
        let now = Instant::now();
        let condition = self.lock();
        let state = condition.breaker.state(now);
        let info = condition.info.clone();
        let ms = |time: Duration| time.as_millis() as u64;
        let report = InstanceReport {
            name: self.name.clone(),
            url: self.url.clone(),
            healthy: matches!(state, State::Closed | State::Paused),
            state,
            thor: info.thor,
            signatures: info.signatures,
            threads: info.threads,
            licence_ends: info.licence_ends,
            in_flight: self.in_flight(),
            capacity: self.allowance(&condition, now),
            latency_ms: condition.latency.average().map(ms),
            info_ms: condition.info_took.map(ms),
            last_error: condition.complaint.as_ref().map(|complaint| complaint.text.clone()),
            ..InstanceReport::default()
        };
        condition.orders.note(self.is_drained(), report)
    }

    /// The signature version as read at or after `since`; none where it could not be read then.
    async fn signatures(&self, since: Option<Instant>) -> Option<String> {
        let known = || {
            let condition = self.lock();
            let asked = condition.asked.filter(|asked| Some(asked.at) >= since)?;
            // A read that failed serves those who waited for it, too: one after the other, they would wait for ever.
            Some(asked.answered.then(|| condition.info.signatures.clone()).flatten())
        };
        if let Some(signatures) = known() {
            return signatures;
        }
        let _reading = self.standing.reading.lock().await;
        match known() {
            Some(signatures) => signatures,
            None => self.read().await.ok().and_then(|info| info.signatures),
        }
    }

    async fn read(&self) -> Result<Info, CallError> {
        let asked = Instant::now();
        let answer = self.client.info().await;
        let mut condition = self.lock();
        condition.asked = Some(Asked { at: asked, answered: answer.is_ok() });
        match &answer {
            Ok(info) => {
                condition.info = info.clone();
                self.check_licence(&mut condition);
                condition.info_took = Some(asked.elapsed());
                condition.breaker.answered();
            }
            // Too busy to say how it is: alive, and no worse than busy.
            Err(CallError::Busy { pause, .. }) => {
                condition.breaker.answered();
                condition.breaker.busy(*pause, Instant::now());
            }
            Err(error) => {
                let opened = condition.breaker.unreachable(Instant::now());
                self.failed(&mut condition, error, opened);
            }
        }
        answer
    }

    fn check_licence(&self, condition: &mut Condition) {
        let Some(words) = &condition.info.licence_ends else { return };
        let Some(days) = condition.licence.due(words, SystemTime::now()) else { return };
        tracing::warn!(
            farm.instance = self.name,
            licence.ends = words,
            licence.days_left = days,
            "{}",
            if days < 0 {
                "The licence of an instance has ended"
            } else {
                "The licence of an instance ends soon"
            }
        );
    }

    fn allowance(&self, condition: &Condition, now: Instant) -> usize {
        if self.is_drained() || condition.is_reserved(now) || condition.orders.excluded.is_some() {
            return 0;
        }
        let most = self.settings.concurrency.or(condition.info.threads).unwrap_or(ASSUMED_THREADS);
        condition.breaker.allowance(condition.limit.allowed(most.min(MOST_SCANS), now), now)
    }

    fn succeeded(&self, took: Duration) {
        let mut condition = self.lock();
        condition.breaker.succeeded();
        condition.latency.record(took, Instant::now());
        condition.complaint = None;
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Condition> {
        self.standing.condition.lock().expect("nothing panics while it holds the condition")
    }
}

impl Scanned {
    /// How long the scanner took.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// The verdict, once it is known that it comes from no older signatures than it says.
    pub async fn verdict(self) -> Verdict {
        let after = self.instance.signatures(Some(self.ended)).await;
        Verdict {
            findings: self.findings,
            signatures: older(self.before, after),
            scanned_at: clock::now(),
            scan_ms: self.took.as_millis() as u64,
            instance: self.instance.name.clone(),
            ..Verdict::default()
        }
    }
}

/// Signature versions sort as text. Without one from before the scan nothing is known of what the scan had.
fn older(before: Option<String>, after: Option<String>) -> Option<String> {
    let before = before?;
    Some(match after {
        Some(after) => after.min(before),
        None => before,
    })
}
