// SPDX-License-Identifier: GPL-3.0-or-later
//! What the workers together know of instances that no report of one moment says: who missed the canary, who is behind
//! with signatures and since when, how large a file each scans. One worker at a time keeps it for all
//! ([`Worker::lead`](crate::hub::Worker::lead)); every worker reads it with each report. Times are the hub's, in seconds
//! since the epoch.
//!
//! * **Blind**: it answered a canary and found nothing. It gets no mail, and clean verdicts that it gave since its last
//!   good canary are stale ([`BlindSpan`]); all of them where it never had one.
//! * **Behind, then late**: it has been behind the newest signatures that any healthy instance reports for [`BEHIND`],
//!   then for `farm.lag`. A late one gets no mail and does not count for the generation.
//! * **In doubt**: all instances that answered a round missed. Then it is the canary that is wrong, and nobody leaves.
//!
//! Pure: what happens comes in as an argument, and what is to be told goes out as [`News`].

mod news;
mod signatures;

pub use news::{Lag, News};
pub use signatures::{BEHIND, Delay, Versions};

use crate::{
    blind::{self, BlindSpan},
    generation::{FarmReport, InstanceReport, InstanceState},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// In seconds: an instance that sees again gets mail once every process knows that. What it called clean before would be
/// scanned again for each mail.
const RETURN: u64 = 6;
/// After so long without a report an instance is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(30 * 24 * 3600);

/// What is known of all instances.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Oversight {
    /// By an instance's name.
    pub instances: BTreeMap<String, Known>,
    /// Signature versions, and since when each is known.
    pub versions: Versions,
    /// When instances gave clean verdicts that are not to be believed.
    pub spans: Vec<BlindSpan>,
    /// Since when all that answer a canary miss it.
    pub doubt: Option<u64>,
}

/// What is known of one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Known {
    /// When it was last reported.
    pub seen: u64,
    /// When it was last sent a canary.
    pub asked: Option<u64>,
    /// When it last answered one.
    pub answered: Option<u64>,
    /// When the last one was sent that it found.
    pub good: Option<u64>,
    /// Since when it does not find them.
    pub blind_since: Option<u64>,
    /// Since when it finds them again, while not every process knows of that yet.
    pub back_since: Option<u64>,
    /// Since when it reports no signature version while others do.
    pub nameless_since: Option<u64>,
    /// How far it is behind with signatures.
    pub delay: Delay,
    /// How large a file it scans, as far as that was tried.
    pub size: Option<SizeLimit>,
}

/// The largest file that an instance scans.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SizeLimit {
    /// In bytes.
    pub bytes: u64,
    /// Whether something was found in a file of that size.
    pub proved: bool,
    /// `farm.max_file_bytes` when it was tried; with another one it is tried again.
    pub configured: u64,
    /// THOR's version when it was tried; the same holds.
    pub thor: Option<String>,
}

/// One round of canaries: to all instances at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// When they were sent.
    pub sent: u64,
    /// When the last answer was there.
    pub ended: u64,
    /// Whether an instance found its canary, by its name; those that did not answer are not there.
    pub answers: BTreeMap<String, bool>,
}

impl Oversight {
    /// Why an instance gets no mail, if so.
    pub fn excluded(&self, instance: &str) -> Option<InstanceState> {
        let known = self.instances.get(instance)?;
        if known.blind_since.is_some() || known.back_since.is_some() {
            return Some(InstanceState::Blind);
        }
        (known.delay == Delay::Late).then_some(InstanceState::Late)
    }

    /// Those that get no mail and do not count for the generation.
    pub fn all_excluded(&self) -> BTreeSet<&str> {
        let names = self.instances.keys().map(String::as_str);
        names.filter(|name| self.excluded(name).is_some()).collect()
    }

    /// The largest file that an instance scans, where that was tried.
    pub fn size(&self, instance: &str) -> Option<&SizeLimit> {
        self.instances.get(instance)?.size.as_ref()
    }

    /// Takes note of what the workers report at `now`: of who is there, and of who is late by `lag` (0: nobody ever is).
    pub fn observe(&mut self, reports: &[FarmReport], now: u64, lag: Duration) -> Vec<News> {
        let newest = newest(reports);
        for name in newest.keys() {
            let known = self.instances.entry((*name).to_owned()).or_default();
            // To the minute: it is kept by the hub, and need not change with every look.
            if known.seen.saturating_add(60) <= now {
                known.seen = now;
            }
            known.back_since = known.back_since.filter(|since| since.saturating_add(RETURN) > now);
        }
        self.forget(now);
        let is_new_here = self.versions.is_empty();
        for version in newest.values().filter_map(|one| one.signatures.as_deref()) {
            self.versions.learn(version, now, is_new_here);
        }
        let counted = || newest.iter().filter(|(_, report)| signatures::count(report));
        let Some(ahead) = counted().filter_map(|(_, report)| report.signatures.as_deref()).max() else {
            return Vec::new();
        };
        counted().filter_map(|(name, report)| self.delay(name, report, ahead, now, lag)).collect()
    }

    /// Takes note of how far an instance is behind.
    fn delay(
        &mut self,
        name: &str,
        report: &InstanceReport,
        ahead: &str,
        now: u64,
        lag: Duration,
    ) -> Option<News> {
        let known = self.instances.get_mut(name)?;
        let since = match report.signatures.as_deref() {
            None => Some(*known.nameless_since.get_or_insert(now)),
            Some(own) => {
                known.nameless_since = None;
                self.versions.behind_since(own, ahead)
            }
        };
        let behind = Duration::from_secs(since.map_or(0, |since| now.saturating_sub(since)));
        let delay = Delay::after(behind, lag);
        if std::mem::replace(&mut known.delay, delay) == delay {
            return None;
        }
        let instance = name.to_owned();
        let lag = Lag { instance, signatures: report.signatures.clone(), newest: ahead.to_owned(), behind };
        Some(match delay {
            Delay::None => News::CaughtUp { instance: lag.instance },
            Delay::Behind => News::Behind(lag),
            Delay::Late => News::Late(lag),
        })
    }

    /// Takes note of a round of canaries.
    pub fn judge(&mut self, round: &Round) -> Vec<News> {
        for name in round.answers.keys() {
            self.instances.entry(name.clone()).or_default().answered = Some(round.ended);
        }
        if round.answers.values().any(|found| *found) {
            let certain = self.doubt.take().map(|_| News::Certain);
            let each = round.answers.iter().filter_map(|(name, found)| self.judge_one(name, *found, round));
            return certain.into_iter().chain(each.collect::<Vec<_>>()).collect();
        }
        // Of those that are blind already another miss says nothing about the canary.
        let seeing =
            |name: &&String| self.instances.get(*name).is_some_and(|known| known.blind_since.is_none());
        if self.doubt.is_some() || !round.answers.keys().any(|name| seeing(&name)) {
            return Vec::new();
        }
        self.doubt = Some(round.ended);
        vec![News::Doubt { instances: round.answers.keys().cloned().collect() }]
    }

    fn judge_one(&mut self, name: &str, found: bool, round: &Round) -> Option<News> {
        let known = self.instances.get_mut(name)?;
        match (found, known.blind_since) {
            (true, before) => {
                known.good = Some(round.sent);
                known.blind_since = None;
                before?;
                known.back_since = Some(round.ended);
                blind::close(&mut self.spans, name, round.ended);
                Some(News::Sees { instance: name.to_owned() })
            }
            (false, None) => {
                let from = known.good.unwrap_or(0);
                known.blind_since = Some(round.ended);
                known.back_since = None;
                blind::open(&mut self.spans, name, from);
                Some(News::Blind { instance: name.to_owned(), from })
            }
            (false, Some(_)) => None,
        }
    }

    fn forget(&mut self, now: u64) {
        let is_gone = |known: &Known| known.seen.saturating_add(FORGOTTEN.as_secs()) < now;
        for (name, known) in self.instances.iter().filter(|(_, known)| is_gone(known)) {
            blind::close(&mut self.spans, name, known.seen);
        }
        self.instances.retain(|_, known| !is_gone(known));
    }

    /// Forgets spans of which no clean verdict can be alive at `now`, where one lives for `clean_ttl`.
    pub(crate) fn prune(&mut self, now: u64, clean_ttl: Duration) {
        self.spans.retain(|span| span.to.is_none_or(|to| to.saturating_add(clean_ttl.as_secs()) >= now));
    }
}

/// Each instance as the newest report has it, or rather the newest by which it counts: workers may see it otherwise.
fn newest(reports: &[FarmReport]) -> BTreeMap<&str, &InstanceReport> {
    let mut reports: Vec<_> = reports.iter().collect();
    reports.sort_by_key(|report| report.at);
    let mut newest = BTreeMap::<&str, &InstanceReport>::new();
    for instance in reports.iter().flat_map(|report| &report.instances) {
        let known = newest.entry(instance.name.as_str()).or_insert(instance);
        if signatures::count(instance) || !signatures::count(known) {
            *known = instance;
        }
    }
    newest
}

#[cfg(test)]
mod tests;
