// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether an instance gets samples.
//!
//! * **Unheard**: nothing is known yet; the first proof decides.
//! * **Closed**: it gets samples. For some time after it came back it gets few, then more and more (slow start).
//! * **Paused**: it answered 503 and wants to be left alone for a while. No failure, and no slow start afterwards.
//! * **Open**: it did not scan a known sample, or could not be reached several times in a row, and is left alone. A proof
//!   closes it again, but not before a hold that doubles each time it opens without a scan in between: a server that
//!   answers `/api/info` and does not scan costs a few tries a minute, not a few a second.
//!
//! What is wrong with a sample never comes here: only the instance's own failures do.
//!
//! Pure: the time comes in as an argument.

use std::time::{Duration, Instant};
use thundergate_common::generation::InstanceState as State;

/// How long an instance that came back takes to get its full share.
const SLOW_START: Duration = Duration::from_secs(10);
/// The longest hold.
const LONGEST_HOLD: Duration = Duration::from_secs(60);

/// The first and the longest pause after a 503 that does not say for how long. A thread is free again when a scan ends,
/// and a mail waits 20 s in all, so the vendor's collectors, which wait 30 s, are no model here.
const UNSAID: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The state of one instance.
#[derive(Debug)]
pub(crate) struct Breaker {
    threshold: u32,
    hold: Duration,
    /// Connections and probes that failed in a row.
    unreachable: u32,
    openings: u32,
    /// 503s in a row, without a scan in between.
    refusals: u32,
    position: Position,
    paused_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum Position {
    Unheard,
    Closed { since: Instant },
    Open { until: Instant },
}

/// What opening did.
#[derive(Clone, Copy, Debug)]
enum Opened {
    /// It was not open before.
    News,
    /// It was open, and the hold was over.
    Again,
    /// It was open, and the hold is not over.
    Held,
}

impl Breaker {
    /// Opens after `threshold` failures to reach the instance in a row, for `hold` at first.
    pub(crate) fn new(threshold: u32, hold: Duration) -> Self {
        Self {
            threshold: threshold.max(1),
            hold,
            unreachable: 0,
            openings: 0,
            refusals: 0,
            position: Position::Unheard,
            paused_until: None,
        }
    }

    /// From now on opens after `threshold` failures in a row, for `hold` at first.
    pub(crate) fn tune(&mut self, threshold: u32, hold: Duration) {
        self.threshold = threshold.max(1);
        self.hold = hold;
    }

    /// The state at `now`.
    pub(crate) fn state(&self, now: Instant) -> State {
        match self.position {
            Position::Unheard => State::Unheard,
            Position::Open { .. } => State::Open,
            Position::Closed { .. } if self.paused_until.is_some_and(|until| now < until) => State::Paused,
            Position::Closed { .. } => State::Closed,
        }
    }

    /// How many of `limit` scans it may run at `now`: all of them, fewer during the slow start, or none.
    pub(crate) fn allowance(&self, limit: usize, now: Instant) -> usize {
        let Position::Closed { since } = self.position else { return 0 };
        if self.state(now) != State::Closed {
            return 0;
        }
        let share = now.saturating_duration_since(since).as_secs_f64() / SLOW_START.as_secs_f64();
        // Never none: without a sample it could not prove itself.
        ((limit as f64 * share) as usize).clamp(1, limit.max(1))
    }

    /// A sample was scanned.
    pub(crate) fn succeeded(&mut self) {
        self.unreachable = 0;
        self.openings = 0;
        self.refusals = 0;
    }

    /// `/api/info` was answered.
    pub(crate) fn answered(&mut self) {
        self.unreachable = 0;
    }

    /// It could not be reached. True where this opened the breaker.
    pub(crate) fn unreachable(&mut self, now: Instant) -> bool {
        self.unreachable = self.unreachable.saturating_add(1);
        let opens = self.unreachable >= self.threshold || matches!(self.position, Position::Unheard);
        opens && self.gone(now)
    }

    /// It did not scan a known sample. True where this opened the breaker.
    pub(crate) fn disproved(&mut self, now: Instant) -> bool {
        let hold = self.hold.saturating_mul(1 << self.openings.min(16)).min(LONGEST_HOLD);
        let opened = self.open(now, hold);
        if !matches!(opened, Opened::Held) {
            self.openings = self.openings.saturating_add(1);
        }
        matches!(opened, Opened::News)
    }

    /// It could not even be reached for a known sample. True where this opened the breaker. There is no hold: one that was
    /// restarted is asked for a proof as soon as it answers again.
    pub(crate) fn gone(&mut self, now: Instant) -> bool {
        matches!(self.open(now, Duration::ZERO), Opened::News)
    }

    /// Whether a proof would change something.
    pub(crate) fn wants_proof(&self, now: Instant) -> bool {
        match self.position {
            Position::Unheard => true,
            Position::Open { until } => now >= until,
            Position::Closed { .. } => false,
        }
    }

    fn open(&mut self, now: Instant, hold: Duration) -> Opened {
        let opened = match self.position {
            Position::Open { until } if now < until => return Opened::Held,
            Position::Open { .. } => Opened::Again,
            Position::Unheard | Position::Closed { .. } => Opened::News,
        };
        self.position = Position::Open { until: now + hold };
        opened
    }

    /// It answered 503 and wants to be left alone for `pause`; where it does not say so, for a while that doubles each
    /// time. `Retry-After: 0` is a while too, or it would be asked without end.
    pub(crate) fn busy(&mut self, pause: Option<Duration>, now: Instant) {
        let unsaid = || UNSAID.0.saturating_mul(1 << self.refusals.min(16)).min(UNSAID.1);
        self.paused_until = Some(now + pause.unwrap_or_else(unsaid).max(UNSAID.0));
        self.refusals = self.refusals.saturating_add(1);
    }

    /// It scanned a known sample. True where this closed the breaker.
    pub(crate) fn proved(&mut self, now: Instant) -> bool {
        if !self.wants_proof(now) {
            return false;
        }
        let since = match self.position {
            // Nothing failed yet, so there is nothing to be careful about.
            Position::Unheard => now.checked_sub(SLOW_START).unwrap_or(now),
            Position::Open { .. } | Position::Closed { .. } => now,
        };
        self.position = Position::Closed { since };
        self.unreachable = 0;
        true
    }

    /// It was too busy for the known sample, which is an answer where nothing is held against it yet. True where this
    /// closed the breaker.
    pub(crate) fn too_busy_for_proof(&mut self, now: Instant) -> bool {
        matches!(self.position, Position::Unheard) && self.proved(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn closed(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(3, SECOND);
        assert_eq!(breaker.allowance(8, now), 0, "nothing is known yet");
        assert!(breaker.proved(now));
        breaker
    }

    #[test]
    fn a_failed_proof_opens_it_at_once_and_a_proof_closes_it() {
        let now = Instant::now();
        let mut breaker = closed(now);
        assert!(breaker.disproved(now));
        assert!(!breaker.disproved(now), "once is enough");
        assert_eq!((breaker.state(now), breaker.allowance(8, now)), (State::Open, 0));
        breaker.answered();
        assert!(!breaker.wants_proof(now) && !breaker.proved(now), "not before the hold is over");
        breaker.answered();
        assert_eq!(breaker.state(now + SECOND), State::Open, "what /api/info says closes nothing");
        assert!(breaker.wants_proof(now + SECOND) && breaker.proved(now + SECOND));
        assert_eq!(breaker.state(now + SECOND), State::Closed);
    }

    #[test]
    fn an_instance_that_cannot_be_reached_opens_only_in_a_row() {
        let now = Instant::now();
        let mut breaker = closed(now);
        for _ in 0..9 {
            assert!(!breaker.unreachable(now) && !breaker.unreachable(now));
            breaker.answered();
        }
        assert!(!breaker.unreachable(now) && !breaker.unreachable(now) && breaker.unreachable(now));
    }

    #[test]
    fn a_server_that_comes_back_gets_more_and_more() {
        let now = Instant::now();
        let mut breaker = closed(now);
        assert_eq!(breaker.allowance(8, now), 8, "at the start of the program all at once");
        breaker.disproved(now);
        let back = now + SECOND;
        breaker.proved(back);
        let allowance = |seconds| breaker.allowance(8, back + SECOND * seconds);
        assert_eq!([allowance(0), allowance(5), allowance(10)], [1, 4, 8]);
    }

    #[test]
    fn a_server_that_fails_again_is_held_longer_whether_it_was_closed_meanwhile_or_not() {
        for closes in [true, false] {
            let mut now = Instant::now();
            let mut breaker = closed(now);
            breaker.disproved(now);
            for hold in [1, 2, 4, 8, 16, 32, 60, 60] {
                assert!(!breaker.wants_proof(now + SECOND * hold - SECOND / 2), "{hold}");
                now += SECOND * hold;
                assert!(breaker.wants_proof(now), "{hold}");
                if closes {
                    breaker.proved(now);
                }
                assert_eq!(breaker.disproved(now), closes, "news only where it was closed");
            }
            now += LONGEST_HOLD;
            breaker.proved(now);
            breaker.succeeded();
            breaker.disproved(now);
            assert!(breaker.wants_proof(now + SECOND), "a scan makes up for it");
        }
    }

    #[test]
    fn busy_is_a_pause_and_no_failure() {
        let now = Instant::now();
        let mut breaker = closed(now);
        (0..9).for_each(|_| breaker.busy(Some(SECOND), now));
        assert_eq!((breaker.state(now), breaker.allowance(8, now)), (State::Paused, 0));
        assert_eq!(breaker.allowance(8, now + SECOND), 8);
    }

    #[test]
    fn a_pause_that_is_not_said_doubles_until_a_scan_succeeds() {
        let now = Instant::now();
        let mut breaker = closed(now);
        let pause = |breaker: &mut Breaker, said: Option<Duration>| {
            breaker.busy(said, now);
            let over = |ms: &u64| breaker.state(now + Duration::from_millis(*ms)) == State::Closed;
            (0..10_000).step_by(100).find(over).unwrap()
        };
        let pauses: Vec<_> = (0..8).map(|_| pause(&mut breaker, None)).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(pause(&mut breaker, Some(Duration::ZERO)), 100);
        assert_eq!(pause(&mut breaker, Some(SECOND * 7)), 7000);
        breaker.succeeded();
        assert_eq!(pause(&mut breaker, None), 100);
    }

    #[test]
    fn a_server_that_never_answered_opens_at_once() {
        let now = Instant::now();
        let mut breaker = Breaker::new(3, SECOND);
        assert!(breaker.unreachable(now));
        assert!(breaker.proved(now + SECOND));
    }

    #[test]
    fn a_server_that_was_gone_is_asked_for_a_proof_as_soon_as_it_answers() {
        let now = Instant::now();
        let mut breaker = closed(now);
        assert!(breaker.gone(now) && !breaker.gone(now));
        assert!(breaker.wants_proof(now) && breaker.proved(now));
        for _ in 0..3 {
            assert!(breaker.disproved(now), "that is held each time");
            assert!(!breaker.wants_proof(now) && !breaker.gone(now), "and stays so");
            assert!(breaker.proved(now + LONGEST_HOLD));
        }
    }

    #[test]
    fn a_server_too_busy_for_its_first_proof_is_taken_and_one_that_failed_is_not() {
        let now = Instant::now();
        let mut breaker = Breaker::new(3, SECOND);
        assert!(breaker.too_busy_for_proof(now));
        breaker.disproved(now);
        assert!(!breaker.too_busy_for_proof(now + SECOND));
        assert_eq!(breaker.state(now + SECOND), State::Open);
    }
}
