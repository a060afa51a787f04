// SPDX-License-Identifier: GPL-3.0-or-later
//! The time of day as what travels carries it. A clock before 1970 counts as 1970.
//!
//! The machines of a site may disagree on the time. What is compared across them (a bump, the end of a scan) is told by
//! one clock, the one of Redis: each process measures how far its own is ahead and takes that off. Where the two differ
//! by more than [`TOLERATED`], the log and the metrics say so.

use std::{
    sync::Mutex,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Clocks that differ by no more are as good as the same.
pub const TOLERATED: Duration = Duration::from_secs(2);
/// A difference that was told is over once it is no more than this, so that one around [`TOLERATED`] is told once.
const SETTLED: Duration = Duration::from_secs(1);
/// A question that took longer says too little: the answer is from any moment of it.
const LONGEST_ROUND_TRIP: Duration = Duration::from_secs(1);

/// Seconds since the epoch.
pub fn now() -> u64 {
    since_the_epoch().as_secs()
}

/// Milliseconds since the epoch.
pub fn now_ms() -> u64 {
    u64::try_from(since_the_epoch().as_millis()).unwrap_or(u64::MAX)
}

fn since_the_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A process's clock beside the one that all processes share.
#[derive(Debug, Default)]
pub struct Clock {
    /// By how much it is wrong on purpose, in milliseconds.
    shifted_ms: i64,
    skew: Mutex<Skew>,
}

/// What is known of the difference.
#[derive(Debug, Default)]
struct Skew {
    /// How far the own clock is ahead, in milliseconds; none before the first measurement.
    ahead_ms: Option<i64>,
    /// Whether the log was told that the clocks differ.
    told: bool,
}

/// What a measurement has to tell the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The clocks have begun to differ by more than [`TOLERATED`].
    Differs,
    /// They agree again.
    Agrees,
}

impl Clock {
    /// This machine's clock as if it were ahead by so many milliseconds, or behind: for tests of what a wrong clock does.
    pub fn ahead_by(milliseconds: i64) -> Self {
        Self { shifted_ms: milliseconds, skew: Mutex::default() }
    }

    /// What this machine takes for the time, in milliseconds since the epoch.
    pub fn own_ms(&self) -> u64 {
        now_ms().saturating_add_signed(self.shifted_ms)
    }

    /// The time by the shared clock, in milliseconds since the epoch; by the own one as long as nothing was measured.
    pub fn shared_ms(&self) -> u64 {
        self.own_ms().saturating_add_signed(-self.ahead_ms().unwrap_or(0))
    }

    /// How far the own clock is ahead of the shared one, in milliseconds; less than 0 where it is behind, none where that
    /// is not known.
    pub fn ahead_ms(&self) -> Option<i64> {
        self.lock().ahead_ms
    }

    /// The shared clock said `theirs_ms`, in answer to a question that was sent at `sent_ms` by the own clock and took
    /// `round_trip`. Gives what the log shall be told.
    pub fn measured(&self, sent_ms: u64, round_trip: Duration, theirs_ms: u64) -> Option<Notice> {
        if round_trip > LONGEST_ROUND_TRIP {
            return None;
        }
        let ahead_ms = ahead(sent_ms, round_trip, theirs_ms);
        let mut skew = self.lock();
        skew.ahead_ms = Some(ahead_ms);
        let apart = Duration::from_millis(ahead_ms.unsigned_abs());
        match skew.told {
            false if apart > TOLERATED => {
                skew.told = true;
                Some(Notice::Differs)
            }
            true if apart <= SETTLED => {
                skew.told = false;
                Some(Notice::Agrees)
            }
            _ => None,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Skew> {
        self.skew.lock().expect("nothing panics while it holds the skew")
    }
}

/// By how many milliseconds the own clock is ahead: the answer is taken to be from the middle of the round trip.
fn ahead(sent_ms: u64, round_trip: Duration, theirs_ms: u64) -> i64 {
    let half = u64::try_from(round_trip.as_millis() / 2).unwrap_or(u64::MAX);
    let difference = i128::from(sent_ms.saturating_add(half)) - i128::from(theirs_ms);
    i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN + 1 } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(40);

    #[test]
    fn half_of_the_round_trip_is_taken_off() {
        assert_eq!(ahead(1_000, QUICK, 1_020), 0);
        assert_eq!(ahead(121_000, QUICK, 1_020), 120_000);
        assert_eq!(ahead(1_000, QUICK, 121_020), -120_000);
    }

    #[test]
    fn the_shared_time_is_the_own_one_without_the_skew() {
        let clock = Clock::ahead_by(-120_000);
        assert_eq!(clock.ahead_ms(), None);
        let before = now_ms();
        assert!(clock.shared_ms() <= before - 119_000, "nothing is known yet");
        clock.measured(clock.own_ms(), Duration::ZERO, now_ms());
        assert!(clock.shared_ms().abs_diff(now_ms()) < 1_000);
        assert!(clock.ahead_ms().is_some_and(|ahead| (-121_000..-119_000).contains(&ahead)));
    }

    #[test]
    fn a_difference_is_told_once_when_it_begins_and_once_when_it_is_over() {
        let clock = Clock::default();
        let notices = [0, 2_000, 2_001, 9_000, 1_500, 2_500, 1_000, 0, -2_001].map(|ahead: i64| {
            clock.measured(10_000_u64.saturating_add_signed(ahead), Duration::ZERO, 10_000)
        });
        let (differs, agrees) = (Some(Notice::Differs), Some(Notice::Agrees));
        assert_eq!(notices, [None, None, differs, None, None, None, agrees, None, differs]);
    }

    #[test]
    fn an_answer_that_took_long_says_nothing() {
        let clock = Clock::default();
        assert_eq!(clock.measured(0, LONGEST_ROUND_TRIP + QUICK, 100_000), None);
        assert_eq!(clock.ahead_ms(), None);
    }
}
