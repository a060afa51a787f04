// SPDX-License-Identifier: GPL-3.0-or-later
//! Which of several instances gets a sample: the power of two choices over (scans in flight + 1) × recent latency.
//!
//! Two instances are drawn at random and the less loaded one is taken. That is nearly as even as asking for the least
//! loaded of all, and several workers that know nothing of each other do not all run to the same instance.

use std::time::{Duration, Instant};

/// Half of what an average says is forgotten after this time without news, so that an instance that was slow once is
/// tried again.
const HALF_LIFE: Duration = Duration::from_secs(10);
/// Costs that differ by less are equal, so that chance decides.
const CLEARLY: f64 = 1.05;

/// A moving average of how long scans take.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    average: Option<(Duration, Instant)>,
}

impl Latency {
    /// A scan took `took` and ended at `now`. The more time has passed since the last one, the more it counts; never
    /// less than a tenth.
    pub(crate) fn record(&mut self, took: Duration, now: Instant) {
        let average = self.average.map_or(took, |(average, at)| {
            let old = decay(now.saturating_duration_since(at)).min(0.9);
            average.mul_f64(old) + took.mul_f64(1.0 - old)
        });
        self.average = Some((average, now));
    }

    /// The average; none before the first scan.
    pub(crate) fn average(&self) -> Option<Duration> {
        self.average.map(|(average, _)| average)
    }

    /// What one more scan costs an instance that runs `in_flight` of them. An instance that has not scanned yet, or not
    /// for long, counts as being as quick as the `quickest` of all: it gets its share, and the average finds out.
    pub(crate) fn cost(&self, in_flight: usize, quickest: Duration, now: Instant) -> f64 {
        let (average, at) = self.average.unwrap_or((quickest, now));
        let known = decay(now.saturating_duration_since(at));
        let expected = average.as_secs_f64() * known + quickest.as_secs_f64() * (1.0 - known);
        (in_flight + 1) as f64 * expected.max(1e-6)
    }
}

fn decay(elapsed: Duration) -> f64 {
    (-elapsed.as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2()
}

/// The cheaper of two of `candidates` drawn at random; none where there are none.
pub(crate) fn choose<T: Copy>(candidates: &[T], cost: impl Fn(T) -> f64) -> Option<T> {
    if candidates.len() < 2 {
        return candidates.first().copied();
    }
    let first = fastrand::usize(..candidates.len());
    // Drawn from the others only, so that the two differ.
    let second = (first + fastrand::usize(1..candidates.len())) % candidates.len();
    let (first, second) = (candidates[first], candidates[second]);
    Some(if cost(second) * CLEARLY < cost(first) { second } else { first })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dearest_of_all_is_never_chosen() {
        let costs = [3.0, 1.0, 2.0];
        assert!((0..200).all(|_| choose(&[0, 1, 2], |n| costs[n]).unwrap() != 0));
        assert_eq!(choose(&[2], |n: usize| costs[n]), Some(2));
        assert_eq!(choose(&[], |n: usize| costs[n]), None);
    }

    #[test]
    fn a_slow_instance_costs_more_and_is_forgiven_with_time() {
        let now = Instant::now();
        let (mut slow, mut fast) = (Latency::default(), Latency::default());
        for _ in 0..50 {
            slow.record(Duration::from_secs(2), now);
            fast.record(Duration::from_millis(20), now);
        }
        let quickest = Duration::from_millis(20);
        assert!(slow.cost(0, quickest, now) > fast.cost(9, quickest, now));
        let later = now + HALF_LIFE * 12;
        assert!(slow.cost(0, quickest, later) < fast.cost(3, quickest, later));
    }

    #[test]
    fn an_instance_that_has_not_scanned_yet_gets_its_share() {
        let now = Instant::now();
        let (new, mut known) = (Latency::default(), Latency::default());
        known.record(Duration::from_millis(3), now);
        let cost = |n: usize| [&new, &known][n].cost(0, Duration::from_millis(3), now);
        let chosen = (0..200).filter(|_| choose(&[0, 1], cost) == Some(0)).count();
        assert!((50..150).contains(&chosen), "{chosen} of 200");
    }

    #[test]
    fn the_average_follows_the_load() {
        let now = Instant::now();
        let mut latency = Latency::default();
        latency.record(Duration::from_secs(1), now);
        assert_eq!(latency.average(), Some(Duration::from_secs(1)));
        (0..100).for_each(|_| latency.record(Duration::from_millis(100), now));
        assert!(latency.average().unwrap() < Duration::from_millis(110));
    }
}
