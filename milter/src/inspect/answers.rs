// SPDX-License-Identifier: GPL-3.0-or-later
//! What one message knows of its samples while they are resolved.

use std::{collections::HashMap, sync::Arc};
use thundergate_common::{sample::SampleKey, verdict::Verdict};
use thundergate_policy::{Disposition, Failure, Source};

/// How one sample ended.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    /// Its disposition.
    pub disposition: Disposition,
    /// The verdict behind it, if there is one.
    pub verdict: Option<Arc<Verdict>>,
    /// Where it comes from.
    pub source: Source,
}

/// What is known so far.
#[derive(Default)]
pub(crate) struct Answers {
    /// How samples ended.
    pub known: HashMap<SampleKey, Resolved>,
    /// Samples decided on verdicts that are stale.
    pub stale: Vec<SampleKey>,
    /// Why no instance scans the rest.
    pub outage: Option<Arc<str>>,
}

impl Answers {
    /// A verdict, which is stale where it is from before the farm's generation.
    pub(crate) fn add(&mut self, key: &SampleKey, verdict: Arc<Verdict>, source: Source, stale: bool) {
        if stale {
            self.stale.push(key.clone());
        }
        let clean = verdict.is_clean();
        let disposition = if clean { Disposition::Clean } else { Disposition::Found(Arc::clone(&verdict)) };
        self.known.insert(key.clone(), Resolved { disposition, verdict: Some(verdict), source });
    }
}

/// A sample that failed.
pub(crate) fn fail(key: &SampleKey, failure: Failure, answers: &mut Answers) {
    let disposition = Disposition::Failed(failure);
    let resolved = Resolved { disposition, verdict: None, source: Source::None };
    answers.known.insert(key.clone(), resolved);
}
