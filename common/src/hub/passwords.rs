// SPDX-License-Identifier: GPL-3.0-or-later
//! Candidates for the password of a sample, as several messages offered them.

use secrecy::{ExposeSecret as _, SecretString};
use std::collections::HashSet;

/// Messages whose candidates are kept beside one sample; of 64 each.
pub(super) const MESSAGES: usize = 4;

/// Those of all messages, each once: the likeliest of each before any that is less likely.
pub(super) fn interleaved(lists: &[Vec<SecretString>]) -> Vec<SecretString> {
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for rank in 0..longest {
        for password in lists.iter().filter_map(|list| list.get(rank)) {
            if seen.insert(password.expose_secret()) {
                all.push(password.clone());
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_of_each_message_come_first_and_none_twice() {
        let list = |words: &[&str]| words.iter().map(|word| SecretString::from(*word)).collect::<Vec<_>>();
        let all = interleaved(&[list(&["a", "b", "c"]), list(&["x", "a"]), Vec::new()]);
        let shown: Vec<&str> = all.iter().map(|password| password.expose_secret()).collect();
        assert_eq!(shown, ["a", "x", "b", "c"]);
    }
}
