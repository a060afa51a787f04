// SPDX-License-Identifier: GPL-3.0-or-later
//! What the stand-in was sent: the proof of "one scan for one sample".
//!
//! Workers have samples of their own scanned too, to see whether an instance works. Their `source` says so, and they are
//! counted apart, so that a test which counts the samples of mail need not know when the workers look.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use thundergate_common::digest::Digest;

/// What the `source` of a worker's own sample begins with: `thundergate-proof`, `thundergate-canary`, `thundergate-size`.
const OWN: &str = "thundergate-";
/// The `source` of the sample that a worker has scanned because the scan of another one failed.
const PROOF: &str = "thundergate-proof";

/// Whose sample is scanned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Something that mail brought.
    #[default]
    Mail,
    /// A sample of the worker's own, with its `source`.
    Own(String),
}

/// All scans since the start of the process.
#[derive(Debug, Default)]
pub struct Uploads {
    count: BTreeMap<Digest, u64>,
    names: Vec<String>,
    own: BTreeMap<String, u64>,
}

impl Origin {
    /// As the query of a request tells.
    pub fn of_query(query: Option<&str>) -> Self {
        let mut pairs = query.unwrap_or_default().split('&');
        match pairs.find_map(|pair| pair.strip_prefix("source=")) {
            Some(source) if source.starts_with(OWN) => Self::Own(source.to_owned()),
            _ => Self::Mail,
        }
    }

    /// A sample that is sent now and then, whatever became of others. Proofs are not: they follow a failure.
    pub fn comes_by_itself(&self) -> bool {
        matches!(self, Self::Own(source) if source != PROOF)
    }
}

impl Uploads {
    /// Notes one scan.
    pub fn note(&mut self, origin: &Origin, digest: Digest, name: &str) {
        match origin {
            Origin::Own(source) => *self.own.entry(source.clone()).or_default() += 1,
            Origin::Mail => {
                *self.count.entry(digest).or_default() += 1;
                self.names.push(name.to_owned());
            }
        }
    }

    /// How often each digest came.
    pub fn by_digest(&self) -> BTreeMap<String, u64> {
        self.count.iter().map(|(digest, count)| (digest.to_string(), *count)).collect()
    }

    /// How often this digest came.
    pub fn of(&self, digest: &Digest) -> u64 {
        self.count.get(digest).copied().unwrap_or_default()
    }

    /// How many came in all.
    pub fn total(&self) -> u64 {
        self.count.values().sum()
    }

    /// Their names, in the order of their arrival.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How many samples of the workers' own came, by their `source`.
    pub fn own(&self) -> &BTreeMap<String, u64> {
        &self.own
    }

    /// `{"total": 2, "uploads": {"<digest>": 2}, "names": ["a.pdf", "b.pdf"], "own": {"thundergate-proof": 1}}`
    pub fn to_json(&self) -> Value {
        json!({ "total": self.total(), "uploads": self.by_digest(), "names": self.names, "own": self.own })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_of_a_request_says_whose_sample_it_is() {
        let own = |query| Origin::of_query(Some(query));
        assert_eq!(own("source=thundergate-proof"), Origin::Own("thundergate-proof".to_owned()));
        assert_eq!(own("a=b&source=thundergate-canary&c"), Origin::Own("thundergate-canary".to_owned()));
        assert_eq!(own("source=mx1.thundergate-site.example"), Origin::Mail);
        assert_eq!(Origin::of_query(None), Origin::Mail);
        assert!(own("source=thundergate-size").comes_by_itself());
        assert!(!own("source=thundergate-proof").comes_by_itself() && !Origin::Mail.comes_by_itself());
    }
}
