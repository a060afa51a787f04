// SPDX-License-Identifier: GPL-3.0-or-later
//! Samples that wait for a place at an instance, in the order of their arrival.
//!
//! A place that becomes free is handed to the first sample that may have it, and only that one is woken: neither do
//! newcomers overtake, nor does everybody run for the same place.

use super::roster::{Place, Roster, Wish};
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
    time::Instant,
};
use tokio::sync::oneshot;

/// Those who wait.
#[derive(Debug, Default)]
pub struct Line(Mutex<VecDeque<Waiting>>);

#[derive(Debug)]
struct Waiting {
    wish: Wish,
    place: oneshot::Sender<Place>,
}

impl Line {
    /// Joins at the end. The place comes with a later [`Line::serve`]; who drops the receiver leaves the line.
    pub(crate) fn join(&self, wish: Wish) -> oneshot::Receiver<Place> {
        let (place, receiver) = oneshot::channel();
        self.lock().push_back(Waiting { wish, place });
        receiver
    }

    /// Hands out the places that are free at `now`.
    pub(crate) fn serve(&self, roster: &Roster, now: Instant) {
        let mut line = self.lock();
        line.retain(|waiting| !waiting.place.is_closed());
        let mut next = 0;
        while next < line.len() && roster.has_room(now) {
            let Some(place) = roster.choose(&line[next].wish, now) else {
                next += 1;
                continue;
            };
            // Who has left just now drops the place, and it is free again for the next one.
            let _ = line.remove(next).map(|waiting| waiting.place.send(place));
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.0.lock().expect("nothing panics while it holds the line")
    }
}
