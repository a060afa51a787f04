// SPDX-License-Identifier: GPL-3.0-or-later
//! What was found so far: the union of all readings, each thing once, in the order in which it was found.

use super::{
    ambiguity::Ambiguity,
    budget::Exceeded,
    leaf::Leaf,
    names::danger,
    outline::Step,
    part::{Content, Extraction, Part, Skipped},
    unopened::is_named_tar,
};
use std::collections::{HashMap, HashSet};
use thundergate_common::{digest::Digest, verdict::SkipReason};

/// Samples of one message that only the reading without structure finds.
const MOST_HIDDEN: usize = 16;

/// The union of what the readings found.
pub(crate) struct Found {
    extraction: Extraction,
    /// None where nobody wants to know.
    steps: Option<Vec<Step>>,
    samples: HashSet<(Digest, Option<String>)>,
    /// Each digest with the danger of its most dangerous name.
    dangers: HashMap<Digest, u8>,
    /// One part in two readings is skipped once.
    skipped: HashSet<(String, Option<String>, u64, SkipReason)>,
    in_doubt: bool,
    /// How many are hidden.
    hidden: usize,
}

/// Decoded bytes that are a sample, and why they could be read so.
pub(crate) struct Sample {
    pub(crate) digest: Digest,
    pub(crate) size: usize,
    pub(crate) why: Option<Ambiguity>,
    /// The container that it is, if nobody opens it.
    pub(crate) unopened: Option<&'static str>,
}

impl Found {
    /// Nothing yet. Steps are recorded where `explain`.
    pub(crate) fn new(explain: bool) -> Self {
        Self {
            extraction: Extraction::default(),
            steps: explain.then(Vec::new),
            samples: HashSet::new(),
            dangers: HashMap::new(),
            skipped: HashSet::new(),
            in_doubt: false,
            hidden: 0,
        }
    }

    /// Records a step, where anybody wants to know.
    pub(crate) fn note(&mut self, step: impl FnOnce() -> Step) {
        if let Some(steps) = &mut self.steps {
            steps.push(step());
        }
    }

    /// Records a kind of ambiguity.
    pub(crate) fn ambiguous(&mut self, kind: Ambiguity) {
        self.in_doubt |= !kind.is_local();
        if !self.extraction.ambiguities.contains(&kind) {
            self.extraction.ambiguities.push(kind);
        }
    }

    /// True where readers could differ about anything.
    pub(crate) fn is_ambiguous(&self) -> bool {
        !self.extraction.ambiguities.is_empty()
    }

    /// Readers could differ about the structure, although nothing shows that they do.
    pub(crate) fn doubt(&mut self) {
        self.in_doubt = true;
    }

    /// True where the message should be read without its structure.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// `content` of `leaf` is a sample under `name`. What the reading without structure finds is new only if it was not
    /// found under a name as dangerous.
    pub(crate) fn sample(&mut self, leaf: &Leaf, name: Option<&String>, content: &Content, sample: &Sample) {
        let harm = danger(name.map(String::as_str));
        let &Sample { digest, size, why, unopened } = sample;
        let size = size as u64;
        let hidden = why == Some(Ambiguity::Hidden);
        let new = self.samples.insert((digest, name.cloned()));
        let known = !new || hidden && self.dangers.get(&digest).is_some_and(|&known| known >= harm);
        self.note(|| Step::Sample {
            depth: leaf.depth,
            name: name.cloned(),
            within: leaf.within.clone(),
            decoding: content.decoding.as_str(),
            digest,
            size,
            why,
            known,
        });
        if known {
            return;
        }
        if hidden {
            self.ambiguous(Ambiguity::Hidden);
            if self.hidden == MOST_HIDDEN {
                self.ambiguous(Ambiguity::TooMany);
                return;
            }
            self.hidden += 1;
        }
        let most = self.dangers.entry(digest).or_insert(harm);
        *most = harm.max(*most);
        self.extraction.parts.push(Part {
            name: name.cloned(),
            within: leaf.within.clone(),
            media_type: leaf.media_type.clone(),
            size,
            digest,
            content: content.clone(),
            unopened: unopened.filter(|&kind| kind != "bzip2" || !name.is_some_and(|it| is_named_tar(it))),
        });
    }

    /// `leaf`, or something in it, is no sample.
    pub(crate) fn skip(&mut self, leaf: &Leaf, name: Option<&String>, size: usize, reason: SkipReason) {
        let size = size as u64;
        self.note(|| Step::Skipped { depth: leaf.depth, size, reason });
        let (name, media_type) = (name.cloned(), leaf.media_type.clone());
        if !self.skipped.insert((media_type.clone(), name.clone(), size, reason)) {
            return;
        }
        self.extraction.skipped.push(Skipped { name, media_type, size, reason });
    }

    /// Everything found, and how; the rest is said of the message as a whole.
    pub(crate) fn finish(self, malformed: Option<Exceeded>, held_bytes: usize) -> (Extraction, Vec<Step>) {
        let extraction = Extraction { malformed, held_bytes, ..self.extraction };
        (extraction, self.steps.unwrap_or_default())
    }
}
