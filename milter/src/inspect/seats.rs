// SPDX-License-Identifier: GPL-3.0-or-later
//! Seats for messages that wait: `wait.sessions`, since each holds one of the MTA's processes. A client that has half of
//! them gets another one only while at least a quarter is free, so that there are some for others.

use crate::mail::{party::Party, permits::Permits};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};
use tokio::sync::SemaphorePermit;

/// All seats.
#[derive(Debug)]
pub struct Seats {
    permits: Permits,
    taken: Mutex<Taken>,
}

#[derive(Debug)]
struct Taken {
    size: usize,
    by: HashMap<Party, usize>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat<'a> {
    seats: &'a Seats,
    party: Party,
    _permit: SemaphorePermit<'a>,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSeat {
    /// All are taken.
    Full,
    /// The client has its share.
    Share,
}

impl Seats {
    /// So many.
    pub fn new(size: usize) -> Self {
        Self { permits: Permits::new(size), taken: Mutex::new(Taken { size, by: HashMap::new() }) }
    }

    /// From now on there are so many. Those that are taken beyond that go when they come back.
    pub fn resize(&self, size: usize) {
        self.permits.resize(size);
        self.lock().size = size;
    }

    /// Without asking for whom: for a moment.
    pub(crate) fn permits(&self) -> &Permits {
        &self.permits
    }

    /// A seat for a message of this client.
    pub(crate) fn take(&self, party: Party) -> Result<Seat<'_>, NoSeat> {
        let mut taken = self.lock();
        let has = taken.by.get(&party).copied().unwrap_or_default();
        let free = self.permits.free();
        if free.available_permits() > 0
            && has >= taken.size.div_ceil(2)
            && free.available_permits() < taken.size.div_ceil(4)
        {
            return Err(NoSeat::Share);
        }
        let permit = free.try_acquire().map_err(|_| NoSeat::Full)?;
        *taken.by.entry(party.clone()).or_default() += 1;
        Ok(Seat { seats: self, party, _permit: permit })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().expect("nothing panics while it holds the counts")
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        let Some(has) = taken.by.get_mut(&self.party) else { return };
        *has -= 1;
        if *has == 0 {
            taken.by.remove(&self.party);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::envelope::{Client, Envelope};

    fn client(last: u8) -> Party {
        let client = Client { address: Some([192, 0, last, 1].into()), ..Client::default() };
        Party::all_of(&client, &Envelope::default(), &[]).remove(0)
    }

    #[test]
    fn a_client_with_half_of_the_seats_leaves_a_quarter_to_others() {
        let seats = Seats::new(16);
        let mut its = Vec::new();
        while let Ok(seat) = seats.take(client(1)) {
            its.push(seat);
        }
        assert_eq!(its.len(), 13, "the last one while a quarter was free");
        assert_eq!(seats.take(client(1)).unwrap_err(), NoSeat::Share);
        let mut others: Vec<_> = (2..5).map(|number| seats.take(client(number)).unwrap()).collect();
        assert_eq!(seats.take(client(9)).unwrap_err(), NoSeat::Full);
        its.truncate(8);
        others.extend((5..8).map(|number| seats.take(client(number)).unwrap()));
        assert_eq!(seats.take(client(1)).unwrap_err(), NoSeat::Share, "it has half, and two are free");
        its.pop();
        assert!(seats.take(client(1)).is_ok(), "with less than half it is as any other");
    }

    #[test]
    fn one_client_alone_has_all_of_few_seats() {
        for size in 1..4 {
            let seats = Seats::new(size);
            let all: Vec<_> = (0..size).map(|_| seats.take(client(1)).unwrap()).collect();
            assert_eq!(seats.take(client(1)).unwrap_err(), NoSeat::Full);
            drop(all);
            assert!(seats.lock().by.is_empty());
        }
    }

    #[tokio::test]
    async fn shares_follow_the_number_of_seats() {
        let seats = Seats::new(4);
        let mut its: Vec<_> = (0..4).map(|_| seats.take(client(1)).unwrap()).collect();
        seats.resize(16);
        while let Ok(seat) = seats.take(client(1)) {
            its.push(seat);
        }
        assert_eq!(its.len(), 13);
        seats.resize(0);
        assert!(seats.take(client(2)).is_err());
    }
}
