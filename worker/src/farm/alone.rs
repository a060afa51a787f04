// SPDX-License-Identifier: GPL-3.0-or-later
//! Suspects: samples whose scanner was not heard of again. Any of those in flight may have killed it, so each is tried
//! once more by itself: one suspect at a time, on an instance that runs nothing else for this process.
//!
//! The last healthy instance of a farm of several is given to a suspect only after a while, since another one may come
//! back meanwhile; and only for a short time, because everybody else waits. Of all workers one at a time scans a suspect
//! ([`take_turn`](thundergate_common::hub::Worker::take_turn)); the others do not know of the reservation, and what they have
//! in flight there is charged to nobody.

use super::{
    instance::Instance,
    roster::{Place, Roster, Wish},
};
use futures_util::future::BoxFuture;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{Semaphore, SemaphorePermit};

/// How often it is looked whether an instance is free.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long the last healthy instance of several is kept from suspects.
const KEEP_THE_LAST: Duration = Duration::from_secs(5);
/// How long a suspect waits until nothing else is in flight on its instance. What takes longer stays beside it.
const EMPTY: Duration = Duration::from_secs(2);
/// How long a suspect keeps others from an instance when there is no other one.
const ONLY_ONE: Duration = Duration::from_secs(3);
/// Where there are others it keeps them from it until it is over, which is sooner than this.
const UNTIL_IT_IS_OVER: Duration = Duration::from_secs(24 * 3600);

/// Says whether all workers leave the instance of this name alone from now on.
pub(crate) type ClaimFor<'a> = &'a (dyn Fn(String) -> BoxFuture<'a, bool> + Sync);

/// The suspects of this process.
#[derive(Debug)]
pub(crate) struct Suspects {
    turns: Semaphore,
    count: AtomicUsize,
    /// Since when no more than one instance of several scans.
    last_since: Mutex<Option<Instant>>,
}

/// One suspect's turn to be scanned.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    _counted: Counted<'a>,
    _permit: SemaphorePermit<'a>,
}

#[derive(Debug)]
struct Counted<'a>(&'a AtomicUsize);

/// A place at an instance that was reserved for it.
#[derive(Debug)]
pub(crate) struct PlaceAlone {
    instance: Arc<Instance>,
    /// Taken once nothing else runs there.
    place: Option<Place>,
}

impl Default for Suspects {
    fn default() -> Self {
        Self { turns: Semaphore::new(1), count: AtomicUsize::new(0), last_since: Mutex::default() }
    }
}

impl Suspects {
    /// Waits for one's turn, in the order of coming.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        self.count.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(&self.count);
        let permit = self.turns.acquire().await.expect("the semaphore is never closed");
        Turn { _counted: counted, _permit: permit }
    }

    /// How many wait or are being scanned.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// A place where the suspect with this `wish` is alone, by what `rosters` gives at each look; none until `give_up`.
    /// `claim` says whether all workers leave the instance of this name alone from now on.
    pub(crate) async fn place(
        &self,
        rosters: impl Fn() -> Arc<Roster>,
        wish: &Wish,
        give_up: Instant,
        claim: ClaimFor<'_>,
    ) -> Option<PlaceAlone> {
        loop {
            let (roster, now) = (rosters(), Instant::now());
            let is_last = roster.is_last(now);
            if let Some(instance) = roster.choose_for_suspect(wish, self.spares_the_last(is_last, now), now)
                && let Some(place) = reserve(instance, is_last, claim).await
            {
                return Some(place);
            }
            if Instant::now() >= give_up {
                return None;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Whether the last instance is kept from suspects for now.
    fn spares_the_last(&self, is_last: bool, now: Instant) -> bool {
        let mut last_since = self.last_since.lock().expect("nothing panics while it holds the time");
        if !is_last {
            *last_since = None;
            return true;
        }
        now.saturating_duration_since(*last_since.get_or_insert(now)) < KEEP_THE_LAST
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PlaceAlone {
    /// Where it is.
    pub(crate) fn instance(&self) -> Arc<Instance> {
        Arc::clone(&self.instance)
    }
}

impl Drop for PlaceAlone {
    fn drop(&mut self) {
        drop(self.place.take());
        self.instance.release();
    }
}

/// The instance once nothing else runs there; none where it gets no samples any more.
async fn reserve(instance: Arc<Instance>, is_last: bool, claim: ClaimFor<'_>) -> Option<PlaceAlone> {
    instance.reserve(Instant::now() + UNTIL_IT_IS_OVER);
    let mut alone = PlaceAlone { instance: Arc::clone(&instance), place: None };
    if !claim(instance.name().to_owned()).await {
        return None;
    }
    let began = Instant::now();
    while instance.in_flight() > 0 && began.elapsed() < EMPTY {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    if is_last {
        instance.reserve(Instant::now() + ONLY_ONE);
    }
    let permit = instance.take_reserved(Instant::now())?;
    alone.place = Some(Place { instance, _permit: permit });
    Some(alone)
}
