// SPDX-License-Identifier: GPL-3.0-or-later
//! The MTAs' queue: which mail is to be sent next, and which still has no final decision.

use super::journal::{Journal, Millis};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

/// The pause of a sender that has nothing to do.
const PAUSE: Duration = Duration::from_millis(10);
/// The longest pause between two attempts at one mail.
const LONGEST: Millis = 2_000;

/// Mails that have not been decided.
pub struct Outbox {
    journal: Arc<Journal>,
    due: Mutex<BTreeSet<(Millis, u32, u32)>>,
    total: usize,
    decided: AtomicUsize,
    deferred: AtomicUsize,
}

/// A mail to be sent now.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// Its number.
    pub mail: u32,
    /// Attempts before this one.
    pub tries: u32,
}

impl Outbox {
    /// So many mails, evenly over this time.
    pub fn new(journal: Arc<Journal>, mails: u32, over: Duration) -> Self {
        let every = over.as_secs_f64() * 1e3 / f64::from(mails.max(1));
        let due = (0..mails).map(|mail| ((f64::from(mail) * every) as Millis, mail, 0));
        let (due, total) = (Mutex::new(due.collect()), mails as usize);
        Self { journal, due, total, decided: AtomicUsize::new(0), deferred: AtomicUsize::new(0) }
    }

    /// The next mail, when it is due; none when all are decided.
    pub async fn next(&self) -> Option<Task> {
        while self.decided() < self.total {
            if let Some(task) = self.take() {
                return Some(task);
            }
            tokio::time::sleep(PAUSE).await;
        }
        None
    }

    /// The mail stays with its sender and is sent again soon.
    pub fn keep(&self, task: Task) {
        self.deferred.fetch_add(1, SeqCst);
        let back_off = (300_u64 << task.tries.min(4)).min(LONGEST);
        let due = self.journal.now() + fastrand::u64(back_off / 2..back_off);
        self.lock().insert((due, task.mail, task.tries + 1));
    }

    /// The mail has its final decision.
    pub fn decide(&self) {
        self.decided.fetch_add(1, SeqCst);
    }

    /// How many have one.
    pub fn decided(&self) -> usize {
        self.decided.load(SeqCst)
    }

    /// How many there are.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Attempts that did not end with a decision.
    pub fn deferred(&self) -> usize {
        self.deferred.load(SeqCst)
    }

    fn take(&self) -> Option<Task> {
        let mut due = self.lock();
        let first = *due.first()?;
        let (at, mail, tries) = first;
        if at > self.journal.now() {
            return None;
        }
        due.remove(&first);
        Some(Task { mail, tries })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<(Millis, u32, u32)>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
