// SPDX-License-Identifier: GPL-3.0-or-later
//! What this process keeps in mind of the lanes: whose turn it is in each shard, and whether Redis lets it see bulk. And
//! what is done about a job of the background lane that gave way.

use super::{RedisHub, scripts::SCRIPTS, scripts::Step, seal::Purpose};
use crate::{
    hub::never_scanned,
    job::{Job, Lane},
    keys::Kept,
    wire::Versioned,
};
use redis::RedisError;
use std::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tracing::warn;

/// So many jobs of mail for one of bulk while both wait.
pub(crate) const MAIL_FOR_BULK: u64 = 3;
/// How long after a refusal bulk is tried again: an operator may have changed the users.
const REFUSED: Duration = Duration::from_secs(60);
/// A script drops few jobs in a call, and is called no more often than that for one job.
pub(super) const ROUNDS: usize = 256;

/// Of one process.
pub(super) struct Lanes {
    mail_since_bulk: Vec<AtomicU64>,
    refused: Mutex<Refused>,
}

#[derive(Default)]
struct Refused {
    at: Option<Instant>,
    was_told: bool,
}

impl Lanes {
    /// Of a queue of so many shards.
    pub(super) fn new(shards: usize) -> Self {
        Self { mail_since_bulk: (0..shards).map(|_| AtomicU64::new(0)).collect(), refused: Mutex::default() }
    }

    /// How many jobs of mail were taken since the last one of bulk.
    pub(super) fn mail_since_bulk(&self, shard: usize) -> u64 {
        self.mail_since_bulk.get(shard).map_or(0, |since| since.load(Ordering::Relaxed))
    }

    /// The same, from now on.
    pub(super) fn set_mail_since_bulk(&self, shard: usize, now: u64) {
        if let Some(since) = self.mail_since_bulk.get(shard) {
            since.store(now, Ordering::Relaxed);
        }
    }

    /// A job of this lane was taken.
    pub(super) fn took(&self, shard: usize, lane: Lane) {
        let since = self.mail_since_bulk(shard);
        match lane {
            Lane::Mail => self.set_mail_since_bulk(shard, (since + 1).min(MAIL_FOR_BULK)),
            Lane::Bulk => self.set_mail_since_bulk(shard, 0),
            Lane::Background => {}
        }
    }

    /// Whether Redis refused bulk a short time ago.
    pub(super) fn are_refused(&self) -> bool {
        self.refused().at.is_some_and(|at| at.elapsed() < REFUSED)
    }

    /// It did now.
    pub(super) fn refuse(&self) {
        let mut refused = self.refused();
        refused.at = Some(Instant::now());
        if !std::mem::replace(&mut refused.was_told, true) {
            warn!(
                event = "bulk_refused",
                "Redis refuses the lane for bulk, its users are those of an older version: all samples go to mail, where \
                 those of one sender may hold up all others, and background work gives way to none"
            );
        }
    }

    fn refused(&self) -> MutexGuard<'_, Refused> {
        self.refused.lock().expect("nothing panics while it holds the time")
    }
}

/// Whether the user may not do what a script does, or not with these keys.
pub(super) fn is_refused(error: &RedisError) -> bool {
    error.code() == Some("NOPERM") || error.to_string().contains("The user executing the script can't")
}

/// Deletes the bytes of jobs that gave way, and tells of those that are owed. `gone` is what a script says of each: sample,
/// job, what is owed, whether its bytes are needed.
pub(super) async fn gave_way(hub: &RedisHub, gone: &[Vec<u8>]) {
    let mut forgotten = Vec::new();
    for told in gone.chunks_exact(4) {
        let [name, job, owed, needed] = [0, 1, 2, 3].map(|at| told[at].clone());
        let name = String::from_utf8_lossy(&name).into_owned();
        if !owed.is_empty() {
            let queue_id = hub.vault.open(Purpose::Owed, &name, owed).unwrap_or_default();
            never_scanned(&name, &String::from_utf8_lossy(&queue_id));
        }
        // What does not open is somebody else's, whose bytes have an end as well.
        let job: Option<Job> =
            hub.vault.open(Purpose::Job, &name, job).and_then(|job| Versioned::decode(&job));
        if let Some(job) = job.filter(|_| needed.is_empty()) {
            let keys = [Kept::Sample, Kept::Lease].map(|kept| hub.keys.of(&job.sample, kept));
            forgotten.push(Step::from(SCRIPTS.forget.on(keys)));
        }
    }
    if !forgotten.is_empty() {
        // What cannot be deleted expires.
        let _ = hub.verdicts.each(forgotten).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_refused_tries_again_later() {
        let lanes = Lanes::new(1);
        assert!(!lanes.are_refused());
        lanes.refuse();
        assert!(lanes.are_refused());
        lanes.refused().at = Instant::now().checked_sub(REFUSED);
        assert!(!lanes.are_refused());
    }

    #[test]
    fn mail_is_counted_up_to_the_turn_of_bulk() {
        let lanes = Lanes::new(2);
        (0..5).for_each(|_| lanes.took(1, Lane::Mail));
        assert_eq!([lanes.mail_since_bulk(0), lanes.mail_since_bulk(1)], [0, MAIL_FOR_BULK]);
        lanes.took(1, Lane::Background);
        lanes.took(1, Lane::Bulk);
        assert_eq!(lanes.mail_since_bulk(1), 0);
    }
}
