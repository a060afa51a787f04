// SPDX-License-Identifier: GPL-3.0-or-later
//! What workers report of the farm, and the generation that follows from it. Every process looks at the generation
//! every few seconds; while Redis is away it keeps what it knew.
//!
//! How old a report is, when the generation was bumped and when a scan ended, the clock of Redis says: processes need not
//! agree on the time. With each look a process measures how far its own clock is ahead ([`crate::clock`]).

use super::{
    RedisHub,
    connection::Connection,
    entry::{millis, read},
    error::{hub_error, unusable},
    outage,
    oversight::{self, BLIND, MEMORY, Spans},
    scripts::{Call, SCRIPTS, Step},
    seal::Purpose,
    vault::Vault,
};
use crate::{
    blind,
    blind::BlindSpan,
    clock::{Clock, Notice},
    generation::{FarmReport, Generation, reached},
    hub::{Hub as _, HubError},
    keys::Keys,
    metrics,
    oversight::Oversight,
    wire::Versioned,
};
use redis::{ErrorKind, RedisResult, ServerErrorKind, Value, cmd, from_redis_value};
use std::{
    num::NonZeroUsize,
    sync::{Arc, Once},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tracing::warn;

/// How often a process looks at the generation: with the workers' probes before it, milters learn of a new one within 10 s.
const EVERY: Duration = Duration::from_secs(3);
/// The same while no instance scans.
const OUTAGE_EVERY: Duration = Duration::from_millis(500);
/// For how many seconds a report counts.
const FRESH: u64 = 30;
/// So many seconds may clocks differ, and reports be older than they seem, where they are sealed.
const CLOCKS: u64 = 300;

/// What the parts of the generation are sealed for.
pub(super) const SIGNATURES: &str = "signatures";
pub(super) const BUMPED: &str = "bumped";

/// The log is told once that spans may not be read.
static DENIED: Once = Once::new();

/// Keeps what this process knows of the generation fresh.
pub(super) struct Watcher {
    pub connection: Connection,
    pub keys: Keys,
    pub vault: Arc<Vault>,
    pub generation: Arc<watch::Sender<Arc<Generation>>>,
    pub outage: Arc<outage::Known>,
    pub clock: Arc<Clock>,
}

/// What a process asks to learn of the farm, and what it knows.
struct Learner<'a> {
    connection: &'a Connection,
    keys: &'a Keys,
    vault: &'a Vault,
    generation: &'a watch::Sender<Arc<Generation>>,
    clock: &'a Clock,
}

impl Watcher {
    /// Looks again and again, until it is dropped.
    pub(super) async fn run(self) {
        loop {
            // The end of an outage is not to be missed.
            let every = if self.outage.borrow().is_known() { OUTAGE_EVERY } else { EVERY };
            // Jitter: the processes of a site shall not all ask in the same moment.
            sleep(every.mul_f64(0.9 + fastrand::f64() / 10.0)).await;
            // An outage is told by whoever needs the hub for mail.
            let _ = self.look().await;
        }
    }

    /// Looks once.
    pub(super) async fn look(&self) -> Result<(), HubError> {
        let learner = Learner {
            connection: &self.connection,
            keys: &self.keys,
            vault: &self.vault,
            generation: &self.generation,
            clock: &self.clock,
        };
        learner.learn().await?;
        outage::learn(&self.connection, &self.keys, &self.vault, &self.outage).await
    }
}

impl<'a> From<&'a RedisHub> for Learner<'a> {
    fn from(hub: &'a RedisHub) -> Self {
        Self {
            connection: &hub.verdicts,
            keys: &hub.keys,
            vault: &hub.vault,
            generation: &hub.generation,
            clock: &hub.clock,
        }
    }
}

/// See [`crate::hub::Worker::report`].
pub(super) async fn report(
    hub: &RedisHub,
    report: &FarmReport,
    quorum: Option<NonZeroUsize>,
) -> Result<Oversight, HubError> {
    let sealed = hub.vault.seal(Purpose::Report, "", Versioned::encode(report));
    let steps = vec![exchange(hub, &report.worker, &sealed).into(), oversight::reading(hub).into()];
    let [all, oversight] =
        <[_; 2]>::try_from(hub.verdicts.each(steps).await?).map_err(|_| unusable("too few answers"))?;
    let all = opened(hub, all.map_err(hub_error)?)?;
    let oversight = oversight::opened(hub, oversight)?;
    if let Some(signatures) = reached(&all, quorum, &oversight.all_excluded()) {
        let command = match signatures {
            Some(signatures) => {
                let sealed = hub.vault.seal(Purpose::Generation, SIGNATURES, signatures.into_bytes());
                cmd("SET").arg(hub.keys.signatures()).arg(&*sealed).arg("PX").arg(millis(MEMORY)).take()
            }
            None => cmd("DEL").arg(hub.keys.signatures()).take(),
        };
        hub.verdicts.one(command).await?;
    }
    outage::tell(hub, &all).await?;
    Learner::from(hub).learn().await?;
    Ok(oversight)
}

/// See [`crate::hub::Observer::farm`].
pub(super) async fn reports(hub: &RedisHub) -> Result<Vec<FarmReport>, HubError> {
    opened(hub, hub.verdicts.one(exchange(hub, "", &[])).await?)
}

/// Leaves a report where there is one, and asks for all.
fn exchange(hub: &RedisHub, worker: &str, report: &[u8]) -> Call {
    SCRIPTS.report.on([hub.keys.reports()]).arg(worker).arg(report).arg(FRESH)
}

/// The answer to that.
fn opened(hub: &RedisHub, answer: Value) -> Result<Vec<FarmReport>, HubError> {
    let all: Vec<Vec<u8>> = from_redis_value(answer).map_err(unusable)?;
    let decoded = |sealed| Versioned::decode(&hub.vault.open(Purpose::Report, "", sealed)?);
    let all = all.into_iter().filter_map(decoded);
    // Where Redis is not trusted, its word for the age of a report is none.
    let current = |report: &FarmReport| !hub.vault.is_closed() || hub.now().abs_diff(report.at) < CLOCKS;
    Ok(all.filter(current).collect())
}

/// See [`crate::hub::Operator::bump`].
pub(super) async fn bump(hub: &RedisHub) -> Result<Generation, HubError> {
    let life = millis(MEMORY.max(hub.cache.clean_ttl));
    let answer = hub.verdicts.one(time(&hub.keys)).await?;
    let now = milliseconds(answer).ok_or_else(|| unusable("TIME gave an unknown answer"))? / 1000;
    let sealed = hub.vault.seal(Purpose::Generation, BUMPED, now.to_string().into_bytes());
    hub.verdicts.one(cmd("SET").arg(hub.keys.bumped()).arg(&*sealed).arg("PX").arg(life).take()).await?;
    Learner::from(hub).learn().await?;
    Ok(Generation::clone(&hub.generation.borrow()))
}

impl Learner<'_> {
    async fn learn(&self) -> Result<(), HubError> {
        let keys = [self.keys.signatures(), self.keys.bumped(), self.keys.blind()];
        let mut steps: Vec<Step> = keys.map(|key| cmd("GET").arg(key).take().into()).into();
        steps.push(time(self.keys).into());
        let (sent_ms, sent) = (self.clock.own_ms(), Instant::now());
        let answers = self.connection.each(steps).await?;
        let round_trip = sent.elapsed();
        let [signatures, bumped, blind, time] =
            <[_; 4]>::try_from(answers).map_err(|_| unusable("too few answers"))?;
        // A user that may not ask for the time (an older users.acl) learns of the generation all the same.
        if let Some(theirs_ms) = time.ok().and_then(milliseconds) {
            tell(self.clock, self.clock.measured(sent_ms, round_trip, theirs_ms));
        }
        let (Some(signatures), Some(bumped)) =
            (self.text(signatures, SIGNATURES)?, self.text(bumped, BUMPED)?)
        else {
            // What does not open says nothing: what is known stays.
            return Ok(());
        };
        let blind = self.spans(blind)?.unwrap_or_else(|| self.generation.borrow().blind.clone());
        let bumped_at = bumped.and_then(|text| text.parse().ok()).unwrap_or(0);
        let next = Generation { signatures, bumped_at, blind };
        self.generation.send_if_modified(|known| {
            let changed = **known != next;
            if changed {
                known.tell_of(&next);
                *known = Arc::new(next);
            }
            changed
        });
        Ok(())
    }

    /// Signatures or bump; the outer none where they do not open.
    fn text(&self, answer: RedisResult<Value>, of: &str) -> Result<Option<Option<String>>, HubError> {
        let Some(sealed) = read::<Option<Vec<u8>>>(answer)? else { return Ok(Some(None)) };
        let opened = self.vault.open(Purpose::Generation, of, sealed);
        Ok(opened.map(|text| Some(String::from_utf8_lossy(&text).into_owned())))
    }

    /// When instances were blind; none where that does not open. With an older users.acl a milter does not learn of it.
    fn spans(&self, answer: RedisResult<Value>) -> Result<Option<Vec<BlindSpan>>, HubError> {
        let denied = ErrorKind::Server(ServerErrorKind::NoPerm);
        if answer.as_ref().is_err_and(|error| error.kind() == denied) {
            DENIED.call_once(|| {
                warn!(
                    event = "denied",
                    "Redis does not let this user read which instances were blind; their verdicts are believed. Its \
                     users.acl is older than this program"
                );
            });
            return Ok(Some(Vec::new()));
        }
        let Some(sealed) = read::<Option<Vec<u8>>>(answer)? else { return Ok(Some(Vec::new())) };
        let opened = self.vault.open(Purpose::Generation, BLIND, sealed);
        Ok(opened.and_then(|plain| Versioned::<Spans>::decode(&plain)).map(|read| blind::bounded(read.spans)))
    }
}

/// Asks for the shared time. In a cluster a plain `TIME` goes to any node; this one goes to the node of a key that every
/// user may name in a script.
fn time(keys: &Keys) -> Call {
    SCRIPTS.time.on([keys.job_bytes(0)])
}

/// `TIME`: seconds and microseconds.
fn milliseconds(time: Value) -> Option<u64> {
    let [seconds, microseconds]: [u64; 2] = from_redis_value::<Vec<u64>>(time).ok()?.try_into().ok()?;
    Some(seconds.checked_mul(1000)?.saturating_add(microseconds / 1000))
}

/// The log hears of clocks that differ, the metrics of every measurement.
fn tell(clock: &Clock, notice: Option<Notice>) {
    let Some(ahead_ms) = clock.ahead_ms() else { return };
    let seconds = ahead_ms as f64 / 1000.0;
    metrics::clock_is_ahead(seconds);
    match notice {
        Some(Notice::Differs) => warn!(
            event = "clock",
            clock.skew_seconds = seconds,
            "The clocks of this machine and of Redis differ; set both by NTP"
        ),
        Some(Notice::Agrees) => warn!(
            event = "clock",
            clock.skew_seconds = seconds,
            "The clocks of this machine and of Redis agree again"
        ),
        None => {}
    }
}
