// SPDX-License-Identifier: GPL-3.0-or-later
//! The mails of a run: what is attached, and what must become of them.
//!
//! Every mail follows from the seed and its number, so a retry and a replay send the same bytes. Most attachments repeat,
//! the first of the list most often; some are unique, some mails carry two. With [`POLICY`] a mail is held if a rule
//! that scores 65 or more matches any attachment, and accepted otherwise. One pair has the same bytes under two names:
//! only one of them is bad.

use super::hostile;
use fastrand::Rng;
use std::{collections::BTreeMap, sync::Arc};
use thundergate_common::digest::Digest;
use thundergate_harness::{
    mails::{eicar, mail, noise},
    thunderstorm::{SINCE, Settings},
};

/// What milters of a run must be told.
pub const POLICY: &str = "policy.quarantine = \"FullMatch.Score >= 65\"\n";

/// Mails from this number on are probes: one small, clean attachment that no other mail has. See also
/// [`hostile::FIRST`].
pub const PROBES: u32 = 1_000_000;

const MEDIA_TYPE: &str = "application/octet-stream";
const REPEATED: usize = 60;
const PAIRS: usize = 24;
const EXTENSIONS: [&str; 5] = ["pdf", "docx", "xlsx", "png", "bin"];
const UNIQUE_PERCENT: u32 = 12;
/// Where most mails shall need a scanner.
const FRESH_PERCENT: u32 = 60;
const PAIR_PERCENT: u32 = 10;

/// An attachment and the truth about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The name under which a scanner gets it: `<digest>.<extension>`.
    pub upload_name: String,
    /// Whether the scanner's rules report anything.
    pub found: bool,
    /// Whether that is enough to hold the mail.
    pub bad: bool,
}

/// A mail that is ready to be sent.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Header and body.
    pub message: Arc<Vec<u8>>,
    /// What is attached.
    pub items: Vec<Arc<Item>>,
}

/// All mails of a run.
pub struct Corpus {
    seed: u64,
    singles: Vec<Letter>,
    pairs: Vec<Letter>,
    unique_percent: u32,
    /// The first mails attach one after the other, so that none is left out.
    in_turn: bool,
}

impl Letter {
    fn of(attachments: &[(Vec<u8>, &str)]) -> Self {
        let mut message = mail();
        let mut items = Vec::new();
        for (number, (bytes, extension)) in attachments.iter().enumerate() {
            message = message.attach(&format!("attachment{number}.{extension}"), MEDIA_TYPE, bytes.clone());
            items.push(Arc::new(truth(bytes, extension)));
        }
        Self { message: Arc::new(message.bytes()), items }
    }

    /// Whether it must be held; else it must be accepted.
    pub fn must_be_held(&self) -> bool {
        self.items.iter().any(|item| item.bad)
    }
}

impl Corpus {
    /// Repeated and unique attachments of all sizes up to 1 MiB.
    pub fn new(seed: u64) -> Self {
        let repeated: Vec<_> = (0..REPEATED).map(|number| attachment(seed, number)).collect();
        let mut random = Rng::with_seed(seed);
        let mut pick = || repeated[random.usize(..REPEATED - 6)].clone(); // the large ones go alone
        let pairs = (0..PAIRS).map(|_| Letter::of(&[pick(), pick()])).collect();
        let singles = repeated.iter().map(|one| Letter::of(std::slice::from_ref(one))).collect();
        Self { seed, singles, pairs, unique_percent: UNIQUE_PERCENT, in_turn: false }
    }

    /// The same, but most attachments are unique: what goes wrong with a scanner meets more mails.
    pub fn fresh(seed: u64) -> Self {
        Self { unique_percent: FRESH_PERCENT, ..Self::new(seed) }
    }

    /// So many attachments, one a mail, each of which occurs in the first mails.
    pub fn distinct(seed: u64, attachments: usize) -> Self {
        let one = |number| Letter::of(&[attachment(seed, number)]);
        let singles = (0..attachments).map(one).collect();
        Self { seed, singles, pairs: Vec::new(), unique_percent: 0, in_turn: true }
    }

    /// The mail of this number.
    pub fn letter(&self, number: u32) -> Letter {
        let mut random = Rng::with_seed(self.seed ^ (u64::from(number) << 20));
        let kind = random.u32(..100);
        if number >= hostile::FIRST {
            return Letter::of(&hostile::attachments(self.seed, number));
        }
        if number >= PROBES {
            return Letter::of(&[(clean(random.u64(..), 3_000), "bin")]);
        }
        if self.in_turn && (number as usize) < self.singles.len() {
            return self.singles[number as usize].clone();
        }
        if kind < self.unique_percent {
            return Letter::of(&[unique(&mut random)]);
        }
        if kind < self.unique_percent + PAIR_PERCENT && !self.pairs.is_empty() {
            return self.pairs[random.usize(..self.pairs.len())].clone();
        }
        let skewed = random.f64().powi(3) * self.singles.len() as f64;
        self.singles[skewed as usize].clone()
    }

    /// The truth about everything attached to the mails of these numbers, by upload name.
    pub fn truths(&self, numbers: impl Iterator<Item = u32>) -> BTreeMap<String, Arc<Item>> {
        let items = numbers.flat_map(|number| self.letter(number).items);
        items.map(|item| (item.upload_name.clone(), item)).collect()
    }
}

/// One of the repeated attachments; a few of the last are large.
fn attachment(seed: u64, number: usize) -> (Vec<u8>, &'static str) {
    let id = seed.wrapping_mul(1_000).wrapping_add(number as u64);
    let size = if number % REPEATED >= REPEATED - 4 { 1 << 20 } else { 500 + (number * 911) % 14_000 };
    let marked = |mark: &str| [clean(id, size), mark.as_bytes().to_vec()].concat();
    match number % 10 {
        1 => (variant(id), "com"),
        3 if number % 20 == 3 => (marked("THUNDERGATE-TEST-STRONG-1"), EXTENSIONS[number % 5]),
        3 => (marked(&new()), EXTENSIONS[number % 5]),
        5 => (marked("THUNDERGATE-TEST-SUSPICIOUS"), EXTENSIONS[number % 5]), // reported, but not enough to be held
        7 => (program(seed + number as u64 / 10), "pdf"),
        8 => (program(seed + number as u64 / 10), "exe"), // the same bytes under an honest name
        _ => (clean(id, size), EXTENSIONS[number % 5]),
    }
}

fn unique(random: &mut Rng) -> (Vec<u8>, &'static str) {
    let id = random.u64(..);
    match random.u32(..100) {
        0..10 => (variant(id), "com"),
        10..15 => ([clean(id, 3_000), new().into()].concat(), "bin"),
        15..17 => (clean(id, 200_000), "bin"),
        _ => (clean(id, random.usize(200..12_000)), EXTENSIONS[random.usize(..5)]),
    }
}

/// Noise that no rule knows, whatever its first bytes would have been.
fn clean(id: u64, size: usize) -> Vec<u8> {
    [b"clean: ".to_vec(), noise(id, size)].concat()
}

/// What signatures older than those that instances begin with do not know.
fn new() -> String {
    format!("{SINCE}{} THUNDERGATE-TEST-STRONG-1", Settings::default().signatures)
}

fn variant(id: u64) -> Vec<u8> {
    [eicar(), format!("\r\nvariant {id}").into_bytes()].concat()
}

fn program(id: u64) -> Vec<u8> {
    [b"MZ".to_vec(), noise(id, 4_000)].concat()
}

fn truth(bytes: &[u8], extension: &str) -> Item {
    let holds = |mark: &[u8]| bytes.windows(mark.len()).any(|window| window == mark);
    let bad = bytes.starts_with(&eicar())
        || holds(b"THUNDERGATE-TEST-STRONG")
        || (bytes.starts_with(b"MZ") && extension == "pdf");
    let found = bad || holds(b"THUNDERGATE-TEST-SUSPICIOUS");
    Item { upload_name: format!("{}.{extension}", Digest::of(bytes)), found, bad }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thundergate_harness::thunderstorm::Rules;

    #[test]
    fn the_stand_ins_rules_say_what_the_corpus_says() {
        let rules = Rules::own();
        for number in 0..20 {
            let (bytes, extension) = attachment(7, number);
            let item = truth(&bytes, extension);
            let assessed = rules.assess(&bytes, &item.upload_name);
            assert_eq!(item.found, assessed.is_some(), "{number}: {assessed:?}");
            assert_eq!(item.bad, assessed.is_some_and(|assessed| assessed.score >= 65), "{number}");
        }
    }

    #[test]
    fn a_mail_follows_from_seed_and_number() {
        let (one, same, other) = (Corpus::new(1), Corpus::new(1), Corpus::new(2));
        let messages = |corpus: &Corpus| (0..40).map(|n| corpus.letter(n).message).collect::<Vec<_>>();
        assert_eq!(messages(&one), messages(&same));
        assert_ne!(messages(&one), messages(&other));
        let probes = [one.letter(PROBES), one.letter(PROBES + 1)];
        assert!(!probes[0].must_be_held() && probes[0].items != probes[1].items);
    }

    #[test]
    fn distinct_attachments_all_occur() {
        let truths = Corpus::distinct(3, 20).truths(0..20);
        assert_eq!(truths.len(), 20);
    }
}
