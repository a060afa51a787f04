// SPDX-License-Identifier: GPL-3.0-or-later
//! The queue of a [`super::MemoryHub`]: its lanes, whose turn it is, what gives way.

use crate::{
    clock::now_ms,
    hub::{Claim, LaneState, Queue, QueueState, Room, never_scanned},
    job::{Job, Lane},
    sample::SampleKey,
};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};
use tokio::time::Instant;

/// So many jobs of mail for one of bulk while both wait.
const MAIL_FOR_BULK: usize = 3;

/// All jobs.
#[derive(Default)]
pub(super) struct Jobs {
    /// By [`Lane::ALL`], each in its order.
    lanes: [BTreeMap<u64, Entry>; Lane::ALL.len()],
    /// How many jobs a sample has.
    samples: HashMap<SampleKey, usize>,
    last_id: u64,
    bytes: u64,
    mail_since_bulk: usize,
    /// Samples of messages that were delivered: by their queue ids.
    owed: HashMap<SampleKey, String>,
}

/// One job.
pub(super) struct Entry {
    pub job: Job,
    pub size: u64,
    pub deliveries: u32,
    pub claimed: Option<(String, Instant)>,
}

/// Jobs that gave way: samples of which nothing is left in the queue.
pub(super) type Gone = Vec<SampleKey>;

impl Jobs {
    /// Whether a lane has a job for this sample that nobody has claimed.
    pub(super) fn has_unclaimed(&self, key: &SampleKey, lane: Lane) -> bool {
        self.of(key, lane).any(|entry| entry.claimed.is_none())
    }

    /// Whether there is a place for a job of so many bytes. Background work gives way to it.
    pub(super) fn make_room(&mut self, lane: Lane, size: u64, limits: &Queue) -> (bool, Gone) {
        let mut gone = Gone::new();
        if self.awaited() >= limits.max_jobs {
            return (false, gone);
        }
        while !self.fits(lane, size, limits) {
            let Some(id) = self.dispensable(lane.is_awaited()) else { break };
            self.give_way(id, &mut gone);
        }
        // What workers have claimed of background takes no place from mail, only its bytes.
        let admitted = self.fits(lane, size, limits) || (lane.is_awaited() && self.has_bytes(size, limits));
        (admitted, gone)
    }

    fn fits(&self, lane: Lane, size: u64, limits: &Queue) -> bool {
        let own = lane.is_awaited() || self.behind() < background_jobs(limits);
        own && self.len() < limits.max_jobs && self.has_bytes(size, limits)
    }

    /// A queue that has no job takes a sample of any size.
    fn has_bytes(&self, size: u64, limits: &Queue) -> bool {
        self.len() == 0 || self.bytes + size <= limits.max_bytes.as_u64()
    }

    /// A claimed job that nobody waits for goes to the end of background, unless its sample has a job there.
    pub(super) fn demote(&mut self, claim: &Claim, limits: &Queue) -> Gone {
        let mut gone = Gone::new();
        let Some(entry) = self.take(&claim.id) else { return gone };
        let key = entry.job.sample.clone();
        if self.of(&key, Lane::Background).next().is_some() {
            return gone;
        }
        let is_owed = self.owed.contains_key(&key);
        while self.behind() >= background_jobs(limits) {
            let Some(id) = self.dispensable(is_owed) else {
                self.tell(key, &mut gone);
                return gone;
            };
            self.give_way(id, &mut gone);
        }
        let job = Job { lane: Lane::Background, ..entry.job };
        let deliveries = claim.deliveries.saturating_sub(1);
        self.push(Entry { job, size: entry.size, deliveries, claimed: None });
        gone
    }

    /// The job of background that gives way next: the oldest that nobody has claimed, and what is owed last.
    fn dispensable(&self, owed_too: bool) -> Option<u64> {
        let unclaimed = || self.lane(Lane::Background).iter().filter(|(_, entry)| entry.claimed.is_none());
        let first = unclaimed().find(|(_, entry)| !self.owed.contains_key(&entry.job.sample));
        first.or_else(|| unclaimed().next().filter(|_| owed_too)).map(|(id, _)| *id)
    }

    fn give_way(&mut self, id: u64, gone: &mut Gone) {
        if let Some(entry) = self.remove(id) {
            self.tell(entry.job.sample, gone);
        }
    }

    fn tell(&mut self, key: SampleKey, gone: &mut Gone) {
        if self.samples.contains_key(&key) {
            return; // it is scanned all the same
        }
        if let Some(queue_id) = self.owed.remove(&key) {
            never_scanned(&key.to_string(), &queue_id);
        }
        gone.push(key);
    }

    /// A message was delivered although this sample was not scanned. Nothing where no job waits for it.
    pub(super) fn owe(&mut self, key: &SampleKey, queue_id: &str) {
        if self.samples.contains_key(key) {
            self.owed.insert(key.clone(), queue_id.to_owned());
        }
    }

    /// Nothing is owed for this sample any longer. Gives the queue id of the message that it was owed to.
    pub(super) fn settle(&mut self, key: &SampleKey) -> Option<String> {
        self.owed.remove(key)
    }

    /// Hands unclaimed jobs to `worker`: three of mail and one of bulk while both wait, then background.
    pub(super) fn claim(&mut self, worker: &str, room: Room) -> Vec<Claim> {
        let [mail, bulk, background] = Lane::ALL.map(|lane| {
            let free = self.lane(lane).iter().filter(|(_, entry)| entry.claimed.is_none());
            free.map(|(id, _)| *id).take(room.most).collect::<Vec<_>>()
        });
        let (mut mail, mut bulk) = (mail.into_iter().peekable(), bulk.into_iter().peekable());
        let mut chosen = Vec::new();
        while chosen.len() < room.most {
            let is_turn_of_bulk = self.mail_since_bulk >= MAIL_FOR_BULK || mail.peek().is_none();
            if let Some(id) = bulk.next_if(|_| is_turn_of_bulk) {
                self.mail_since_bulk = 0;
                chosen.push(id);
            } else if let Some(id) = mail.next() {
                self.mail_since_bulk = (self.mail_since_bulk + 1).min(MAIL_FOR_BULK);
                chosen.push(id);
            } else {
                break;
            }
        }
        let left = (room.most - chosen.len()).min(room.background);
        chosen.extend(background.into_iter().take(left));
        self.hand_out(worker, chosen)
    }

    /// Hands jobs to `worker` that were not renewed for so long, the better lanes first.
    pub(super) fn reclaim(&mut self, worker: &str, room: Room, after: Duration) -> Vec<Claim> {
        let mut chosen = Vec::new();
        for lane in Lane::ALL {
            let left = room.most - chosen.len();
            let most = if lane.is_awaited() { left } else { left.min(room.background) };
            let left_behind = self.lane(lane).iter().filter(|(_, entry)| {
                entry.claimed.as_ref().is_some_and(|(_, renewed)| renewed.elapsed() >= after)
            });
            chosen.extend(left_behind.take(most).map(|(id, _)| *id).collect::<Vec<_>>());
        }
        self.hand_out(worker, chosen)
    }

    fn hand_out(&mut self, worker: &str, chosen: Vec<u64>) -> Vec<Claim> {
        let mut claims = Vec::with_capacity(chosen.len());
        for id in chosen {
            if let Some(entry) = self.lanes.iter_mut().find_map(|lane| lane.get_mut(&id)) {
                claims.push(entry.hand_to(worker, id));
            }
        }
        claims
    }

    /// Keeps a claim alive, as far as it is still this worker's.
    pub(super) fn renew(&mut self, worker: &str, claim: &Claim) {
        let lane = &mut self.lanes[claim.job.lane as usize];
        if let Some(entry) = entry_id(&claim.id).and_then(|id| lane.get_mut(&id))
            && let Some((holder, renewed)) = &mut entry.claimed
            && holder == worker
        {
            *renewed = Instant::now();
        }
    }

    /// The job with this name.
    pub(super) fn get(&self, id: &str) -> Option<&Entry> {
        let id = entry_id(id)?;
        self.lanes.iter().find_map(|lane| lane.get(&id))
    }

    /// At the end of its lane.
    pub(super) fn push(&mut self, entry: Entry) {
        self.last_id += 1;
        self.bytes += entry.size;
        *self.samples.entry(entry.job.sample.clone()).or_default() += 1;
        self.lanes[entry.job.lane as usize].insert(self.last_id, entry);
    }

    /// Out of the queue.
    pub(super) fn take(&mut self, id: &str) -> Option<Entry> {
        self.remove(entry_id(id)?)
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.lanes.iter_mut().find_map(|lane| lane.remove(&id))?;
        self.bytes -= entry.size;
        if let Some(count) = self.samples.get_mut(&entry.job.sample) {
            *count -= 1;
            if *count == 0 {
                self.samples.remove(&entry.job.sample);
            }
        }
        Some(entry)
    }

    /// The queue as it stands, without dead letters.
    pub(super) fn describe(&self) -> QueueState {
        let lanes = Lane::ALL.map(|lane| {
            let jobs = self.lane(lane);
            let claimed = jobs.values().filter(|entry| entry.claimed.is_some()).count() as u64;
            LaneState {
                lane,
                waiting: jobs.len() as u64 - claimed,
                claimed,
                oldest_ms: jobs.values().next().map(|entry| now_ms().saturating_sub(entry.job.enqueued_ms)),
            }
        });
        QueueState { lanes: lanes.into(), dead_letters: 0, sample_bytes: self.bytes }
    }

    fn of(&self, key: &SampleKey, lane: Lane) -> impl Iterator<Item = &Entry> {
        let has_any = self.samples.contains_key(key);
        let entries = self.lane(lane).values().filter(move |_| has_any);
        entries.filter(move |entry| entry.job.sample == *key)
    }

    fn lane(&self, lane: Lane) -> &BTreeMap<u64, Entry> {
        &self.lanes[lane as usize]
    }

    fn len(&self) -> usize {
        self.lanes.iter().map(BTreeMap::len).sum()
    }

    fn behind(&self) -> usize {
        self.lane(Lane::Background).len()
    }

    fn awaited(&self) -> usize {
        self.len() - self.behind()
    }
}

impl Entry {
    fn hand_to(&mut self, worker: &str, id: u64) -> Claim {
        self.deliveries = self.deliveries.saturating_add(1);
        self.claimed = Some((worker.to_owned(), Instant::now()));
        Claim { id: id.to_string(), job: self.job.clone(), deliveries: self.deliveries }
    }
}

/// How many jobs background may hold.
fn background_jobs(limits: &Queue) -> usize {
    (limits.max_jobs / 2).max(1)
}

fn entry_id(id: &str) -> Option<u64> {
    id.parse().ok()
}
