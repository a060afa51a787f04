// SPDX-License-Identifier: GPL-3.0-or-later
//! Who is behind with signatures. An instance is behind since the first of all known versions that are newer than its own
//! was first seen. Weeks may lie between two versions, so their distance says nothing; and a version counts from when this
//! site has it, or an update that reaches the instances one after the other would make each of them late at once. Only
//! where nothing at all was known before (a new site, or a Redis that lost its memory) a version's own date counts, where
//! it is one: who was late stays late.
//!
//! The healthy instance with the newest version is never behind, so not all healthy ones are late at once.

use crate::{
    generation::{InstanceReport, InstanceState},
    licence,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    time::{Duration, UNIX_EPOCH},
};

/// After so long behind the newest signatures an instance is worth a warning.
pub const BEHIND: Duration = Duration::from_secs(6 * 3600);
/// So many versions are kept, the newest.
const MOST: usize = 64;

/// How far an instance is behind the newest signatures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delay {
    /// Not for long.
    #[default]
    None,
    /// For [`BEHIND`].
    Behind,
    /// For `farm.lag`: it gets no mail.
    Late,
}

/// The versions that instances have had, and since when each is known, in seconds since the epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Versions(BTreeMap<String, u64>);

impl Versions {
    /// An instance has `version` at `now`; `is_new_here` where nothing was known before.
    pub(super) fn learn(&mut self, version: &str, now: u64, is_new_here: bool) {
        let first = || if is_new_here { date(version).map_or(now, |date| date.min(now)) } else { now };
        self.0.entry(version.to_owned()).or_insert_with(first);
        while self.0.len() > MOST {
            self.0.pop_first();
        }
    }

    /// Whether none is known.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Since when there has been a newer version than `own`, up to `newest`.
    pub(super) fn behind_since(&self, own: &str, newest: &str) -> Option<u64> {
        let newer = self.0.iter().filter(|(version, _)| version.as_str() > own && version.as_str() <= newest);
        newer.map(|(_, first_seen)| *first_seen).min()
    }
}

impl Delay {
    /// Of an instance that has been behind for so long.
    pub(super) fn after(behind: Duration, lag: Duration) -> Self {
        if lag.is_zero() {
            Self::None
        } else if behind > lag {
            Self::Late
        } else if behind > BEHIND {
            Self::Behind
        } else {
            Self::None
        }
    }
}

/// Whether an instance's signatures say what the farm could have: a late one would be healthy but for them, a blind one
/// proves nothing.
pub(super) fn count(report: &InstanceReport) -> bool {
    report.state == InstanceState::Late || (report.healthy && report.state != InstanceState::Blind)
}

/// The date in a version such as `2026/01/12-160550`, in seconds since the epoch.
fn date(version: &str) -> Option<u64> {
    Some(licence::ends(version)?.duration_since(UNIX_EPOCH).ok()?.as_secs())
}
