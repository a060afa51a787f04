// SPDX-License-Identifier: GPL-3.0-or-later
//! A message's trace: the message itself and, as parts of it, looking up, enqueueing and waiting. Attributes are named as
//! OpenTelemetry's conventions name them, where there are any, else as in the log. There is nothing in them about people.

use crate::outcome::{inspection::Inspection, settings::Mode};
use thundergate_common::{
    digest::Digest,
    job::Lane,
    traces::{Array, KeyValue, Span, SpanKind, StringValue, Value},
};

/// A message that has arrived.
pub fn message(queue_id: &str, size: u64) -> Span {
    let span = Span::begin(SpanKind::Server, "message", None);
    span.note(|| {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        [KeyValue::new("queue.id", queue_id.to_owned()), count("message.size_bytes", size)]
    });
    span
}

/// How it ended.
pub fn decided(message: &Span, inspection: &Inspection, mode: Mode) {
    message.note(|| {
        let samples = inspection.parts.iter().filter(|part| part.key.is_some()).count();
        [
            KeyValue::new("decision", inspection.decision.action.as_str()),
            KeyValue::new("cause", inspection.decision.cause.as_str()),
            KeyValue::new("passive", mode == Mode::Passive),
            count("parts", inspection.parts.len()),
            count("samples", samples),
        ]
    });
}

/// Asking the hub what is known of so many samples.
pub(crate) fn looking_up(message: &Span, samples: usize) -> Span {
    let span = message.child(SpanKind::Client, "look up");
    span.note(|| [KeyValue::new("db.system.name", "redis"), count("samples", samples)]);
    span
}

/// Reserving and submitting; the scans of these jobs are parts of it.
pub(crate) fn enqueueing(message: &Span, lane: Lane) -> Span {
    let span = message.child(SpanKind::Producer, "enqueue");
    span.note(|| {
        [
            KeyValue::new("messaging.system", "redis"),
            KeyValue::new("messaging.operation.type", "send"),
            KeyValue::new("messaging.operation.name", "enqueue"),
            KeyValue::new("messaging.destination.name", lane.as_str()),
        ]
    });
    span
}

/// So many jobs are submitted, and others have jobs for `joined` samples.
pub fn enqueued(enqueueing: &Span, jobs: usize, joined: usize) {
    enqueueing.note(|| [count("messaging.batch.message_count", jobs), count("samples.joined", joined)]);
}

/// Waiting for the samples of these digests. The scans that this message only joined are in other traces: they have the same digests.
pub fn waiting(message: &Span, digests: impl Iterator<Item = Digest>) -> Span {
    let span = message.child(SpanKind::Internal, "wait");
    span.note(|| {
        let digests = digests.map(|digest| StringValue::from(digest.to_string()));
        [KeyValue::new("digests", Value::Array(Array::String(digests.collect())))]
    });
    span
}

fn count(name: &'static str, number: usize) -> KeyValue {
    KeyValue::new(name, i64::try_from(number).unwrap_or(i64::MAX))
}
