// SPDX-License-Identifier: GPL-3.0-or-later
//! What was decided about a mail: the search for a queue id through packs of records, newest first. A mail that is deferred
//! and comes back has a record each time. Postfix uses an id again, soon where its ids are short, and so do other hosts.

use super::{MailRecord, pack};
use std::{cmp::Reverse, ops::ControlFlow};

/// What a search has found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decisions {
    /// The mails' records, newest first.
    pub mails: Vec<MailRecord>,
    /// How far back the records reach, in milliseconds since the epoch; none where there is none.
    pub since_ms: Option<u64>,
    /// Whether older records were there and are dropped.
    pub dropped: bool,
}

/// A search under way.
pub struct Search<'a> {
    queue_id: &'a str,
    /// As it stands in a record's line.
    written: String,
    most: usize,
    mails: Vec<MailRecord>,
}

impl Decisions {
    /// What was found in two places, newest first, at most `most`.
    #[must_use]
    pub fn and(mut self, other: Self, most: usize) -> Self {
        self.mails.extend(other.mails);
        sort(&mut self.mails);
        self.mails.truncate(most);
        let since_ms = match (self.dropped, other.dropped) {
            (true, true) => self.since_ms.max(other.since_ms),
            (true, false) => self.since_ms,
            (false, true) => other.since_ms,
            (false, false) => self.since_ms.into_iter().chain(other.since_ms).min(),
        };
        Self { mails: self.mails, since_ms, dropped: self.dropped || other.dropped }
    }
}

impl<'a> Search<'a> {
    /// Finds at most `most` records.
    pub fn new(queue_id: &'a str, most: usize) -> Self {
        let text = serde_json::to_string(queue_id).expect("a text always serialises");
        Self { queue_id, written: format!("\"queue_id\":{text}"), most, mails: Vec::new() }
    }

    /// Looks at a pack that is older than those before. Breaks off once there is enough.
    pub fn look_at(&mut self, pack: &[u8]) -> ControlFlow<()> {
        let lines = pack::lines(pack).unwrap_or_default();
        for line in lines.lines().rev().filter(|line| line.contains(&self.written)) {
            let record = MailRecord::decode(line.as_bytes());
            let is_it = |record: &MailRecord| record.queue_id == self.queue_id;
            self.mails.extend(record.filter(is_it));
            if self.mails.len() >= self.most {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    /// What was found.
    pub fn end(mut self) -> Vec<MailRecord> {
        sort(&mut self.mails);
        self.mails
    }
}

/// The newest first, and each record once.
fn sort(mails: &mut Vec<MailRecord>) {
    mails.sort_by_key(|mail| Reverse((mail.at_ms, mail.id)));
    mails.dedup_by_key(|mail| mail.id);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{RecordId, pack::packs};

    fn mail(queue_id: &str, at_ms: u64) -> MailRecord {
        MailRecord { id: RecordId::at(at_ms), at_ms, queue_id: queue_id.to_owned(), ..MailRecord::default() }
    }

    #[test]
    fn every_decision_about_an_id_is_found_once_and_no_other_mail() {
        let (first, again) = (mail("4F\"1", 5), mail("4F\"1", 9));
        let others =
            [mail("4F1", 6), mail("4F\"12", 7), MailRecord { sender: "4F\"1".into(), ..mail("x", 8) }];
        let records: Vec<_> =
            [first.clone()].into_iter().chain(others).chain([again.clone(), first.clone()]).collect();
        let find = |most| {
            let mut search = Search::new("4F\"1", most);
            let packs: Vec<_> = packs(&records).collect();
            let _ = packs.iter().rev().try_for_each(|pack| search.look_at(pack));
            search.end()
        };
        assert_eq!(find(10), [again.clone(), first]);
        assert_eq!(find(1).len(), 1);
        let (old, new) = (mail("a", 1), mail("a", 2));
        let one = Decisions { mails: vec![old], since_ms: Some(1), dropped: true };
        let other = Decisions { mails: vec![new.clone()], since_ms: Some(7), dropped: true };
        let both = one.and(other, 1);
        assert_eq!((both.mails, both.since_ms, both.dropped), (vec![new], Some(7), true));
    }
}
