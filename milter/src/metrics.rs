// SPDX-License-Identifier: GPL-3.0-or-later
//! What the milter counts, by Prometheus' conventions (a `_total` is added to counters' names).

use crate::{decision::Disposition, inspection::Inspection};
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
use thundergate_common::verdict::SkipReason;

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
struct Ambiguity {
    /// One of [`crate::extract::ambiguity`].
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Malformed {
    /// What was not enough: `parts`, `depth`, `decoded_bytes` or another one that [`crate::extract`] names.
    budget: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Unscannable {
    /// `too_large`, `encrypted`, `external_body` or `partial`.
    reason: &'static str,
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
    ambiguities: Family<Ambiguity, Counter>,
    malformed: Family<Malformed, Counter>,
    unscannable: Family<Unscannable, Counter>,
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
            ambiguities: Family::default(),
            malformed: Family::default(),
            unscannable: Family::default(),
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
        registry.register(
            "ambiguities",
            "Messages that clients could read in several ways, by kind of ambiguity",
            metrics.ambiguities.clone(),
        );
        registry.register(
            "malformed",
            "Messages that were not taken apart to their end, by the budget they exceed",
            metrics.malformed.clone(),
        );
        registry.register(
            "unscannable",
            "Parts whose content no scanner can see, by reason",
            metrics.unscannable.clone(),
        );
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
            if let Disposition::Skipped(reason) = part.disposition
                && is_unscannable(reason)
            {
                self.unscannable.get_or_create(&Unscannable { reason: reason.as_str() }).inc();
            }
        }
        for kind in &inspection.ambiguities {
            self.ambiguities.get_or_create(&Ambiguity { kind }).inc();
        }
        if let Some(budget) = inspection.malformed {
            self.malformed.get_or_create(&Malformed { budget }).inc();
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

/// Whether there is something that was not scanned and could not be.
fn is_unscannable(reason: SkipReason) -> bool {
    match reason {
        SkipReason::TooLarge | SkipReason::Encrypted | SkipReason::ExternalBody | SkipReason::Partial => true,
        SkipReason::PlainText | SkipReason::Empty | SkipReason::Trusted => false,
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{decision::Decision, extract::Skipped, inspection::Inspected};
    use prometheus_client::encoding::text::encode;

    #[test]
    fn ambiguities_malformed_messages_and_what_cannot_be_scanned_are_counted_by_kind() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let part =
            |reason| Inspected::skipped(&Skipped { name: None, media_type: String::new(), size: 1, reason });
        let inspection = Inspection {
            parts: [SkipReason::Encrypted, SkipReason::Encrypted, SkipReason::PlainText].map(part).to_vec(),
            ambiguities: vec!["base64_junk", "header_junk"],
            malformed: Some("parts"),
            ..Inspection::of(Decision::BUG)
        };
        metrics.decided(&inspection);
        metrics.decided(&Inspection { ambiguities: vec!["base64_junk"], ..Inspection::of(Decision::BUG) });
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "thundergate_milter_ambiguities_total{kind=\"base64_junk\"} 2",
            "thundergate_milter_ambiguities_total{kind=\"header_junk\"} 1",
            "thundergate_milter_malformed_total{budget=\"parts\"} 1",
            "thundergate_milter_unscannable_total{reason=\"encrypted\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("unscannable_total{reason=\"plain_text\"}"), "{text}");
    }
}
