// SPDX-License-Identifier: GPL-3.0-or-later
//! Candidates for the passwords of samples that wait or are scanned. Bounded in number and time, and gone with the answer.

use crate::sample::SampleKey;
use moka::sync::Cache;
use secrecy::{ExposeSecret as _, SecretString};
use std::{sync::Arc, time::Duration};

/// Candidates of one sample: those of four messages.
const MOST: usize = 256;
/// Samples with candidates; beyond them the oldest go.
const SAMPLES: u64 = 1000;

/// The candidates by sample.
pub(super) struct Passwords(Cache<SampleKey, Arc<Vec<SecretString>>>);

impl Passwords {
    /// Each is kept for `life` at most.
    pub(super) fn new(life: Duration) -> Self {
        Self(Cache::builder().max_capacity(SAMPLES).time_to_live(life).build())
    }

    /// Adds those that are new, behind the others.
    pub(super) fn offer(&self, key: &SampleKey, passwords: Vec<SecretString>) {
        let mut all = self.of(key);
        for password in passwords {
            let known = all.iter().any(|other| other.expose_secret() == password.expose_secret());
            if !known && all.len() < MOST {
                all.push(password);
            }
        }
        self.0.insert(key.clone(), Arc::new(all));
    }

    /// Those of one sample.
    pub(super) fn of(&self, key: &SampleKey) -> Vec<SecretString> {
        self.0.get(key).map(|all| Vec::clone(&all)).unwrap_or_default()
    }

    /// The sample has its answer.
    pub(super) fn forget(&self, key: &SampleKey) {
        self.0.invalidate(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{digest::Digest, sample::NameHint};

    #[test]
    fn joiners_add_to_what_is_there_up_to_a_bound_and_the_answer_ends_it() {
        let passwords = Passwords::new(Duration::from_secs(60));
        let key = SampleKey { digest: Digest::of(b"zip"), hint: NameHint::None };
        let words = |range: std::ops::Range<u32>| range.map(|it| it.to_string().into()).collect();
        passwords.offer(&key, words(0..3));
        passwords.offer(&key, words(2..5));
        let shown: Vec<String> = passwords.of(&key).iter().map(|it| it.expose_secret().to_owned()).collect();
        assert_eq!(shown, ["0", "1", "2", "3", "4"]);
        passwords.offer(&key, words(0..1000));
        assert_eq!(passwords.of(&key).len(), MOST);
        passwords.forget(&key);
        assert!(passwords.of(&key).is_empty());
    }
}
