// SPDX-License-Identifier: GPL-3.0-or-later
//! What the stand-in was sent: the proof of "one scan for one sample".

use serde_json::{Value, json};
use std::collections::BTreeMap;
use thundergate_common::digest::Digest;

/// All scans since the start of the process.
#[derive(Debug, Default)]
pub struct Uploads {
    count: BTreeMap<Digest, u64>,
    names: Vec<String>,
}

impl Uploads {
    /// Notes one scan.
    pub fn note(&mut self, digest: Digest, name: &str) {
        *self.count.entry(digest).or_default() += 1;
        self.names.push(name.to_owned());
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

    /// `{"total": 2, "uploads": {"<digest>": 2}, "names": ["a.pdf", "b.pdf"]}`
    pub fn to_json(&self) -> Value {
        json!({ "total": self.total(), "uploads": self.by_digest(), "names": self.names })
    }
}
