// SPDX-License-Identifier: GPL-3.0-or-later
//! What is held against a sample that could not be scanned, so that each retry of its mail does not cost the farm another
//! upload. Only a failure that was proved to be the sample's own is remembered.
//!
//! A sample that an instance closed on in mid-scan, or that took too long, is a suspect: from its first failure on it is
//! scanned alone. While that is a mere suspicion nothing is remembered; after a second failure the sample has failed, and
//! each period in which it fails again is twice as long as the one before, up to [`LONGEST`].
//!
//! Wire form in Redis: JSON with a version, as [`wire`](crate::wire) says. What cannot be read is no record: the sample
//! is scanned once more.

use crate::generation::Generation;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The longest period for which a suspect has failed, and how long beyond its end it stays a suspect.
pub const LONGEST: Duration = Duration::from_secs(3600);

/// What is known of a sample that could not be scanned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FailedSample {
    /// Why, for people.
    pub reason: String,
    /// The instance that could not scan it last; empty where that is unknown.
    pub instance: String,
    /// When, in seconds since the epoch.
    pub failed_at: u64,
    /// Until when the sample counts as failed, in seconds since the epoch. 0: it is only suspected, and scanned.
    pub until: u64,
    /// An instance closed in mid-scan, or took too long: it is scanned alone.
    pub suspect: bool,
    /// In how many periods it has failed.
    pub times: u32,
    /// The farm's generation, as the worker knew it then: other signatures may do better.
    pub generation: Generation,
}

impl FailedSample {
    /// Whether the sample counts as failed: its period is not over, and the farm's generation is still the same.
    pub fn holds(&self, generation: &Generation, now: u64) -> bool {
        now < self.until && self.generation.is_as_new_as(generation)
    }

    /// How long the record itself is kept. A suspect's outlives its period, so that the next one can be longer.
    pub fn life(&self, now: u64) -> Duration {
        let period = Duration::from_secs(self.until.saturating_sub(now));
        if self.suspect || self.until == 0 { period.saturating_add(LONGEST) } else { period }
    }
}

/// How long a suspect counts as failed in its period number `times`, of which the first is 1: `failed_ttl`, doubled with
/// each further one up to [`LONGEST`].
pub fn pause(failed_ttl: Duration, times: u32) -> Duration {
    let doublings = times.saturating_sub(1).min(31);
    failed_ttl.saturating_mul(1 << doublings).min(LONGEST).max(failed_ttl)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Versioned;

    fn generation(signatures: &str, bumped_at: u64) -> Generation {
        Generation { signatures: Some(signatures.to_owned()), bumped_at, ..Generation::default() }
    }

    fn failed(until: u64, suspect: bool) -> FailedSample {
        FailedSample {
            reason: "it answered 400".to_owned(),
            instance: "thor1".to_owned(),
            failed_at: 100,
            until,
            suspect,
            times: 1,
            generation: generation("2026/01/12", 5),
        }
    }

    #[test]
    fn a_failure_holds_until_its_time_is_over() {
        let same = generation("2026/01/12", 5);
        assert!(failed(700, false).holds(&same, 699));
        assert!(!failed(700, false).holds(&same, 700));
        assert!(!failed(0, true).holds(&same, 0), "a suspicion holds nothing up");
    }

    #[test]
    fn another_generation_and_a_bump_forget_a_failure() {
        let failed = failed(700, false);
        assert!(!failed.holds(&generation("2026/01/13", 5), 101));
        assert!(!failed.holds(&generation("2026/01/12", 101), 101));
        assert!(!failed.holds(&Generation::default(), 101));
    }

    #[test]
    fn a_suspects_record_outlives_its_period() {
        let seconds = Duration::from_secs;
        assert_eq!(failed(700, false).life(100), seconds(600));
        assert_eq!(failed(700, true).life(100), seconds(600 + 3600));
        assert_eq!(failed(0, true).life(100), seconds(3600));
        assert_eq!(failed(700, false).life(900), seconds(0), "what is over is not kept");
        assert_eq!(failed(u64::MAX, true).life(0), Duration::from_secs(u64::MAX).saturating_add(LONGEST));
    }

    #[test]
    fn pauses_double_up_to_an_hour() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let pauses = [0, 1, 2, 3, 4, 5, u32::MAX].map(|times| pause(minutes(10), times));
        assert_eq!(pauses, [10, 10, 20, 40, 60, 60, 60].map(minutes));
        assert_eq!(pause(minutes(90), 3), minutes(90), "never less than the operator wants");
        assert_eq!(pause(Duration::MAX, 3), Duration::MAX);
    }

    #[test]
    fn a_record_travels_and_one_of_another_version_is_none() {
        let wire = Versioned::encode(failed(700, true));
        assert_eq!(Versioned::decode(&wire), Some(failed(700, true)));
        let newer = String::from_utf8(wire.clone()).unwrap().replace("\"v\":1", "\"v\":2");
        assert_eq!(Versioned::<FailedSample>::decode(newer.as_bytes()), None);
        assert_eq!(Versioned::<FailedSample>::decode(&wire[..wire.len() - 1]), None);
        let nearly_nothing = Versioned::<FailedSample>::decode(b"{\"v\":1,\"more\":1}");
        assert_eq!(nearly_nothing, Some(FailedSample::default()), "which holds nothing up");
    }
}
