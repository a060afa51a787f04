// SPDX-License-Identifier: GPL-3.0-or-later
//! Who got a sample: the search through packs of records, newest first. A hub feeds it pack after pack, so that no more
//! than one of them and what was found is in memory.
//!
//! A record is read only where its line holds the digest, or says that parts were left out. Then it may have had the
//! digest, and the answer is *at least* so many mails.

use super::{MailRecord, PartRecord, RecordId, pack};
use crate::{
    digest::Digest,
    sample::{NameHint, NotASample, SampleKey},
};
use serde::Serialize;
use std::{cmp::Reverse, collections::HashSet, ops::ControlFlow, str::FromStr};

/// What the JSON of a record says only where parts were left out. In a text its quotes would be escaped.
const PARTS_LEFT_OUT: &str = "\"parts_total\":";

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sought {
    /// Of a sample's bytes.
    pub digest: Digest,
    /// Under this hint; none: under any.
    pub hint: Option<NameHint>,
}

/// A mail that held what was looked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sighting {
    /// When it was decided, in seconds since the epoch.
    pub at: u64,
    /// The MTA's queue id.
    pub queue_id: String,
    /// Envelope sender.
    pub sender: String,
    /// Envelope recipients.
    pub recipients: Vec<String>,
    /// The name that the part had.
    pub name: Option<String>,
    /// What the MTA was told.
    pub decision: String,
    /// The record's; none where the mail is known from a receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<RecordId>,
    /// How many recipients there were, where some are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipients_total: Option<usize>,
    /// The sample under its hint.
    pub sample: String,
    /// How the part ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disposition: Option<String>,
}

/// What a search has found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// The mails, newest first.
    pub mails: Vec<Sighting>,
    /// How far back the records reach, in milliseconds since the epoch; none where there is none.
    pub since_ms: Option<u64>,
    /// Whether older records were there and are dropped.
    pub dropped: bool,
    /// Whether there are more mails than were asked for.
    pub more: bool,
    /// Records that may have held it in a part that they leave out.
    pub unsure: usize,
}

/// A search under way.
pub struct Search<'a> {
    sought: &'a Sought,
    digest: String,
    most: usize,
    seen: Seen,
    known: HashSet<RecordId>,
}

impl Sought {
    /// Whether it is that sample.
    pub fn is_of(&self, key: &SampleKey) -> bool {
        key.digest == self.digest && self.hint.as_ref().is_none_or(|hint| *hint == key.hint)
    }

    /// Whether a part is such a sample.
    fn is(&self, part: &PartRecord) -> bool {
        part.sample().is_some_and(|key| self.is_of(&key))
    }
}

/// `DIGEST`, which means under any name, or what a [`SampleKey`] is written as.
impl FromStr for Sought {
    type Err = NotASample;

    fn from_str(text: &str) -> Result<Self, NotASample> {
        let SampleKey { digest, hint } = text.parse()?;
        Ok(Self { digest, hint: Some(hint).filter(|hint| *hint != NameHint::None) })
    }
}

impl Seen {
    /// Whether there may be more mails than these.
    pub fn is_at_least(&self) -> bool {
        self.more || self.dropped || self.unsure > 0
    }

    /// What was found in two places, newest first, at most `most`.
    #[must_use]
    pub fn and(mut self, other: Self, most: usize) -> Self {
        // Where one has dropped records, what the other has from before is not all.
        let since_ms = match (self.dropped, other.dropped) {
            (true, true) => self.since_ms.max(other.since_ms),
            (true, false) => self.since_ms,
            (false, true) => other.since_ms,
            (false, false) => self.since_ms.into_iter().chain(other.since_ms).min(),
        };
        self.mails.extend(other.mails);
        sort(&mut self.mails);
        let more = self.mails.len() > most;
        self.mails.truncate(most);
        Self {
            mails: self.mails,
            since_ms,
            dropped: self.dropped || other.dropped,
            more: self.more || other.more || more,
            unsure: self.unsure + other.unsure,
        }
    }
}

impl<'a> Search<'a> {
    /// Finds at most `most` mails.
    pub fn new(sought: &'a Sought, most: usize) -> Self {
        let digest = sought.digest.to_string();
        Self { sought, digest, most, seen: Seen::default(), known: HashSet::new() }
    }

    /// Looks at a pack that is older than those before. Breaks off once there is enough.
    pub fn look_at(&mut self, pack: &[u8]) -> ControlFlow<()> {
        let lines = pack::lines(pack).unwrap_or_default();
        for line in lines.lines().rev() {
            if line.contains(&self.digest) || line.contains(PARTS_LEFT_OUT) {
                self.look_at_record(line)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// What was found.
    pub fn end(mut self) -> Seen {
        sort(&mut self.seen.mails);
        self.seen
    }

    fn look_at_record(&mut self, line: &str) -> ControlFlow<()> {
        let Some(record) = MailRecord::decode(line.as_bytes()) else { return ControlFlow::Continue(()) };
        let Some(at) = record.parts.iter().position(|part| self.sought.is(part)) else {
            self.seen.unsure += usize::from(record.parts_total.is_some());
            return ControlFlow::Continue(());
        };
        // A record that was written twice counts once.
        if !self.known.insert(record.id) {
            return ControlFlow::Continue(());
        }
        if self.seen.mails.len() == self.most {
            self.seen.more = true;
            return ControlFlow::Break(());
        }
        self.seen.mails.push(sighting(record, at));
        ControlFlow::Continue(())
    }
}

/// The newest first, and each record once: one that was written again may stand somewhere else.
fn sort(mails: &mut Vec<Sighting>) {
    mails.sort_by_key(|mail| Reverse((mail.at, mail.id)));
    mails.dedup_by(|one, other| one.id.is_some() && one.id == other.id);
}

fn sighting(mut record: MailRecord, at: usize) -> Sighting {
    let part = record.parts.swap_remove(at);
    Sighting {
        at: record.at_ms / 1000,
        queue_id: record.queue_id,
        sender: record.sender,
        recipients: record.recipients,
        recipients_total: record.recipients_total,
        sample: part.sample().as_ref().map(SampleKey::to_string).unwrap_or_default(),
        name: part.name,
        decision: if record.passive { "accept".to_owned() } else { record.action },
        id: Some(record.id),
        disposition: Some(part.disposition),
    }
}
