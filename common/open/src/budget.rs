// SPDX-License-Identifier: GPL-3.0-or-later
//! What is left of the limits while a container is opened. Bytes are counted as they are decoded, never as a header states
//! them.

use super::{failure::Excess, stop::Stop};
use std::{
    io::Read,
    time::{Duration, Instant},
};

/// What is left.
pub(crate) struct Budget {
    bytes: u64,
    held: u64,
    members: usize,
    rounds: u64,
    until: Instant,
}

impl Budget {
    pub(crate) fn new(bytes: u64, members: usize, rounds: u64, time: Duration) -> Self {
        Self { bytes, held: 0, members, rounds, until: Instant::now() + time }
    }

    /// Bytes that may still be decoded.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.saturating_sub(self.held)
    }

    /// So many are in memory for a while, and do not come out.
    pub(crate) fn hold(&mut self, bytes: usize) {
        self.held += bytes as u64;
    }

    /// They are gone.
    pub(crate) fn let_go(&mut self, bytes: usize) {
        self.held -= bytes as u64;
    }

    /// Reads to the end. None: it cannot be read, as after a wrong password.
    pub(crate) fn read(&self, source: impl Read) -> Result<Option<Vec<u8>>, Stop> {
        self.read_beside(0, source)
    }

    /// The same, where so many bytes were read that are not spent yet.
    pub(crate) fn read_beside(&self, unspent: u64, source: impl Read) -> Result<Option<Vec<u8>>, Stop> {
        let (mut bytes, most) = (Vec::new(), self.bytes().saturating_sub(unspent));
        match source.take(most + 1).read_to_end(&mut bytes) {
            // Whatever follows: nobody may have so much.
            _ if bytes.len() as u64 > most => Err(Stop::TooMuch(Excess::Bytes)),
            Ok(_) => Ok(Some(bytes)),
            Err(_) => Ok(None),
        }
    }

    /// One more member of so many bytes.
    pub(crate) fn spend(&mut self, bytes: usize) -> Result<(), Stop> {
        self.members = self.members.checked_sub(1).ok_or(Stop::TooMuch(Excess::Members))?;
        self.bytes = self.bytes.checked_sub(bytes as u64).ok_or(Stop::TooMuch(Excess::Bytes))?;
        Ok(())
    }

    /// Whether one more password may be tried, at the price of so many rounds.
    pub(crate) fn allow_try(&self, rounds: u64) -> Result<(), Stop> {
        if rounds > self.rounds {
            Err(Stop::TooMuch(Excess::Rounds))
        } else if Instant::now() > self.until {
            Err(Stop::TooMuch(Excess::Time))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Budget {
        Budget::new(10, 2, 100, Duration::from_secs(60))
    }

    #[test]
    fn bytes_are_counted_while_they_are_read() {
        let mut budget = budget();
        assert_eq!(budget.read(&[7; 10][..]), Ok(Some(vec![7; 10])));
        assert_eq!(budget.read(std::io::repeat(7)), Err(Stop::TooMuch(Excess::Bytes)));
        assert_eq!(budget.spend(6), Ok(()));
        assert_eq!(budget.read(&[7; 5][..]), Err(Stop::TooMuch(Excess::Bytes)));
        assert_eq!(budget.spend(5), Err(Stop::TooMuch(Excess::Bytes)));
        assert_eq!(budget.spend(0), Err(Stop::TooMuch(Excess::Members)));
    }

    #[test]
    fn what_is_held_leaves_less_until_it_is_let_go() {
        let mut budget = budget();
        budget.hold(6);
        assert_eq!(budget.read(&[7; 5][..]), Err(Stop::TooMuch(Excess::Bytes)));
        budget.let_go(6);
        assert_eq!(budget.read_beside(5, &[7; 5][..]), Ok(Some(vec![7; 5])));
        assert_eq!(budget.read_beside(6, &[7; 5][..]), Err(Stop::TooMuch(Excess::Bytes)));
    }

    #[test]
    fn dear_keys_are_refused_and_late_tries_too() {
        assert_eq!(budget().allow_try(100), Ok(()));
        assert_eq!(budget().allow_try(101), Err(Stop::TooMuch(Excess::Rounds)));
        let late = Budget { until: Instant::now() - Duration::from_millis(1), ..budget() };
        assert_eq!(late.allow_try(0), Err(Stop::TooMuch(Excess::Time)));
    }
}
