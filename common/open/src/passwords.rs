// SPDX-License-Identifier: GPL-3.0-or-later
//! The passwords, in the order in which they are tried. One that fitted is the first from then on: what is sealed in a
//! container usually has one password. Where none fitted a few of its members, only such are tried of the others: a container
//! of a thousand members is sealed to us as soon as one of five.

use super::{answer::By, budget::Budget, request::ALWAYS, stop::Stop};
use secrecy::{ExposeSecret as _, SecretString};

/// Members of one container for which all passwords are tried in vain.
const MOST_FAILED: usize = 4;

/// What is tried.
pub(crate) struct Passwords {
    /// Those that fitted something first.
    all: Vec<(By, SecretString)>,
    fitted: usize,
    /// In this container.
    failed: usize,
}

impl Passwords {
    /// `candidates` with their index, then those that are always tried.
    pub(crate) fn new(candidates: impl IntoIterator<Item = (usize, SecretString)>) -> Self {
        let candidates = candidates.into_iter();
        let mut all: Vec<_> = candidates.map(|(index, password)| (By::Candidate(index), password)).collect();
        for (index, password) in ALWAYS.into_iter().enumerate() {
            if all.iter().all(|(_, other)| other.expose_secret() != password) {
                all.push((By::Always(index), password.into()));
            }
        }
        Self { all, fitted: 0, failed: 0 }
    }

    /// What is asked for from now on is for another container.
    pub(crate) fn next_container(&mut self) {
        self.failed = 0;
    }

    /// The first that `fits`, each at the price of so many rounds. `fits` stops the work where no password can help.
    pub(crate) fn first_that(
        &mut self,
        budget: &Budget,
        rounds: u64,
        mut fits: impl FnMut(&str) -> Result<bool, Stop>,
    ) -> Result<Option<By>, Stop> {
        let tried = if self.failed < MOST_FAILED { self.all.len() } else { self.fitted };
        for index in 0..tried {
            budget.allow_try(rounds)?;
            if fits(self.all[index].1.expose_secret())? {
                self.all[..=index].rotate_right(1);
                self.fitted += usize::from(index >= self.fitted);
                return Ok(Some(self.all[0].0));
            }
        }
        self.failed += 1;
        Ok(None)
    }
}

/// The bytes that a password may have in formats older than Unicode: in UTF-8, and in Latin 1, where that differs.
pub(crate) fn spellings(password: &str) -> Vec<Vec<u8>> {
    let mut spellings = vec![password.as_bytes().to_vec()];
    let latin: Result<Vec<u8>, _> = password.chars().map(u8::try_from).collect();
    spellings.extend(latin.ok().filter(|latin| latin != password.as_bytes()));
    spellings
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn budget() -> Budget {
        Budget::new(0, 0, 1, Duration::from_secs(60))
    }

    #[test]
    fn candidates_come_first_and_what_fitted_before_them() {
        let mut passwords = Passwords::new([(0, "Rechnung".into()), (1, "infected".into())]);
        let mut order = Vec::new();
        let by = passwords.first_that(&budget(), 0, |password| {
            order.push(password.to_owned());
            Ok(password == "1234")
        });
        assert_eq!(by, Ok(Some(By::Always(4))));
        assert_eq!(order, ["Rechnung", "infected", "", "VelvetSweatshop", "password", "1234"]);
        assert_eq!(passwords.first_that(&budget(), 0, |_| Ok(true)), Ok(Some(By::Always(4))));
        assert_eq!(
            passwords.first_that(&budget(), 0, |password| Ok(password == "infected")),
            Ok(Some(By::Candidate(1)))
        );
        assert_eq!(passwords.first_that(&budget(), 0, |_| Ok(false)), Ok(None));
    }

    #[test]
    fn after_a_few_in_vain_only_those_are_tried_that_fitted() {
        let mut passwords = Passwords::new([(0, "Rechnung".into())]);
        let mut tries = Vec::new();
        let _ = passwords.first_that(&budget(), 0, |password| Ok(password == "infected"));
        for _ in 0..MOST_FAILED + 2 {
            let mut tried = 0;
            let _ = passwords.first_that(&budget(), 0, |_| {
                tried += 1;
                Ok(false)
            });
            tries.push(tried);
        }
        assert_eq!(tries, [8, 8, 8, 8, 1, 1]);
        assert_eq!(passwords.first_that(&budget(), 0, |_| Ok(true)), Ok(Some(By::Always(1))));
        passwords.next_container();
        assert_eq!(
            passwords.first_that(&budget(), 0, |password| Ok(password.is_empty())),
            Ok(Some(By::EMPTY))
        );
    }

    #[test]
    fn old_formats_know_a_password_in_latin_1_too() {
        assert_eq!(spellings("Grüße"), ["Grüße".as_bytes(), b"Gr\xfc\xdfe"]);
        assert_eq!(spellings("plain"), [b"plain"]);
        assert_eq!(spellings("пароль").len(), 1);
    }
}
