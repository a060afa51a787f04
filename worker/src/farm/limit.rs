// SPDX-License-Identifier: GPL-3.0-or-later
//! How many scans one instance runs for this process, where others send it samples too.
//!
//! Every worker knows how many threads an instance has and none knows what the others send. So a 503 while other scans
//! of ours run there means: it runs those, and no more for us. Their number is the limit from then on, and the limit
//! rises with time until the next 503 or until it is what the instance says. Thus workers share its threads by trying,
//! at the price of one refused sample now and then. To pause the instance for as long as `Retry-After` says would leave
//! it idle, since all workers are refused in the same moment; they pause only where it runs nothing of theirs.
//!
//! Pure: the time comes in as an argument.

use std::time::Instant;

/// A second after a refusal this share of all scans is allowed again, at least one.
const SHARE_PER_SECOND: f64 = 0.25;

/// The limit of one instance.
#[derive(Debug, Default)]
pub struct Limit {
    /// What it ran when it refused a sample the last time, and when that was.
    refused: Option<(usize, Instant)>,
}

impl Limit {
    /// How many of `most` scans may run at `now`; never none, or nothing would be learnt.
    pub fn allowed(&self, most: usize, now: Instant) -> usize {
        let Some((running, at)) = self.refused else { return most };
        let per_second = (most as f64 * SHARE_PER_SECOND).max(1.0);
        let risen = now.saturating_duration_since(at).as_secs_f64() * per_second;
        running.saturating_add(risen as usize).clamp(1, most.max(1))
    }

    /// It answered 503 at `now` while it was `running` so many other scans of ours.
    pub fn refused(&mut self, running: usize, now: Instant) {
        self.refused = Some((running, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_refusal_lowers_the_limit_to_what_runs_and_it_rises_again() {
        let now = Instant::now();
        let mut limit = Limit::default();
        assert_eq!(limit.allowed(8, now), 8);
        limit.refused(3, now);
        let after = |seconds| limit.allowed(8, now + SECOND * seconds);
        assert_eq!([after(0), after(1), after(2), after(3)], [3, 5, 7, 8]);
    }

    #[test]
    fn there_is_always_room_for_one() {
        let now = Instant::now();
        let mut limit = Limit::default();
        limit.refused(0, now);
        assert_eq!([limit.allowed(1, now), limit.allowed(0, now), limit.allowed(4, now)], [1, 1, 1]);
    }

    /// Workers that want as much as they may have of one server that refuses what it has no thread for.
    fn simulate(workers: usize, threads: usize, seconds: usize) -> f64 {
        const ROUNDS: usize = 33; // scans that a thread does in a second
        let start = Instant::now();
        let mut limits: Vec<Limit> = (0..workers).map(|_| Limit::default()).collect();
        let mut done = 0;
        for round in 0..seconds * ROUNDS {
            let now = start + SECOND.mul_f64(round as f64 / ROUNDS as f64);
            let mut free = threads;
            // Whoever comes first gets a thread: another one each time.
            for turn in 0..workers {
                let limit = &mut limits[(turn + round) % workers];
                let wanted = limit.allowed(threads, now);
                let got = wanted.min(free);
                free -= got;
                done += got;
                if got < wanted {
                    limit.refused(got, now);
                }
            }
        }
        done as f64 / (threads * seconds * ROUNDS) as f64
    }

    #[test]
    fn workers_that_share_an_instance_keep_it_busy() {
        for (workers, threads) in [(1, 4), (2, 4), (3, 4), (4, 4), (8, 4), (4, 16), (10, 40)] {
            let used = simulate(workers, threads, 30);
            assert!(used > 0.95, "{workers} workers used {used:.2} of {threads} threads");
        }
    }
}
