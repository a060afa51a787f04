// SPDX-License-Identifier: GPL-3.0-or-later
//! The records of mails inside one process: the newest of them, packed as in Redis.

use crate::record::{
    MailRecord,
    pack::packs,
    queue_id::{self, Decisions},
    seen::{Search, Seen, Sought},
};
use std::{collections::VecDeque, time::Duration};

/// More than this is not kept in a process's own memory, whatever `queue.records_bytes` says.
const MOST_BYTES: u64 = 16 << 20;
/// What a pack takes beside its bytes.
const BESIDE: u64 = 64;

/// Packs, the oldest first.
pub(super) struct Records {
    packs: VecDeque<Pack>,
    bytes: u64,
    most: u64,
    life: Duration,
    dropped: bool,
}

struct Pack {
    at_ms: u64,
    body: Box<[u8]>,
}

impl Records {
    /// None yet, never more than `most` bytes, and none for longer than `life`.
    pub(super) fn new(most: u64, life: Duration) -> Self {
        Self { packs: VecDeque::new(), bytes: 0, most: most.min(MOST_BYTES), life, dropped: false }
    }

    /// Keeps `records`, and drops what is too old by now or has no room.
    pub(super) fn add(&mut self, records: &[MailRecord], now_ms: u64) {
        for body in packs(records) {
            let pack = Pack { at_ms: now_ms, body: body.into() };
            self.bytes += pack.takes();
            self.packs.push_back(pack);
        }
        let too_old = now_ms.saturating_sub(self.life.as_millis() as u64);
        while self.packs.front().is_some_and(|pack| self.bytes > self.most || pack.at_ms < too_old) {
            let pack = self.packs.pop_front();
            self.bytes -= pack.map_or(0, |pack| pack.takes());
            self.dropped = true;
        }
    }

    /// Which mails held a sample.
    pub(super) fn seen(&self, sought: &Sought, most: usize) -> Seen {
        let mut search = Search::new(sought, most);
        let _ = self.packs.iter().rev().try_for_each(|pack| search.look_at(&pack.body));
        let since_ms = self.packs.front().map(|pack| pack.at_ms);
        Seen { since_ms, dropped: self.dropped, ..search.end() }
    }

    /// What was decided about mails with a queue id.
    pub(super) fn decisions(&self, queue_id: &str, most: usize) -> Decisions {
        let mut search = queue_id::Search::new(queue_id, most);
        let _ = self.packs.iter().rev().try_for_each(|pack| search.look_at(&pack.body));
        let since_ms = self.packs.front().map(|pack| pack.at_ms);
        Decisions { mails: search.end(), since_ms, dropped: self.dropped }
    }
}

impl Pack {
    fn takes(&self) -> u64 {
        self.body.len() as u64 + BESIDE
    }
}
