// SPDX-License-Identifier: GPL-3.0-or-later
//! What the milter counts, each defined and explained here; `thundergate_milter_` stands before every name, and the
//! encoder adds `_total` to the names of counters.
//!
//! * `messages_total{decision,cause}`: messages by what the policy decided, also in passive mode, and why
//! * `message_bytes_total`: their bytes
//! * `passed_unscanned_total{cause}`: messages that the MTA was told to deliver although something in them was not
//!   scanned, once for each reason; in passive mode too, which delivers everything
//! * `parts_total{disposition,source}`: parts by how they ended and where that comes from: `local` (this process knew),
//!   `hub` (another had it scanned), `scan`, `joined` (the scan was under way already), `none`
//! * `unscannable_total{reason}`: parts whose content no scanner can see
//! * `containers_total{container}`: parts that ask for a password: `opened`, `sealed`, `unsupported`; and
//!   `unopened`, which nobody opens
//! * `ambiguities_total{kind}`: messages that clients could read in several ways
//! * `malformed_total{budget}`: messages that were not taken apart to their end
//! * `lookups_total{layer,result}`: samples looked up: `hit` or `miss`, first in this process (`local`), then in the `hub`
//! * `inspection_duration_seconds`: from the end of a message to its decision
//! * `wait_duration_seconds`: how long messages waited for verdicts, of those that had to
//! * `waiting_messages`, `waiting_messages_limit`: messages that wait now, and `wait.sessions`
//! * `no_seat_total`: messages that could not wait, all of `wait.sessions` being taken
//! * `wait_deadline_seconds`: `wait.deadline`
//! * `passive_mode`: 1 where `mode = "passive"`
//! * `hub_up`: 1 where the hub answered last time; it is asked every second
//! * `records_dropped_total`: records of mails that were not stored; `receipts_dropped_total` is its old name
//!
//! A message that is known takes tens of microseconds, so what it counts is found by number, not by name.

use crate::outcome::{
    inspection::{Inspection, Malformed},
    settings::Mode,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use std::{
    sync::atomic::AtomicU64,
    time::{Duration, Instant},
};
use thundergate_common::{cache::Layer, verdict::SkipReason};
use thundergate_extract::Ambiguity;
use thundergate_policy::{Action, Cause, Disposition, Source};

const DISPOSITIONS: [&str; 5] = ["clean", "found", "pending", "skipped", "failed"];
/// Of the reasons to skip a part, those where there is something that was not scanned and could not be.
const UNSCANNABLE: [SkipReason; 4] =
    [SkipReason::TooLarge, SkipReason::Encrypted, SkipReason::ExternalBody, SkipReason::Partial];
/// What came of parts that ask for a password, and those that nobody opens.
const CONTAINERS: [&str; 4] = ["opened", "sealed", "unsupported", "unopened"];
/// From a quick scan to beyond the default `wait.deadline`, which has a bucket of its own.
const WAIT: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Message {
    decision: &'static str,
    cause: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Unscanned {
    /// One of [`Cause::UNSCANNED`].
    cause: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Part {
    disposition: &'static str,
    source: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Contained {
    /// One of [`CONTAINERS`].
    container: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Ambiguous {
    /// One of [`Ambiguity::ALL`].
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Budget {
    /// One of [`Malformed::all`].
    budget: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Unscannable {
    /// One of [`UNSCANNABLE`].
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LookUp {
    layer: &'static str,
    result: &'static str,
}

/// The milter's metrics.
pub struct Metrics {
    /// By [`Action::ALL`], then by [`Cause::ALL`].
    messages: [[Counter; Cause::ALL.len()]; Action::ALL.len()],
    message_bytes: Counter,
    passed_unscanned: [Counter; Cause::UNSCANNED.len()],
    /// By [`DISPOSITIONS`], then by [`Source::ALL`].
    parts: [[Counter; Source::ALL.len()]; DISPOSITIONS.len()],
    unscannable: [Counter; UNSCANNABLE.len()],
    containers: Family<Contained, Counter>,
    ambiguities: Family<Ambiguous, Counter>,
    malformed: Family<Budget, Counter>,
    /// Hits and misses.
    local: [Counter; 2],
    hub: [Counter; 2],
    inspection: Histogram,
    wait: Histogram,
    waiting: Gauge,
    seats: Gauge,
    no_seat: Counter,
    deadline: Gauge<f64, AtomicU64>,
    passive: Gauge,
    hub_up: Gauge,
    records_dropped: Counter,
}

/// A message that waits, as long as this lives.
pub struct Waiting<'a> {
    metrics: &'a Metrics,
    since: Instant,
}

impl Metrics {
    /// Registers them all.
    pub fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("thundergate_milter");
        let messages = Family::<Message, Counter>::default();
        registry.register("messages", "Messages by decision and its cause", messages.clone());
        let message_bytes = Counter::default();
        registry.register("message_bytes", "Bytes of all messages", message_bytes.clone());
        let passed_unscanned = Family::<Unscanned, Counter>::default();
        registry.register(
            "passed_unscanned",
            "Messages that were delivered although something in them was not scanned, by why",
            passed_unscanned.clone(),
        );
        let parts = Family::<Part, Counter>::default();
        registry.register("parts", "Parts by disposition and where it comes from", parts.clone());
        let unscannable = Family::<Unscannable, Counter>::default();
        registry.register(
            "unscannable",
            "Parts whose content no scanner can see, by reason",
            unscannable.clone(),
        );
        let containers = Family::<Contained, Counter>::default();
        registry.register(
            "containers",
            "Parts that ask for a password or that nobody opens, by what came of it",
            containers.clone(),
        );
        for container in CONTAINERS {
            drop(containers.get_or_create(&Contained { container }));
        }
        let look_ups = Family::<LookUp, Counter>::default();
        registry.register("lookups", "Samples looked up by layer and result", look_ups.clone());
        let looked_up = |layer: Layer| {
            let label = |result| LookUp { layer: layer.as_str(), result };
            ["hit", "miss"].map(|result| look_ups.get_or_create_owned(&label(result)))
        };
        let metrics = Self {
            messages: Action::ALL.map(|action| {
                let label = |cause: Cause| Message { decision: action.as_str(), cause: cause.as_str() };
                Cause::ALL.map(|cause| messages.get_or_create_owned(&label(cause)))
            }),
            message_bytes,
            passed_unscanned: Cause::UNSCANNED
                .map(|cause| passed_unscanned.get_or_create_owned(&Unscanned { cause: cause.as_str() })),
            parts: DISPOSITIONS.map(|disposition| {
                let label = |source: Source| Part { disposition, source: source.as_str() };
                Source::ALL.map(|source| parts.get_or_create_owned(&label(source)))
            }),
            unscannable: UNSCANNABLE
                .map(|reason| unscannable.get_or_create_owned(&Unscannable { reason: reason.as_str() })),
            containers,
            ambiguities: Family::default(),
            malformed: Family::default(),
            local: looked_up(Layer::Local),
            hub: looked_up(Layer::Hub),
            inspection: Histogram::new(exponential_buckets(0.000_25, 2.0, 18)),
            wait: Histogram::new(WAIT),
            waiting: Gauge::default(),
            seats: Gauge::default(),
            no_seat: Counter::default(),
            deadline: Gauge::default(),
            passive: Gauge::default(),
            hub_up: Gauge::default(),
            records_dropped: Counter::default(),
        };
        for kind in Ambiguity::ALL {
            drop(metrics.ambiguities.get_or_create(&Ambiguous { kind: kind.as_str() }));
        }
        for malformed in Malformed::all() {
            drop(metrics.malformed.get_or_create(&Budget { budget: malformed.as_str() }));
        }
        metrics.register_the_rest(registry);
        metrics
    }

    fn register_the_rest(&self, registry: &mut Registry) {
        registry.register(
            "ambiguities",
            "Messages that clients could read in several ways, by kind of ambiguity",
            self.ambiguities.clone(),
        );
        registry.register(
            "malformed",
            "Messages that were not taken apart to their end, by the budget they exceed",
            self.malformed.clone(),
        );
        registry.register_with_unit(
            "inspection_duration",
            "From the end of a message to its decision",
            Unit::Seconds,
            self.inspection.clone(),
        );
        registry.register_with_unit(
            "wait_duration",
            "How long messages waited for verdicts, of those that had to",
            Unit::Seconds,
            self.wait.clone(),
        );
        registry.register("waiting_messages", "Messages that wait for a verdict now", self.waiting.clone());
        registry.register("waiting_messages_limit", "Messages that may wait at once", self.seats.clone());
        registry.register(
            "no_seat",
            "Messages that could not wait, all wait.sessions being taken",
            self.no_seat.clone(),
        );
        registry.register_with_unit(
            "wait_deadline",
            "How long a message may wait",
            Unit::Seconds,
            self.deadline.clone(),
        );
        registry.register("passive_mode", "1 where every message is delivered", self.passive.clone());
        registry.register("hub_up", "1 where the hub answered last time", self.hub_up.clone());
        registry.register(
            "records_dropped",
            "Records of mails that were not stored",
            self.records_dropped.clone(),
        );
        registry.register(
            "receipts_dropped",
            "The old name of records_dropped",
            self.records_dropped.clone(),
        );
    }

    /// This is the configuration from now on.
    pub fn configured(&self, mode: Mode, seats: usize, deadline: Duration) {
        self.passive.set(i64::from(mode == Mode::Passive));
        self.seats.set(i64::try_from(seats).unwrap_or(i64::MAX));
        self.deadline.set(deadline.as_secs_f64());
    }

    /// A message was decided on.
    pub fn decided(&self, inspection: &Inspection) {
        let decision = inspection.decision;
        let by_cause = self.messages.get(decision.action as usize);
        count(by_cause.and_then(|counters| counters.get(decision.cause as usize)));
        self.message_bytes.inc_by(inspection.size);
        self.inspection.observe(inspection.duration.as_secs_f64());
        for part in &inspection.parts {
            let by_source = self.parts.get(number(&part.disposition));
            count(by_source.and_then(|counters| counters.get(part.source as usize)));
            if let Disposition::Skipped(reason) = part.disposition
                && let Some(number) = UNSCANNABLE.iter().position(|one| *one == reason)
            {
                self.unscannable[number].inc();
            }
            let unopened = part.unopened.map(|_| "unopened");
            if let Some(container) = part.container().as_str().or(unopened) {
                self.containers.get_or_create(&Contained { container }).inc();
            }
        }
        for kind in &inspection.ambiguities {
            self.ambiguities.get_or_create(&Ambiguous { kind: kind.as_str() }).inc();
        }
        if let Some(malformed) = inspection.malformed {
            self.malformed.get_or_create(&Budget { budget: malformed.as_str() }).inc();
        }
        if matches!(inspection.action, Action::Accept | Action::Tag) {
            self.passed(inspection);
        }
    }

    /// A message passes: what of it nobody has scanned?
    fn passed(&self, inspection: &Inspection) {
        for (unscanned, counter) in inspection.unscanned().into_iter().zip(&self.passed_unscanned) {
            if unscanned {
                counter.inc();
            }
        }
    }

    /// `hits` of `asked` samples were known to `layer`.
    pub(crate) fn looked_up(&self, layer: Layer, hits: usize, asked: usize) {
        let [hit, miss] = match layer {
            Layer::Local => &self.local,
            Layer::Hub => &self.hub,
        };
        hit.inc_by(hits as u64);
        miss.inc_by((asked - hits) as u64);
    }

    /// A message waits from now on.
    pub fn waiting(&self) -> Waiting<'_> {
        self.waiting.inc();
        Waiting { metrics: self, since: Instant::now() }
    }

    /// A message could not wait.
    pub(crate) fn no_seat(&self) {
        self.no_seat.inc();
    }

    /// The hub was asked whether it is there.
    pub(crate) fn hub_is_up(&self, up: bool) {
        self.hub_up.set(i64::from(up));
    }

    /// So many records were not stored.
    pub(crate) fn records_dropped(&self, count: usize) {
        self.records_dropped.inc_by(count as u64);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.metrics.waiting.dec();
        self.metrics.wait.observe(self.since.elapsed().as_secs_f64());
    }
}

/// A message is answered whatever is counted of it, but a test in which something has no counter fails.
fn count(slot: Option<&Counter>) {
    debug_assert!(slot.is_some(), "each word has a counter");
    slot.map(Counter::inc);
}

/// Its place in [`DISPOSITIONS`].
fn number(disposition: &Disposition) -> usize {
    match disposition {
        Disposition::Clean => 0,
        Disposition::Found(_) => 1,
        Disposition::Pending => 2,
        Disposition::Skipped(_) => 3,
        Disposition::Failed(_) => 4,
    }
}

#[cfg(test)]
mod tests;
