// SPDX-License-Identifier: GPL-3.0-or-later
//! What the milter counts, by Prometheus' conventions (a `_total` is added to counters' names).

use crate::inspection::Inspection;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Message {
    /// The policy's decision, also in passive mode.
    decision: &'static str,
    cause: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Part {
    disposition: &'static str,
    /// Where it comes from: `local`, `hub`, `scan`, `joined` or `none`.
    source: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LookUp {
    /// `local` or `hub`.
    layer: &'static str,
    /// `hit` or `miss`.
    result: &'static str,
}

/// The milter's metrics.
pub struct Metrics {
    messages: Family<Message, Counter>,
    message_bytes: Counter,
    inspection: Histogram,
    parts: Family<Part, Counter>,
    look_ups: Family<LookUp, Counter>,
    waiting: Gauge,
    no_seat: Counter,
    receipts_dropped: Counter,
}

/// A message that waits, as long as this lives.
pub struct Waiting<'a>(&'a Gauge);

impl Metrics {
    /// Registers them all.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            messages: Family::default(),
            message_bytes: Counter::default(),
            inspection: Histogram::new(exponential_buckets(0.000_25, 2.0, 18)),
            parts: Family::default(),
            look_ups: Family::default(),
            waiting: Gauge::default(),
            no_seat: Counter::default(),
            receipts_dropped: Counter::default(),
        };
        let registry = registry.sub_registry_with_prefix("thundergate_milter");
        registry.register("messages", "Messages by decision and its cause", metrics.messages.clone());
        registry.register("message_bytes", "Bytes of all messages", metrics.message_bytes.clone());
        registry.register(
            "inspection_duration_seconds",
            "From the end of a message to its decision",
            metrics.inspection.clone(),
        );
        registry.register("parts", "Parts by disposition and where it comes from", metrics.parts.clone());
        registry.register("lookups", "Samples looked up by layer and result", metrics.look_ups.clone());
        registry.register(
            "waiting_messages",
            "Messages that wait for a verdict now",
            metrics.waiting.clone(),
        );
        registry.register(
            "no_seat",
            "Messages that could not wait, all wait.sessions being taken",
            metrics.no_seat.clone(),
        );
        registry.register(
            "receipts_dropped",
            "Receipts that the hub could not store",
            metrics.receipts_dropped.clone(),
        );
        metrics
    }

    /// A message was decided on.
    pub fn decided(&self, inspection: &Inspection) {
        let decision = inspection.decision;
        let label = Message { decision: decision.action.as_str(), cause: decision.cause.as_str() };
        self.messages.get_or_create(&label).inc();
        self.message_bytes.inc_by(inspection.size);
        self.inspection.observe(inspection.duration.as_secs_f64());
        for part in &inspection.parts {
            let label = Part { disposition: part.disposition.as_str(), source: part.source.as_str() };
            self.parts.get_or_create(&label).inc();
        }
    }

    /// `hits` of `asked` samples were known to `layer`.
    pub fn looked_up(&self, layer: &'static str, hits: usize, asked: usize) {
        self.look_ups.get_or_create(&LookUp { layer, result: "hit" }).inc_by(hits as u64);
        self.look_ups.get_or_create(&LookUp { layer, result: "miss" }).inc_by((asked - hits) as u64);
    }

    /// A message waits from now on.
    pub fn waiting(&self) -> Waiting<'_> {
        self.waiting.inc();
        Waiting(&self.waiting)
    }

    /// A message could not wait.
    pub fn no_seat(&self) {
        self.no_seat.inc();
    }

    /// A receipt could not be stored.
    pub fn receipt_dropped(&self) {
        self.receipts_dropped.inc();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
