// SPDX-License-Identifier: GPL-3.0-or-later
//! What may happen, and how likely it is. What an operation picks among things that somebody has is a number, taken
//! modulo their count: so few operations find nothing to act on, and a sequence stays meaningful while it shrinks.

use crate::hub::random::limits;
use proptest::{collection::vec, prelude::*};
use thundergate_common::job::Lane;

/// How many milters there are; over Redis they are two processes.
pub const MILTERS: usize = 3;
/// How many workers there are.
pub const WORKERS: usize = 3;
/// How many samples there are.
pub const SAMPLES: usize = 4;
/// Enough to pick any of what all have.
const PICKS: usize = 12;

/// One step of a case.
#[derive(Clone, Debug)]
pub enum Operation {
    /// A milter subscribes and reserves; in the background lane it does not wait.
    Ask { milter: usize, sample: usize, lane: Lane },
    /// One submits one of the samples that it believes to own.
    Submit { pick: usize },
    /// It gives up waiting.
    Leave { milter: usize, sample: usize },
    /// One delivers a message without a sample's scan.
    Owe { milter: usize, sample: usize },
    /// It looks all samples up.
    LookUp { milter: usize },
    /// It is killed; another one with its name takes its place.
    MilterCrashes { milter: usize },
    /// A worker takes new jobs.
    Claim { worker: usize, most: usize, background: usize },
    /// It takes over jobs of others.
    Reclaim { worker: usize, most: usize, background: usize },
    /// One begins one of its claims, perhaps for the second time.
    Begin { pick: usize },
    /// It renews all that it has.
    Renew { worker: usize },
    /// One ends one of its claims.
    Complete { pick: usize, ending: Ending },
    /// One puts one of its claims back.
    HandBack { pick: usize },
    /// It is killed; another one with its name takes its place.
    WorkerCrashes { worker: usize },
    /// The farm reports these signatures, newer or older ones.
    Report { signatures: u8 },
    /// An operator makes clean verdicts stale.
    Bump,
    /// An operator overrides a verdict.
    Forget { sample: usize },
    /// An operator has a dead letter scanned once more.
    RetryLetter { pick: usize },
    /// An operator drops one.
    DropLetter { pick: usize },
    /// So many seconds pass at once.
    Jump(u64),
    /// Redis forgets all scripts.
    FlushScripts,
    /// Redis closes all connections but those that listen.
    KillConnections,
}

/// How a worker ends a claim.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    /// Clean, by the signatures that the farm has had when the scan began.
    Clean,
    /// Clean, by a scan that began an hour ago.
    CleanLate,
    /// Clean, by a scan that ended so long ago that nobody wants to know.
    Expired,
    /// A finding.
    Found,
    /// Not scanned, on purpose.
    Skipped,
    /// A dead letter, with or without a scan.
    Dead,
    /// A dead letter after a scan, which is remembered.
    Failed,
}

/// Cases of up to so many operations.
pub fn cases(most: usize) -> impl Strategy<Value = Vec<Operation>> {
    vec(operation(), 1..=most)
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![24 => by_a_milter(), 34 => by_a_worker(), 6 => by_an_operator(), 8 => by_nature()]
}

fn by_a_milter() -> impl Strategy<Value = Operation> {
    let lane = || prop_oneof![3 => Just(Lane::Mail), 2 => Just(Lane::Bulk), 2 => Just(Lane::Background)];
    let asking = (0..MILTERS, sample(), lane());
    prop_oneof![
        10 => asking.prop_map(|(milter, sample, lane)| Operation::Ask { milter, sample, lane }),
        9 => (0..PICKS).prop_map(|pick| Operation::Submit { pick }),
        3 => (0..MILTERS, sample()).prop_map(|(milter, sample)| Operation::Leave { milter, sample }),
        2 => (0..MILTERS, sample()).prop_map(|(milter, sample)| Operation::Owe { milter, sample }),
        1 => (0..MILTERS).prop_map(|milter| Operation::LookUp { milter }),
        1 => (0..MILTERS).prop_map(|milter| Operation::MilterCrashes { milter }),
    ]
}

/// Some are asked for more often: things get interesting where several have to do with the same sample.
fn sample() -> impl Strategy<Value = usize> {
    prop_oneof![5 => Just(0), 3 => Just(1), 2 => 2..SAMPLES]
}

fn by_a_worker() -> impl Strategy<Value = Operation> {
    let taking = || (0..WORKERS, prop_oneof![1 => Just(0), 9 => 1..4usize], 0..3usize);
    let completing = (0..PICKS, ending());
    prop_oneof![
        8 => taking().prop_map(|(worker, most, background)| Operation::Claim { worker, most, background }),
        4 => taking().prop_map(|(worker, most, background)| Operation::Reclaim { worker, most, background }),
        10 => (0..PICKS).prop_map(|pick| Operation::Begin { pick }),
        8 => completing.prop_map(|(pick, ending)| Operation::Complete { pick, ending }),
        2 => (0..PICKS).prop_map(|pick| Operation::HandBack { pick }),
        2 => (0..WORKERS).prop_map(|worker| Operation::Renew { worker }),
        1 => (0..WORKERS).prop_map(|worker| Operation::WorkerCrashes { worker }),
    ]
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        4 => Just(Ending::Clean),
        1 => Just(Ending::CleanLate),
        1 => Just(Ending::Expired),
        2 => Just(Ending::Found),
        1 => Just(Ending::Skipped),
        2 => Just(Ending::Dead),
        2 => Just(Ending::Failed),
    ]
}

fn by_an_operator() -> impl Strategy<Value = Operation> {
    prop_oneof![
        3 => (1..4u8).prop_map(|signatures| Operation::Report { signatures }),
        1 => Just(Operation::Bump),
        2 => sample().prop_map(|sample| Operation::Forget { sample }),
        2 => (0..4usize).prop_map(|pick| Operation::RetryLetter { pick }),
        1 => (0..4usize).prop_map(|pick| Operation::DropLetter { pick }),
    ]
}

fn by_nature() -> impl Strategy<Value = Operation> {
    let (queue, cache) = (limits(), crate::hub::random::ttls());
    let over = |life: std::time::Duration| Just(Operation::Jump(life.as_secs() + 5));
    prop_oneof![
        4 => Just(Operation::Jump(10)),
        4 => over(queue.reclaim_after),
        4 => over(queue.reserve_ttl),
        4 => over(queue.lease_ttl),
        2 => over(queue.sample_ttl),
        1 => over(cache.clean_ttl),
        1 => Just(Operation::FlushScripts),
        1 => Just(Operation::KillConnections),
    ]
}
