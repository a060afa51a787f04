// SPDX-License-Identifier: GPL-3.0-or-later
//! What the log says of a message: one line with its decision and the dispositions behind it, and one warning for each
//! finding. `Finding` and `Quarantined email` are the names that postfix2thunderstorm gave its warnings; sites alert on
//! them.

use crate::{
    config::Mode,
    decision::Disposition,
    envelope::{Client, Envelope},
    inspection::{Inspected, Inspection, short},
    policy::Action,
};
use mail_parser::MessageParser;
use serde::Serialize;
use std::time::Duration;
use thundergate_common::verdict::{Finding, Rule};
use thundergate_extract::Exceeded;

/// A part in the log.
#[derive(Serialize)]
struct PartLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(rename = "type")]
    media_type: &'a str,
    size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    disposition: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    source: &'static str,
}

/// A rule in the log.
#[derive(Serialize)]
struct RuleLine<'a> {
    name: &'a str,
    subscore: i64,
}

/// Writes the lines of one message.
pub fn log(client: &Client, envelope: &Envelope, inspection: &Inspection, mode: Mode) {
    for part in &inspection.parts {
        if let Disposition::Found(verdict) = &part.disposition {
            for finding in &verdict.findings {
                log_finding(client, envelope, inspection, part, finding);
            }
        }
    }
    let parts: Vec<_> = inspection.parts.iter().map(PartLine::of).collect();
    macro_rules! line {
        ($level:ident, $message:literal) => {
            tracing::$level!(
                event = "message",
                queue.id = envelope.queue_id,
                message.id = inspection.message_id,
                trace_id = inspection.trace_id,
                message.size_bytes = inspection.size,
                sender = envelope.sender,
                recipients.json = json(&envelope.recipients),
                mta = client.mta,
                client.name = client.name,
                client.address = client.address.map(tracing::field::display),
                client.helo = client.helo,
                client.authenticated = envelope.authenticated,
                decision = inspection.decision.action.as_str(),
                cause = inspection.decision.cause.as_str(),
                passive = (mode == Mode::Passive).then_some(true),
                malformed = inspection.malformed.map(Exceeded::as_str),
                ambiguities.json = ambiguities(inspection),
                parts.json = json(&parts),
                duration_ms = milliseconds(inspection.duration),
                $message
            )
        };
    }
    match (inspection.decision.action, mode) {
        (_, Mode::Passive) => line!(info, "Scanned email, passive mode"),
        (Action::Accept, _) => line!(info, "Scanned email"),
        (Action::Tag, _) => line!(info, "Tagged email"),
        (Action::Tempfail, _) => line!(info, "Deferred email"),
        (Action::Quarantine, _) => line!(warn, "Quarantined email"),
        (Action::Reject, _) => line!(warn, "Rejected email"),
        (Action::Discard, _) => line!(warn, "Discarded email"),
    }
}

fn log_finding(
    client: &Client,
    envelope: &Envelope,
    inspection: &Inspection,
    part: &Inspected,
    finding: &Finding,
) {
    let rules: Vec<_> = finding.rules.iter().map(RuleLine::of).collect();
    tracing::warn!(
        event = "finding",
        queue.id = envelope.queue_id,
        message.id = inspection.message_id,
        sender = envelope.sender,
        recipients.json = json(&envelope.recipients),
        client.name = client.name,
        client.address = client.address.map(tracing::field::display),
        part.name = part.name,
        part.media_type = part.media_type,
        part.size_bytes = part.size,
        digest = part.key.as_ref().map(|key| tracing::field::display(key.digest)),
        finding.level = finding.level,
        finding.module = finding.module,
        finding.message = finding.message,
        finding.score = finding.score,
        rules.json = json(&rules),
        source = part.source.as_str(),
        ambiguities.json = ambiguities(inspection),
        "Finding"
    );
}

/// Where readers could differ; nothing in a line where they could not.
fn ambiguities(inspection: &Inspection) -> Option<String> {
    (!inspection.ambiguities.is_empty()).then(|| json(&inspection.ambiguities))
}

/// To the microsecond.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// JSON text for a field whose name ends in `.json`: the log line carries it as structure.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and numbers always serialise")
}

/// The Message-ID of a message, for people who search by it.
pub fn message_id(message: &[u8]) -> Option<String> {
    // Only its field is handed to the parser, and none is looked for where no Message-ID can stand.
    let field = field(&message[..message.len().min(64 << 10)], b"message-id")?;
    let parsed = MessageParser::new().with_message_ids().parse_headers(field)?;
    parsed.message_id().map(short)
}

/// The first field of this name in a header, with its continuation lines.
fn field<'a>(header: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut start = 0;
    while !matches!(header.get(start), None | Some(b'\r' | b'\n')) {
        let end = end_of_field(header, start);
        if is_named(&header[start..end], name) {
            return Some(&header[start..end]);
        }
        start = end;
    }
    None
}

/// Where the field that begins at `start` ends: at a line that does not begin with a blank.
fn end_of_field(header: &[u8], start: usize) -> usize {
    let mut next_lines = memchr::memchr_iter(b'\n', &header[start..]).map(|end| start + end + 1);
    let continues = |line: usize| matches!(header.get(line), Some(b' ' | b'\t'));
    next_lines.find(|line| !continues(*line)).unwrap_or(header.len())
}

fn is_named(field: &[u8], name: &[u8]) -> bool {
    let (start, rest) = field.split_at(field.len().min(name.len()));
    start.eq_ignore_ascii_case(name) && rest.trim_ascii_start().starts_with(b":")
}

impl<'a> PartLine<'a> {
    fn of(part: &'a Inspected) -> Self {
        Self {
            name: part.name.as_deref(),
            media_type: &part.media_type,
            size_bytes: part.size,
            digest: part.key.as_ref().map(|key| key.digest.to_string()),
            disposition: part.disposition.as_str(),
            reason: part.disposition.reason(),
            source: part.source.as_str(),
        }
    }
}

impl<'a> RuleLine<'a> {
    fn of(rule: &'a Rule) -> Self {
        Self { name: &rule.name, subscore: rule.subscore }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_id_is_found_wherever_it_stands_in_the_header() {
        let id = |message: &str| message_id(message.as_bytes());
        let expected = Some("a@b.example".to_owned());
        assert_eq!(id("Subject: x\r\n\ty\r\nmessage-ID :\r\n <a@b.example>\r\nTo: c\r\n\r\nbody"), expected);
        assert_eq!(id("Message-ID: <a@b.example>\r\n"), expected);
        assert_eq!(id("Subject: x\n\nMessage-ID: <a@b.example>\n"), None);
        assert_eq!(id("X: y\r\n Message-ID: <a@b.example>\r\n"), None);
        assert_eq!(id(""), None);
    }
}
