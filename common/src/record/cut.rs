// SPDX-License-Identifier: GPL-3.0-or-later
//! The wire form of a record, at most [`MOST_BYTES`] long. A mail can have thousands of recipients and parts; what does
//! not fit is left out and counted:
//!
//! 1. Each text is cut to some hundred bytes, with `…` at its end.
//! 2. Recipients and parts share what is left. Where both want more than there is, recipients get [`FOR_RECIPIENTS`] and
//!    parts the rest, and what one does not need the other has.
//! 3. Recipients are kept from the first on. Of parts those in which something was found come first, then those without a
//!    verdict, then the others; each sample once before any comes again, so that a part that is there 900 times hides no
//!    other. What is kept stands in its old order.
//!
//! A record that is short enough is not touched.

use super::{MailRecord, PartRecord, VerdictUsed};
use crate::{digest::Digest, sample::NameHint, wire::Versioned};
use serde::Serialize;
use std::collections::HashSet;

/// The longest record, as JSON.
pub const MOST_BYTES: usize = 32 << 10;
/// What recipients have for themselves of a record that is cut.
const FOR_RECIPIENTS: usize = 12 << 10;
/// What the two totals take, which are written only where something is left out.
const FOR_TOTALS: usize = 80;
/// The longest text of a record that is cut, in bytes of JSON.
const LONGEST_TEXT: usize = 512;
/// The longest word.
const LONGEST_WORD: usize = 128;
/// Words in one list.
const MOST_WORDS: usize = 32;

impl MailRecord {
    /// The wire form, cut where the record is too long.
    pub fn encode(&self) -> Vec<u8> {
        let whole = Versioned::encode(self);
        if whole.len() <= MOST_BYTES { whole } else { Versioned::encode(cut(self)) }
    }

    /// The record in `bytes`; none where they hold another version or no record.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        Versioned::decode(bytes)
    }
}

fn cut(record: &MailRecord) -> MailRecord {
    let mut kept = without_lists(record);
    let room = MOST_BYTES.saturating_sub(Versioned::encode(&kept).len() + FOR_TOTALS);
    let recipients: Vec<String> = record.recipients.iter().map(|address| text(address)).collect();
    let parts: Vec<PartRecord> = record.parts.iter().map(short).collect();
    let (of_recipients, of_parts) = (lengths(&recipients), lengths(&parts));
    let (wanted, others) = (of_recipients.iter().sum::<usize>(), of_parts.iter().sum::<usize>());
    let for_recipients = wanted.min(FOR_RECIPIENTS.max(room.saturating_sub(others)));

    let first = 0..recipients.len();
    let fitting = fitting(first, &of_recipients, for_recipients);
    let used: usize = fitting.iter().map(|at| of_recipients[*at]).sum();
    kept.recipients = select(recipients, &fitting);
    let fitting = self::fitting(telling_first(&parts), &of_parts, room - used);
    kept.parts = select(parts, &fitting);
    kept.recipients_total = total(record.recipients_total, record.recipients.len(), kept.recipients.len());
    kept.parts_total = total(record.parts_total, record.parts.len(), kept.parts.len());
    kept
}

/// All but recipients and parts, its texts cut.
fn without_lists(record: &MailRecord) -> MailRecord {
    let option = |value: &Option<String>| value.as_deref().map(text);
    MailRecord {
        id: record.id,
        at_ms: record.at_ms,
        host: text(&record.host),
        listener: text(&record.listener),
        mta: text(&record.mta),
        queue_id: text(&record.queue_id),
        message_id: option(&record.message_id),
        client_address: record.client_address,
        client_name: text(&record.client_name),
        helo: text(&record.helo),
        authenticated: option(&record.authenticated),
        sender: text(&record.sender),
        recipients: Vec::new(),
        recipients_total: None,
        size: record.size,
        troubles: words(&record.troubles),
        malformed: record.malformed.as_deref().map(word),
        ambiguities: words(&record.ambiguities),
        parts: Vec::new(),
        parts_total: None,
        policy: record.policy,
        passive: record.passive,
        action: word(&record.action),
        cause: word(&record.cause),
        total_ms: record.total_ms,
    }
}

fn short(part: &PartRecord) -> PartRecord {
    let verdict = part.verdict.as_ref().map(|verdict| VerdictUsed {
        scanned_at: verdict.scanned_at,
        signatures: verdict.signatures.as_deref().map(word),
        instance: word(&verdict.instance),
        score: verdict.score,
        rules: words(&verdict.rules),
        rules_total: verdict.rules_total,
    });
    PartRecord {
        digest: part.digest,
        hint: part.hint.clone(),
        name: part.name.as_deref().map(text),
        media_type: word(&part.media_type),
        size: part.size,
        disposition: word(&part.disposition),
        reason: part.reason.as_deref().map(text),
        source: word(&part.source),
        verdict,
    }
}

/// Places of parts, those that tell most first.
fn telling_first(parts: &[PartRecord]) -> impl Iterator<Item = usize> {
    let mut known: HashSet<(Option<Digest>, Option<&NameHint>)> = HashSet::new();
    let ranks = parts.iter().map(|part| {
        let comes_again = part.digest.is_some() && !known.insert((part.digest, part.hint.as_ref()));
        let rank = match part.disposition.as_str() {
            "found" => 0,
            "pending" | "failed" => 1,
            _ => 2,
        };
        (comes_again, rank)
    });
    let mut places: Vec<_> = ranks.enumerate().collect();
    places.sort_by_key(|(_, rank)| *rank);
    places.into_iter().map(|(place, _)| place)
}

/// As many of `places` as fit, in the order of the mail; the first that does not ends it.
fn fitting(places: impl Iterator<Item = usize>, lengths: &[usize], mut room: usize) -> Vec<usize> {
    let mut fitting = Vec::new();
    for place in places {
        match room.checked_sub(lengths[place]) {
            Some(rest) => room = rest,
            None => break,
        }
        fitting.push(place);
    }
    fitting.sort_unstable();
    fitting
}

fn select<T>(all: Vec<T>, places: &[usize]) -> Vec<T> {
    let all = all.into_iter().enumerate();
    all.filter(|(place, _)| places.binary_search(place).is_ok()).map(|(_, one)| one).collect()
}

/// What each takes in a list.
fn lengths<T: Serialize>(list: &[T]) -> Vec<usize> {
    let length = |one: &T| serde_json::to_vec(one).map_or(MOST_BYTES, |json| json.len()) + 1;
    list.iter().map(length).collect()
}

/// How many there were; none where all are still there.
fn total(before: Option<usize>, all: usize, kept: usize) -> Option<usize> {
    before.or((kept < all).then_some(all))
}

fn words(words: &[String]) -> Vec<String> {
    words.iter().take(MOST_WORDS).map(|one| word(one)).collect()
}

fn word(word: &str) -> String {
    within(word, LONGEST_WORD)
}

fn text(text: &str) -> String {
    within(text, LONGEST_TEXT)
}

/// `text`, cut to so many bytes of JSON.
fn within(text: &str, most: usize) -> String {
    let mut room = most;
    for (at, c) in text.char_indices() {
        let takes = match c {
            '"' | '\\' => 2,
            '\0'..='\u{1f}' => 6,
            _ => c.len_utf8(),
        };
        match room.checked_sub(takes) {
            Some(rest) => room = rest,
            None => return format!("{}…", &text[..at]),
        }
    }
    text.to_owned()
}
