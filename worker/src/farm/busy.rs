// SPDX-License-Identifier: GPL-3.0-or-later
//! One line when the whole farm is too busy: scanners refuse samples (503, 429) and have scanned none for some seconds;
//! and one when a sample is scanned again. A busy instance is no failure, so nothing else would say why mail waits.

use std::{
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// How long no sample was scanned while some were refused.
const TOLD_AFTER: Duration = Duration::from_secs(5);

/// Whether the farm is too busy, and whether that was told.
#[derive(Debug, Default)]
pub(crate) struct Busy(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The first refusal since the last scan.
    since: Option<Instant>,
    told: bool,
}

impl Busy {
    /// A sample was scanned.
    pub(crate) fn scanned(&self) {
        let mut state = self.lock();
        state.since = None;
        if std::mem::take(&mut state.told) {
            tracing::info!("The scanners take samples again");
        }
    }

    /// An instance was too busy for a sample.
    pub(crate) fn refused(&self, now: Instant) {
        if let Some(seconds) = self.lock().refused(now) {
            tracing::warn!(
                farm.busy_s = seconds,
                "Every scanner is too busy (503 or 429): no sample was scanned for some seconds, mail waits"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while it holds the state")
    }
}

impl State {
    /// For how many seconds the farm has been too busy, where that is to be told now.
    fn refused(&mut self, now: Instant) -> Option<u64> {
        let since = *self.since.get_or_insert(now);
        let long = now.saturating_duration_since(since);
        if self.told || long < TOLD_AFTER {
            return None;
        }
        self.told = true;
        Some(long.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_farm_that_is_too_busy_is_told_once_and_a_scan_begins_anew() {
        let (mut state, began) = (State::default(), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        assert_eq!([0, 4, 5, 6].map(|seconds| state.refused(at(seconds))), [None, None, Some(5), None]);
        state = State::default();
        assert_eq!([7, 11, 12].map(|seconds| state.refused(at(seconds))), [None, None, Some(5)]);
    }
}
