// SPDX-License-Identifier: GPL-3.0-or-later
//! Hostile mails: clean by every rule, but what is attached to them does something to the scanner that reads it.
//!
//! They have numbers and senders of their own, so that whatever is written down about one says that it is hostile, and of
//! which kind. Their bytes follow from the seed and the number, and no two of their samples are alike. How often they come
//! and how many samples they have is hard on a site, but leaves it enough scanners for everybody else.

use super::kind::Kind;
use fastrand::Rng;
use std::{ops::RangeInclusive, time::Duration};
use thundergate_harness::{mails::noise, thunderstorm::Hostility};

/// Mails from this number on are hostile.
pub const FIRST: u32 = 2_000_000;
/// So many numbers has each kind.
const NUMBERS: u32 = 100_000;

/// How long an instance is away after a sample that killed it.
pub const RESTART: Duration = Duration::from_secs(2);
/// How long a slow sample keeps a thread: longer than `farm.timeout`.
pub const SLOW: Duration = Duration::from_secs(8);

/// What is sent during a fault.
#[derive(Debug)]
pub struct Attack {
    /// What its samples do; each does one of these.
    pub does: &'static [Hostility],
    /// How many samples a mail has.
    pub samples: RangeInclusive<usize>,
    /// A mail is sent every so often.
    pub every: Duration,
}

static REFUSING: Attack = Attack {
    does: &[Hostility::Refused, Hostility::Error, Hostility::HungUp],
    samples: 1..=6,
    every: Duration::from_secs(2),
};
/// Three samples at once could kill every instance at once, and then nobody can scan anything.
static CRASHING: Attack =
    Attack { does: &[Hostility::Crash], samples: 1..=2, every: Duration::from_secs(10) };
/// Two uploads each for [`SLOW`]: about half of all threads.
static SLOWING: Attack = Attack { does: &[Hostility::Slow], samples: 1..=6, every: Duration::from_secs(5) };

/// What is sent during a fault of this kind; none: nothing.
pub fn attack(kind: Kind) -> Option<&'static Attack> {
    match kind {
        Kind::Refusing => Some(&REFUSING),
        Kind::Crashing => Some(&CRASHING),
        Kind::Slow => Some(&SLOWING),
        _ => None,
    }
}

/// The number of the kind's mail `number`.
pub fn mail(kind: Kind, number: u32) -> u32 {
    FIRST + kind as u32 * NUMBERS + number % NUMBERS
}

/// The kind of a hostile mail; none: it is not hostile.
pub fn kind_of(mail: u32) -> Option<Kind> {
    let kind = mail.checked_sub(FIRST)? / NUMBERS;
    super::kind::ALL.into_iter().find(|one| *one as u32 == kind)
}

/// What is attached to a hostile mail; nothing to any other.
pub fn attachments(seed: u64, mail: u32) -> Vec<(Vec<u8>, &'static str)> {
    let Some(attack) = kind_of(mail).and_then(attack) else { return Vec::new() };
    let mut random = Rng::with_seed(seed ^ (u64::from(mail) << 20));
    let samples = random.usize(attack.samples.clone());
    (0..samples).map(|_| (sample(&mut random, attack), "bin")).collect()
}

fn sample(random: &mut Rng, attack: &Attack) -> Vec<u8> {
    let does = attack.does[random.usize(..attack.does.len())];
    let bytes = noise(random.u64(..), random.usize(200..6_000));
    [b"hostile: ".to_vec(), bytes, does.mark().into()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_mail_says_of_which_kind_it_is() {
        for kind in [Kind::Refusing, Kind::Crashing, Kind::Slow] {
            assert_eq!(kind_of(mail(kind, 0)), Some(kind));
            assert_eq!(kind_of(mail(kind, NUMBERS - 1)), Some(kind));
        }
        assert_eq!((kind_of(0), kind_of(super::super::corpus::PROBES)), (None, None));
    }

    #[test]
    fn every_hostile_sample_has_a_mark_and_none_comes_twice() {
        let all: Vec<_> = (0..20).flat_map(|number| attachments(7, mail(Kind::Refusing, number))).collect();
        assert_eq!(all, (0..20).flat_map(|n| attachments(7, mail(Kind::Refusing, n))).collect::<Vec<_>>());
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        for does in REFUSING.does {
            assert!(all.iter().any(|(bytes, _)| bytes.ends_with(does.mark().as_bytes())), "{does:?}");
        }
    }
}
