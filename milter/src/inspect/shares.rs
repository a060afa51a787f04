// SPDX-License-Identifier: GPL-3.0-or-later
//! Which of a message's samples go to the lane for mail, where they go before everything else, and which to bulk:
//!
//! * no more than `limits.new_samples` of one message go to mail;
//! * at any time no more than `limits.share` unanswered ones of one [`Party`] are there.
//!
//! What a message joins counts for nobody, so what everybody gets costs its first sender one. Each milter counts in its own
//! memory, at most [`MOST`] parties; with more of them, whoever is not counted yet goes to bulk. A share is given back with
//! the sample's answer, and when its message waits no longer. What a waiting message has in bulk moves up as soon as there
//! is a place.

use crate::mail::{limits::Limits, party::Party};
use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard},
};
use thundergate_common::{job::Lane, sample::SampleKey};
use thundergate_policy::Network;
use tokio::sync::Notify;

/// So many parties are counted at a time.
const MOST: usize = 10_000;

/// What all messages share.
#[derive(Clone, Debug, Default)]
pub struct Shares {
    counted: Arc<Counted>,
    quotas: Arc<Quotas>,
}

/// How many unanswered samples each party has in mail.
#[derive(Debug, Default)]
struct Counted {
    counts: Mutex<HashMap<Party, usize>>,
    /// Some were given back.
    freed: Notify,
}

/// What the configuration says; 0: as many as there are.
#[derive(Debug, Default)]
struct Quotas {
    new_samples: usize,
    share: usize,
    relays: Vec<Network>,
}

/// One message's samples.
#[derive(Debug)]
pub(crate) struct Placing {
    shares: Shares,
    parties: Vec<Party>,
    /// How many went to mail so far.
    placed: usize,
    /// Those that went there and have no answer.
    held: HashSet<SampleKey>,
    /// Those that went to bulk and have no answer.
    in_bulk: HashSet<SampleKey>,
}

impl Shares {
    /// The same with what `limits` say. Messages under way keep what they came to.
    pub(crate) fn with(&self, limits: &Limits) -> Self {
        let Limits { new_samples, share, .. } = *limits;
        let quotas = Quotas { new_samples, share, relays: limits.relays.clone() };
        Self { counted: Arc::clone(&self.counted), quotas: Arc::new(quotas) }
    }

    /// From networks that count by sender alone.
    pub(crate) fn relays(&self) -> &[Network] {
        &self.quotas.relays
    }

    /// For a message of these parties.
    pub(crate) fn placing(&self, parties: Vec<Party>) -> Placing {
        let (held, in_bulk) = Default::default();
        Placing { shares: self.clone(), parties, placed: 0, held, in_bulk }
    }
}

impl Placing {
    /// The lane to ask for each of `keys`: mail as far as more may go there.
    pub(crate) fn asks(&self, keys: &[SampleKey]) -> Vec<Lane> {
        let mut left = self.left();
        let mut lanes = Vec::with_capacity(keys.len());
        for key in keys {
            let is_held = self.held.contains(key);
            lanes.push(if is_held || left > 0 { Lane::Mail } else { Lane::Bulk });
            left = left.saturating_sub(usize::from(!is_held));
        }
        lanes
    }

    /// The lane for a sample that this message owns.
    pub(crate) fn place(&mut self, key: &SampleKey) -> Lane {
        if self.held.contains(key) {
            return Lane::Mail;
        }
        let Quotas { new_samples, share, .. } = *self.shares.quotas;
        let is_over = new_samples > 0 && self.placed >= new_samples;
        if is_over || (share > 0 && !self.shares.counted.take(&self.parties, share)) {
            self.in_bulk.insert(key.clone());
            return Lane::Bulk;
        }
        self.in_bulk.remove(key);
        self.placed += 1;
        self.held.insert(key.clone());
        Lane::Mail
    }

    /// Somebody else has asked for a sample in this lane, or scans it. From mail it cannot move up.
    pub(crate) fn joined(&mut self, key: &SampleKey, lane: Lane) {
        if lane == Lane::Mail {
            self.in_bulk.remove(key);
        }
    }

    /// Whether a sample that this message has in bulk goes to mail from now on. It has its place there before the hub is asked:
    /// of all messages that wait for one place only one asks.
    pub(crate) fn moves_up(&mut self, key: &SampleKey) -> bool {
        self.in_bulk.contains(key) && self.place(key) == Lane::Mail
    }

    /// Waits until something that is in bulk may move up; for ever where nothing is.
    pub(crate) async fn may_move_up(&self) {
        if self.in_bulk.is_empty() {
            std::future::pending::<()>().await;
        }
        loop {
            let mut freed = pin!(self.shares.counted.freed.notified());
            freed.as_mut().enable();
            if self.left() > 0 {
                return;
            }
            freed.await;
        }
    }

    /// A sample has its answer.
    pub(crate) fn answered(&mut self, key: &SampleKey) {
        self.in_bulk.remove(key);
        if self.held.remove(key) {
            self.give_back(1);
        }
    }

    fn give_back(&self, count: usize) {
        if self.shares.quotas.share > 0 {
            self.shares.counted.give_back(&self.parties, count);
        }
    }

    /// How many more may go to mail now.
    pub(crate) fn left(&self) -> usize {
        let Quotas { new_samples, share, .. } = *self.shares.quotas;
        let of_message = if new_samples == 0 { usize::MAX } else { new_samples.saturating_sub(self.placed) };
        let of_parties = if share == 0 { usize::MAX } else { self.shares.counted.left(&self.parties, share) };
        of_message.min(of_parties)
    }
}

/// The message waits no longer.
impl Drop for Placing {
    fn drop(&mut self) {
        self.give_back(self.held.len());
    }
}

impl Counted {
    /// One more for all of `parties`, or for none of them where one has its share.
    fn take(&self, parties: &[Party], share: usize) -> bool {
        let mut counts = self.lock();
        if left(&counts, parties, share) == 0 {
            return false;
        }
        for party in parties {
            *counts.entry(party.clone()).or_default() += 1;
        }
        true
    }

    fn left(&self, parties: &[Party], share: usize) -> usize {
        left(&self.lock(), parties, share)
    }

    fn give_back(&self, parties: &[Party], count: usize) {
        if count == 0 {
            return;
        }
        let mut counts = self.lock();
        for party in parties {
            let Some(of_party) = counts.get_mut(party) else { continue };
            *of_party = of_party.saturating_sub(count);
            if *of_party == 0 {
                counts.remove(party);
            }
        }
        drop(counts);
        self.freed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Party, usize>> {
        self.counts.lock().expect("nothing panics while it holds the counts")
    }
}

fn left(counts: &HashMap<Party, usize>, parties: &[Party], share: usize) -> usize {
    let uncounted = parties.iter().filter(|party| !counts.contains_key(party)).count();
    if counts.len() + uncounted > MOST {
        return 0;
    }
    let of_party = |party| share.saturating_sub(counts.get(party).copied().unwrap_or_default());
    parties.iter().map(of_party).min().unwrap_or(share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::envelope::{Client, Envelope};
    use Lane::{Bulk, Mail};
    use futures_util::FutureExt;
    use thundergate_common::{digest::Digest, sample::NameHint};

    fn shares(new_samples: usize, share: usize) -> Shares {
        let quotas = Quotas { new_samples, share, relays: Vec::new() };
        Shares { counted: Arc::default(), quotas: Arc::new(quotas) }
    }

    fn from(address: [u8; 4], sender: &str) -> Vec<Party> {
        let client = Client { address: Some(address.into()), ..Client::default() };
        let envelope = Envelope { sender: sender.to_owned(), ..Envelope::default() };
        Party::all_of(&client, &envelope, &[])
    }

    fn key(number: u32) -> SampleKey {
        SampleKey { digest: Digest::of(&number.to_le_bytes()), hint: NameHint::None }
    }

    fn placed(placing: &mut Placing, keys: std::ops::Range<u32>) -> Vec<Lane> {
        keys.map(|number| placing.place(&key(number))).collect()
    }

    #[test]
    fn a_network_and_a_sender_have_a_share_each() {
        let shares = shares(16, 2);
        let mut first = shares.placing(from([192, 0, 2, 1], "a@x.example"));
        assert_eq!(placed(&mut first, 0..3), [Mail, Mail, Bulk]);
        assert_eq!(first.place(&key(0)), Mail, "what it has there it has");
        for party in [from([192, 0, 2, 9], "b@x.example"), from([198, 51, 100, 1], "a@x.example")] {
            assert_eq!(placed(&mut shares.placing(party), 9..10), [Bulk]);
        }
        let mut other = shares.placing(from([198, 51, 100, 1], "b@x.example"));
        assert_eq!(placed(&mut other, 9..11), [Mail, Mail]);
        first.answered(&key(0));
        first.answered(&key(0));
        assert_eq!(placed(&mut first, 3..5), [Mail, Bulk], "one answer, one place");
        drop(first);
        let mut next = shares.placing(from([192, 0, 2, 1], "a@x.example"));
        assert_eq!(placed(&mut next, 5..8), [Mail, Mail, Bulk], "who waits no longer has none");
        drop((next, other));
        assert!(shares.counted.lock().is_empty());
    }

    #[test]
    fn one_message_has_its_share_once() {
        let shares = shares(3, 2);
        let mut placing = shares.placing(from([192, 0, 2, 1], "a@x.example"));
        let keys: Vec<_> = (0..5).map(key).collect();
        assert_eq!(placing.asks(&keys), [Mail, Mail, Bulk, Bulk, Bulk]);
        assert_eq!(placed(&mut placing, 0..4), [Mail, Mail, Bulk, Bulk]);
        assert_eq!(placing.asks(&keys), [Mail, Mail, Bulk, Bulk, Bulk]);
        placing.answered(&key(0));
        placing.answered(&key(1));
        assert_eq!(placing.asks(&keys[2..]), [Mail, Bulk, Bulk], "one more, then it had three");
        assert_eq!(placed(&mut placing, 2..4), [Mail, Bulk]);
    }

    #[test]
    fn what_is_in_bulk_moves_up_when_there_is_a_place() {
        let shares = shares(2, 1);
        let mut first = shares.placing(from([192, 0, 2, 1], "a@x.example"));
        let mut second = shares.placing(from([192, 0, 2, 2], "b@x.example"));
        assert!(first.may_move_up().now_or_never().is_none(), "it has nothing there");
        assert_eq!((first.place(&key(0)), second.place(&key(1))), (Mail, Bulk));
        assert!(second.may_move_up().now_or_never().is_none());
        {
            let mut moves = pin!(second.may_move_up());
            assert!(moves.as_mut().now_or_never().is_none());
            first.answered(&key(0));
            assert!(moves.now_or_never().is_some(), "it is woken");
        }
        let mut third = shares.placing(from([192, 0, 2, 3], "c@x.example"));
        assert_eq!(third.place(&key(3)), Mail, "somebody else may be quicker");
        assert!(!second.moves_up(&key(1)) && !second.moves_up(&key(9)));
        drop(third);
        assert!(second.moves_up(&key(1)));
        assert!(!second.moves_up(&key(1)) && second.may_move_up().now_or_never().is_none());
        assert_eq!(first.place(&key(2)), Bulk);
        drop(second);
        first.joined(&key(2), Bulk);
        assert!(first.may_move_up().now_or_never().is_some());
        first.joined(&key(2), Mail);
        assert!(first.may_move_up().now_or_never().is_none(), "it is being scanned");
    }

    #[test]
    fn zero_bounds_nothing() {
        let shares = shares(0, 0);
        let mut placing = shares.placing(from([192, 0, 2, 1], "a@x.example"));
        assert_eq!(placed(&mut placing, 0..100), vec![Mail; 100]);
        assert_eq!(placing.asks(&[key(100)]), [Mail]);
    }

    #[test]
    fn with_too_many_parties_who_is_new_goes_to_bulk() {
        let shares = shares(16, 2);
        let number = |number: u32| number.to_be_bytes();
        let mut all: Vec<Placing> = Vec::new();
        for party in 0..u32::try_from(MOST / 2).unwrap() {
            let sender = format!("{party}@x.example");
            let mut placing = shares.placing(from(number(party << 8), &sender));
            assert_eq!(placing.place(&key(1)), Mail);
            all.push(placing);
        }
        assert_eq!(shares.counted.lock().len(), MOST);
        let mut new = shares.placing(from([203, 0, 113, 1], "new@x.example"));
        assert_eq!((new.asks(&[key(1)]), new.place(&key(1))), (vec![Bulk], Bulk));
        assert_eq!(all[0].place(&key(2)), Mail, "who is counted goes on");
        assert_eq!(shares.counted.lock().len(), MOST);
        all.pop();
        assert_eq!(new.place(&key(1)), Mail);
    }
}
