// SPDX-License-Identifier: GPL-3.0-or-later
//! What the status page shows of this milter, beside the metrics: those are for a server that asks again and again and
//! remembers, this remembers ten minutes itself.
//!
//! A message costs some atomic additions. Only one that waits or brings a finding takes a lock, for a moment.

use crate::outcome::{inspection::Inspection, settings::Mode};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use thundergate_common::{
    admin::status::{Answers, Counted, Flow, Found, Sources, Unscanned, Waiting, short},
    clock::now_ms,
    sample::SampleKey,
    verdict::Verdict,
};
use thundergate_policy::{Action, Cause, Disposition, Source};
use tokio_util::sync::CancellationToken;

/// The time between two points of the history.
const STEP: Duration = Duration::from_secs(5);
/// Of a minute, and of ten.
const MINUTE: usize = 12;
const TEN_MINUTES: usize = 10 * MINUTE;
/// Findings and rules kept.
const FINDINGS: usize = 10;
const RULES: usize = 4;

/// What happens in this process.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    now: Counters,
    past: Mutex<VecDeque<Totals>>,
    findings: Mutex<VecDeque<Found>>,
    waits: Mutex<BTreeSet<(Instant, usize)>>,
    tickets: AtomicUsize,
    seats: AtomicUsize,
    passive: AtomicBool,
}

#[derive(Debug, Default)]
struct Counters {
    decisions: [AtomicU64; Action::ALL.len()],
    unscanned: [[AtomicU64; Action::ALL.len()]; Cause::UNSCANNED.len()],
    sources: [AtomicU64; Source::ALL.len()],
}

/// The counters at one time.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    decisions: [u64; Action::ALL.len()],
    unscanned: [[u64; Action::ALL.len()]; Cause::UNSCANNED.len()],
    sources: [u64; Source::ALL.len()],
}

/// A message that waits, as long as this lives.
pub(crate) struct Wait<'a> {
    activity: &'a Activity,
    since: (Instant, usize),
}

impl Activity {
    /// From now on the milter works as `config` says.
    pub(crate) fn configured(&self, mode: Mode, seats: usize) {
        self.seats.store(seats, Relaxed);
        self.passive.store(mode == Mode::Passive, Relaxed);
    }

    /// A message was decided on.
    pub(crate) fn decided(&self, queue_id: &str, inspection: &Inspection) {
        self.now.decisions[inspection.decision.action as usize].fetch_add(1, Relaxed);
        let action = inspection.action as usize;
        for (unscanned, counters) in inspection.unscanned().into_iter().zip(&self.now.unscanned) {
            if unscanned {
                counters[action].fetch_add(1, Relaxed);
            }
        }
        for part in &inspection.parts {
            self.now.sources[part.source as usize].fetch_add(1, Relaxed);
            if let (Disposition::Found(verdict), Some(key)) = (&part.disposition, &part.key) {
                self.found(found(key, verdict, queue_id, inspection.decision.action));
            }
        }
    }

    /// A message waits from now on.
    pub(crate) fn waits(&self) -> Wait<'_> {
        let since = (Instant::now(), self.tickets.fetch_add(1, Relaxed));
        lock(&self.waits).insert(since);
        Wait { activity: self, since }
    }

    /// Remembers the counters every [`STEP`], until `ended`.
    pub(crate) async fn remember(&self, ended: CancellationToken) {
        let mut steps = tokio::time::interval(STEP);
        while ended.run_until_cancelled(steps.tick()).await.is_some() {
            self.step();
        }
    }

    /// Whether decisions are only logged.
    pub(crate) fn passive(&self) -> bool {
        self.passive.load(Relaxed)
    }

    /// Mails by decision.
    pub(crate) fn flow(&self) -> Flow {
        let (now, past) = (self.now.totals(), self.past());
        let decisions = Action::ALL.iter().enumerate().map(|(action, name)| {
            let of = |totals: &Totals| totals.decisions[action];
            let steps = past.windows(2).map(|pair| of(&pair[1]) - of(&pair[0]));
            let counted = Counted {
                total: of(&now),
                last_minute: of(&now) - of(&ago(&past, MINUTE)),
                history: steps.collect(),
            };
            (name.as_str(), counted)
        });
        Flow { step_seconds: STEP.as_secs(), decisions: decisions.collect() }
    }

    /// What was not scanned, and what became of it.
    pub(crate) fn unscanned(&self) -> Vec<Unscanned> {
        let (now, past) = (self.now.totals(), self.past());
        let (minute, ten_minutes) = (ago(&past, MINUTE), ago(&past, TEN_MINUTES));
        let mut rows = Vec::new();
        for (i, cause) in Cause::UNSCANNED.iter().enumerate() {
            for (j, action) in Action::ALL.iter().enumerate() {
                let total = now.unscanned[i][j];
                rows.push(Unscanned {
                    cause: cause.as_str(),
                    action: action.as_str(),
                    last_minute: total - minute.unscanned[i][j],
                    last_ten_minutes: total - ten_minutes.unscanned[i][j],
                    total,
                    outcome: action.of_unscanned(),
                    reason: cause.reason(),
                });
            }
        }
        rows.retain(|row| row.total > 0);
        rows
    }

    /// Where answers came from.
    pub(crate) fn answers(&self) -> Answers {
        let (now, before) = (self.now.totals().sources, ago(&self.past(), TEN_MINUTES).sources);
        let sources = |of: &dyn Fn(usize) -> u64| Sources {
            local: of(Source::Local as usize),
            hub: of(Source::Hub as usize),
            joined: of(Source::Joined as usize),
            scan: of(Source::Scan as usize),
        };
        Answers {
            last_ten_minutes: sources(&|source| now[source] - before[source]),
            total: sources(&|source| now[source]),
        }
    }

    /// Who waits.
    pub(crate) fn waiting(&self) -> Waiting {
        let waits = lock(&self.waits);
        let oldest = waits.first().map(|(since, _)| since.elapsed().as_millis());
        Waiting {
            mails: waits.len(),
            seats: self.seats.load(Relaxed),
            oldest_ms: oldest.map(|age| u64::try_from(age).unwrap_or(u64::MAX)),
        }
    }

    /// The newest findings, newest first.
    pub(crate) fn findings(&self) -> Vec<Found> {
        lock(&self.findings).iter().rev().cloned().collect()
    }

    fn found(&self, found: Found) {
        let mut findings = lock(&self.findings);
        if findings.len() == FINDINGS {
            findings.pop_front();
        }
        findings.push_back(found);
    }

    fn step(&self) {
        let mut past = lock(&self.past);
        if past.len() == TEN_MINUTES {
            past.pop_front();
        }
        past.push_back(self.now.totals());
    }

    fn past(&self) -> Vec<Totals> {
        lock(&self.past).iter().copied().collect()
    }
}

impl Counters {
    fn totals(&self) -> Totals {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        Totals {
            decisions: self.decisions.each_ref().map(read),
            unscanned: self.unscanned.each_ref().map(|actions| actions.each_ref().map(read)),
            sources: self.sources.each_ref().map(read),
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        lock(&self.activity.waits).remove(&self.since);
    }
}

/// The counters so many steps ago; nothing was counted before the start.
fn ago(past: &[Totals], steps: usize) -> Totals {
    past.len().checked_sub(steps).map(|index| past[index]).unwrap_or_default()
}

fn found(key: &SampleKey, verdict: &Verdict, queue_id: &str, decision: Action) -> Found {
    let worst = verdict.findings.iter().max_by_key(|finding| finding.score);
    let rules = || verdict.findings.iter().flat_map(|finding| &finding.rules);
    Found {
        at_ms: now_ms(),
        sample: short(&key.to_string()),
        score: worst.map_or(0, |finding| finding.score),
        level: worst.map(|finding| short(&finding.level)).unwrap_or_default(),
        rules: rules().take(RULES).map(|rule| short(&rule.name)).collect(),
        rules_total: verdict
            .findings
            .iter()
            .map(|finding| finding.rules_total)
            .sum::<u64>()
            .max(rules().count() as u64),
        decision: decision.as_str(),
        queue_id: short(queue_id),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it holds the lock")
}

#[cfg(test)]
mod tests;
