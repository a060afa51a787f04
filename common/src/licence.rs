// SPDX-License-Identifier: GPL-3.0-or-later
//! When an instance's licence ends. THOR without a licence scans nothing, so an operator is told in time: in the log
//! once a day from 30 days before, by every worker, and in the metric
//! `thundergate_farm_instance_licence_expiry_timestamp_seconds`.
//!
//! Pure: the time comes in as an argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// From so many days before the end it is worth a warning.
const SOON: i64 = 30;

/// When the licence ends that `/api/info` speaks of in these words: `2021/01/30` (THOR 10) or `2026-07-08T00:00:00Z`
/// (API v1). A date alone is taken for its first moment in UTC. None for anything else, such as Go's year 1.
pub fn ends(words: &str) -> Option<SystemTime> {
    let date = words.get(..10)?.replace('/', "-");
    let precise = humantime::parse_rfc3339(words).ok();
    precise.or_else(|| humantime::parse_rfc3339(&format!("{date}T00:00:00Z")).ok())
}

/// Whole days from `now` to the end; below 0 once it has ended.
pub fn days_left(words: &str, now: SystemTime) -> Option<i64> {
    let seconds =
        |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    Some((seconds(ends(words)?) - seconds(now)).div_euclid(DAY.as_secs() as i64))
}

/// Says once a day that the licence of one instance ends soon.
#[derive(Debug, Default)]
pub struct Notice {
    said: Option<SystemTime>,
}

impl Notice {
    /// The days left, where that is worth a warning at `now`.
    pub fn due(&mut self, words: &str, now: SystemTime) -> Option<i64> {
        let days = days_left(words, now).filter(|days| *days < SOON)?;
        // A clock that was set back counts as a day.
        let fresh = self.said.and_then(|said| now.duration_since(said).ok()).is_some_and(|since| since < DAY);
        if fresh {
            return None;
        }
        self.said = Some(now);
        Some(days)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SystemTime {
        humantime::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn both_generations_of_the_api_are_read() {
        assert_eq!(ends("2021/01/30"), Some(at("2021-01-30T00:00:00Z")));
        assert_eq!(ends("2026-07-08T12:30:00Z"), Some(at("2026-07-08T12:30:00Z")));
        assert_eq!(ends("2026-07-08T12:30:00+02:00"), Some(at("2026-07-08T00:00:00Z")));
        assert_eq!(ends("2026-07-08"), Some(at("2026-07-08T00:00:00Z")));
        for nothing in ["", "never", "0001-01-01T00:00:00Z", "2026/13/01", "30.01.2021", "ääääääääää"]
        {
            assert_eq!(ends(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn days_are_whole_and_go_below_nothing() {
        let left = |now| days_left("2026/07/08", at(now));
        assert_eq!(left("2026-07-07T00:00:01Z"), Some(0));
        assert_eq!(left("2026-07-01T00:00:00Z"), Some(7));
        assert_eq!(left("2026-07-08T00:00:01Z"), Some(-1));
    }

    #[test]
    fn an_end_that_is_near_is_worth_a_warning_a_day() {
        let mut notice = Notice::default();
        let mut due = |now| notice.due("2026/07/08", at(now));
        assert_eq!(due("2026-06-07T23:59:59Z"), None);
        assert_eq!(due("2026-06-08T00:00:01Z"), Some(29));
        assert_eq!(due("2026-06-08T23:00:00Z"), None);
        assert_eq!(due("2026-06-09T00:00:01Z"), Some(28));
        assert_eq!(due("2026-07-09T00:00:00Z"), Some(-1));
        assert_eq!(due("2026-07-08T00:00:00Z"), Some(0), "the clock was set back");
    }
}
