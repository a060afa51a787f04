// SPDX-License-Identifier: GPL-3.0-or-later
//! What the log says of a message: one line with its decision and the dispositions behind it, and one warning for each
//! finding. `Finding` and `Quarantined email` are the names that postfix2thunderstorm gave its warnings; sites alert on
//! them. However many recipients, parts and findings a message has, its lines are bounded in number and length; what they
//! leave out they count, under names that no list has: a site's index takes `recipients` for a list of texts and would
//! refuse a line with `recipients.omitted`.

use crate::{
    mail::envelope::{Client, Envelope},
    outcome::{
        inspection::{Inspected, Inspection, Malformed, short},
        settings::Mode,
    },
};
use mail_parser::MessageParser;
use serde::Serialize;
use std::{cmp::Reverse, collections::HashMap, time::Duration};
use thundergate_common::{
    sample::SampleKey,
    verdict::{Finding, Rule, SkipReason},
};
use thundergate_policy::{Action, Disposition};

/// Recipients, parts and rules in one line.
const MOST_LISTED: usize = 50;

/// How much of a message its lines leave out.
struct Omitted {
    findings: Option<usize>,
    recipients: Option<usize>,
    parts: Option<usize>,
}

/// A part in the log.
#[derive(Serialize)]
struct PartLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    /// The names of the files that it came in, such as `mail.msg`.
    #[serde(skip_serializing_if = "Option::is_none")]
    within: Option<&'a str>,
    #[serde(rename = "type")]
    media_type: &'a str,
    size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    disposition: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// `opened`, `sealed` or `unsupported`, where it asks for a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<&'static str>,
    /// The kind of an archive or image that nobody opens, such as `iso`.
    #[serde(skip_serializing_if = "Option::is_none")]
    unopened: Option<&'static str>,
    source: &'static str,
}

/// A rule in the log.
#[derive(Serialize)]
struct RuleLine<'a> {
    name: &'a str,
    subscore: i64,
}

/// Writes the lines of one message: at most `findings` for what was found, and one for the decision.
pub fn log(client: &Client, envelope: &Envelope, inspection: &Inspection, mode: Mode, findings: usize) {
    let recipients = json(&envelope.recipients[..envelope.recipients.len().min(MOST_LISTED)]);
    let omitted = Omitted {
        findings: log_findings(client, envelope, inspection, &recipients, findings),
        recipients: beyond(envelope.recipients.len(), MOST_LISTED),
        parts: beyond(inspection.parts.len(), MOST_LISTED),
    };
    log_decision(client, envelope, inspection, mode, &recipients, omitted);
}

fn log_decision(
    client: &Client,
    envelope: &Envelope,
    inspection: &Inspection,
    mode: Mode,
    recipients: &str,
    omitted: Omitted,
) {
    let parts = listed(&inspection.parts);
    macro_rules! line {
        ($level:ident, $message:literal) => {
            tracing::$level!(
                event = "message",
                queue.id = envelope.queue_id,
                message.id = inspection.message_id,
                trace_id = inspection.trace_id,
                message.size_bytes = inspection.size,
                sender = envelope.sender,
                recipients.json = recipients,
                mta = client.mta,
                client.name = client.name,
                client.address = client.address.map(tracing::field::display),
                client.helo = client.helo,
                client.authenticated = envelope.authenticated,
                decision = inspection.decision.action.as_str(),
                cause = inspection.decision.cause.as_str(),
                passive = (mode == Mode::Passive).then_some(true),
                malformed = inspection.malformed.map(Malformed::as_str),
                ambiguities.json = ambiguities(inspection),
                parts.json = json(&parts),
                omitted.findings = omitted.findings,
                omitted.recipients = omitted.recipients,
                omitted.parts = omitted.parts,
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

/// Logs at most `most` of the findings, and says how many it left out.
fn log_findings(
    client: &Client,
    envelope: &Envelope,
    inspection: &Inspection,
    recipients: &str,
    most: usize,
) -> Option<usize> {
    let mut findings: Vec<_> = inspection.parts.iter().flat_map(findings_in).collect();
    let omitted = beyond(findings.len(), most);
    if omitted.is_some() {
        the_telling_ones_first(&mut findings);
    }
    for (part, finding) in findings.into_iter().take(most) {
        log_finding(client, envelope, inspection, recipients, part, finding);
    }
    omitted
}

fn findings_in(part: &Inspected) -> impl Iterator<Item = (&Inspected, &Finding)> {
    let findings: &[Finding] = match &part.disposition {
        Disposition::Found(verdict) => &verdict.findings,
        _ => &[],
    };
    findings.iter().map(move |finding| (part, finding))
}

/// The highest score first, each sample once before any comes again: a part that is there 900 times must not hide
/// another one.
fn the_telling_ones_first(findings: &mut [(&Inspected, &Finding)]) {
    let mut first_parts: HashMap<Option<&SampleKey>, &Inspected> = HashMap::new();
    for (part, _) in &*findings {
        first_parts.entry(part.key.as_ref()).or_insert(part);
    }
    findings.sort_by_cached_key(|(part, finding)| {
        let comes_again = !std::ptr::eq(first_parts[&part.key.as_ref()], *part);
        (comes_again, Reverse(finding.score))
    });
}

fn log_finding(
    client: &Client,
    envelope: &Envelope,
    inspection: &Inspection,
    recipients: &str,
    part: &Inspected,
    finding: &Finding,
) {
    let rules: Vec<_> = finding.rules.iter().take(MOST_LISTED).map(RuleLine::of).collect();
    tracing::warn!(
        event = "finding",
        queue.id = envelope.queue_id,
        message.id = inspection.message_id,
        sender = envelope.sender,
        recipients.json = recipients,
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
        omitted.recipients = beyond(envelope.recipients.len(), MOST_LISTED),
        omitted.rules = beyond(finding.rules.len(), MOST_LISTED),
        "Finding"
    );
}

/// The parts that a line lists: all, or those that tell most.
fn listed(parts: &[Inspected]) -> Vec<PartLine<'_>> {
    if parts.len() <= MOST_LISTED {
        return parts.iter().map(PartLine::of).collect();
    }
    let mut parts: Vec<_> = parts.iter().collect();
    parts.sort_by_key(|part| match &part.disposition {
        Disposition::Found(_) => 0,
        Disposition::Pending | Disposition::Failed(_) => 1,
        Disposition::Skipped(SkipReason::PlainText | SkipReason::Empty) | Disposition::Clean => 3,
        Disposition::Skipped(_) => 2,
    });
    parts.into_iter().take(MOST_LISTED).map(PartLine::of).collect()
}

/// How many of `all` are more than `most`; nothing in a line where none is.
fn beyond(all: usize, most: usize) -> Option<usize> {
    all.checked_sub(most).filter(|more| *more > 0)
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
fn json<T: Serialize + ?Sized>(value: &T) -> String {
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
            within: part.within.as_deref(),
            media_type: &part.media_type,
            size_bytes: part.size,
            digest: part.key.as_ref().map(|key| key.digest.to_string()),
            disposition: part.disposition.as_str(),
            reason: part.disposition.reason(),
            container: part.container().as_str(),
            unopened: part.unopened,
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
    use std::sync::Arc;
    use thundergate_common::{digest::Digest, sample::NameHint, verdict::Verdict};
    use thundergate_policy::Source;

    fn part(content: &[u8], disposition: Disposition) -> Inspected {
        Inspected {
            verdict: None,
            name: None,
            within: None,
            unopened: None,
            media_type: "text/plain".to_owned(),
            size: 1,
            key: Some(SampleKey { digest: Digest::of(content), hint: NameHint::None }),
            disposition,
            source: Source::Scan,
        }
    }

    fn found(content: &[u8], scores: &[i64]) -> Inspected {
        let findings = scores.iter().map(|score| Finding { score: *score, ..Finding::default() }).collect();
        part(content, Disposition::Found(Arc::new(Verdict { findings, ..Verdict::default() })))
    }

    #[test]
    fn a_part_that_comes_again_and_again_hides_no_other_finding() {
        let mut parts: Vec<_> = (0..900).map(|_| found(b"the same", &[100, 40])).collect();
        parts.push(found(b"another", &[60]));
        let mut findings: Vec<_> = parts.iter().flat_map(findings_in).collect();
        the_telling_ones_first(&mut findings);
        let scores: Vec<_> = findings.iter().map(|(_, finding)| finding.score).collect();
        assert_eq!((&scores[..5], scores.len()), (&[100, 60, 40, 100, 100][..], 1801));
    }

    #[test]
    fn the_parts_that_a_line_lists_are_those_that_are_not_clean() {
        let mut parts: Vec<_> = (0..60).map(|_| part(b"a", Disposition::Clean)).collect();
        parts.push(part(b"b", Disposition::Skipped(SkipReason::Encrypted)));
        parts.push(part(b"c", Disposition::Pending));
        parts.push(found(b"d", &[80]));
        let listed = listed(&parts);
        let kinds: Vec<_> = listed.iter().map(|part| part.disposition).collect();
        assert_eq!((&kinds[..4], kinds.len()), (&["found", "pending", "skipped", "clean"][..], MOST_LISTED));
        assert_eq!([beyond(49, 50), beyond(50, 50), beyond(51, 50)], [None, None, Some(1)]);
    }

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
