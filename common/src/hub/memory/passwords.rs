// SPDX-License-Identifier: GPL-3.0-or-later
//! Candidates for the passwords of samples that wait or are scanned. Bounded in number and time, and gone with the answer.

use crate::{
    hub::passwords::{MESSAGES, interleaved},
    sample::SampleKey,
};
use moka::sync::Cache;
use secrecy::SecretString;
use std::{sync::Arc, time::Duration};

/// Samples with candidates; beyond them the oldest go.
const SAMPLES: u64 = 1000;

/// The candidates by sample: a list for each message.
pub(super) struct Passwords(Cache<SampleKey, Arc<Vec<Vec<SecretString>>>>);

impl Passwords {
    /// Each is kept for `life` at most.
    pub(super) fn new(life: Duration) -> Self {
        Self(Cache::builder().max_capacity(SAMPLES).time_to_live(life).build())
    }

    /// Adds those of one more message, if there is room.
    pub(super) fn offer(&self, key: &SampleKey, passwords: Vec<SecretString>) {
        let mut lists = self.0.get(key).map(|lists| Vec::clone(&lists)).unwrap_or_default();
        if lists.len() < MESSAGES {
            lists.push(passwords);
            self.0.insert(key.clone(), Arc::new(lists));
        }
    }

    /// Those of one sample.
    pub(super) fn of(&self, key: &SampleKey) -> Vec<SecretString> {
        self.0.get(key).map(|lists| interleaved(&lists)).unwrap_or_default()
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
        for message in 0..10 {
            passwords.offer(&key, vec![format!("word {message}").into()]);
        }
        assert_eq!(passwords.of(&key).len(), MESSAGES);
        passwords.forget(&key);
        assert!(passwords.of(&key).is_empty());
    }
}
