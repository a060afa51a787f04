// SPDX-License-Identifier: GPL-3.0-or-later
//! Records of mails in the shapes of the API.

use crate::{
    api::{
        mails::{Mail, Part, Seen, Sighting, Story},
        verdicts::{Failed, Verdict},
    },
    generation::Generation,
    hub::KnownSample,
    record::{MailRecord, PartRecord, queue_id::Decisions, seen},
    sample::SampleKey,
};
use std::collections::BTreeMap;

/// Which mails held a sample.
pub(super) fn seen(seen: seen::Seen) -> Seen {
    Seen {
        at_least: seen.is_at_least(),
        mails: seen.mails.into_iter().map(sighting).collect(),
        since_ms: seen.since_ms,
        dropped: seen.dropped,
        more: seen.more,
        unsure: seen.unsure,
    }
}

fn sighting(mail: seen::Sighting) -> Sighting {
    Sighting {
        at_ms: mail.at * 1000,
        queue_id: mail.queue_id,
        sender: mail.sender,
        recipients: mail.recipients,
        recipients_total: mail.recipients_total,
        name: mail.name,
        sample: mail.sample,
        disposition: mail.disposition,
        decision: mail.decision,
        id: mail.id.map(|id| id.to_string()),
    }
}

/// Why mails were decided as they were, with what is `known` of their samples now.
pub(super) fn story(
    decisions: Decisions,
    known: &BTreeMap<SampleKey, KnownSample>,
    generation: &Generation,
    now: u64,
) -> Story {
    let part = |part| retold(part, known, generation, now);
    let mail = |record: MailRecord| Mail {
        at_ms: record.at_ms,
        host: record.host,
        queue_id: record.queue_id,
        message_id: record.message_id,
        sender: record.sender,
        recipients: record.recipients,
        decision: record.action,
        cause: record.cause,
        passive: record.passive,
        troubles: record.troubles,
        total_ms: record.total_ms,
        parts: record.parts.into_iter().map(part).collect(),
        parts_total: record.parts_total,
    };
    let Decisions { mails, since_ms, dropped } = decisions;
    Story { mails: mails.into_iter().map(mail).collect(), since_ms, dropped }
}

fn retold(
    part: PartRecord,
    known: &BTreeMap<SampleKey, KnownSample>,
    generation: &Generation,
    now: u64,
) -> Part {
    let key = part.sample();
    let known = key.as_ref().and_then(|key| known.get(key));
    let verdict = known.and_then(|known| Some((&known.key, known.verdict.as_ref()?)));
    let failed = known.and_then(|known| Some((&known.key, known.failed.as_ref()?)));
    let holds = failed.filter(|(_, failed)| failed.holds(generation, now));
    Part {
        name: part.name,
        sample: key.as_ref().map(SampleKey::to_string),
        size: part.size,
        disposition: part.disposition,
        reason: part.reason,
        verdict_now: verdict.map(|(key, verdict)| Verdict::of(key, verdict, generation)),
        failed_now: holds.map(|(key, failed)| Failed::of(key, failed)),
    }
}
