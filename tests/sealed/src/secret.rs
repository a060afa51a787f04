// SPDX-License-Identifier: GPL-3.0-or-later
//! Passwords as people choose them.

use super::noise::characters;
use fastrand::Rng;

/// What a password consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A word in small letters.
    Word,
    /// One that begins with a capital.
    Capitalized,
    /// 4 to 8 digits.
    Digits,
    /// Letters and digits, 6 to 12.
    Mixed,
    /// Letters, digits and symbols, 8 to 16.
    Symbols,
    /// Capitals and digits.
    Capitals,
    /// The date of a birth.
    Date,
    /// A word and a year.
    WordAndYear,
    /// Two or three words.
    Phrase,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Word,
        Self::Capitalized,
        Self::Digits,
        Self::Mixed,
        Self::Symbols,
        Self::Capitals,
        Self::Date,
        Self::WordAndYear,
        Self::Phrase,
    ];

    /// Its name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Word => "word",
            Self::Capitalized => "capitalized word",
            Self::Digits => "digits",
            Self::Mixed => "letters and digits",
            Self::Symbols => "with symbols",
            Self::Capitals => "capitals and digits",
            Self::Date => "date",
            Self::WordAndYear => "word and year",
            Self::Phrase => "phrase",
        }
    }

    /// A password of this kind, from `words` where it has any.
    pub(crate) fn password(self, words: &[String], rng: &mut Rng) -> String {
        let mut word = || rng.choice(words).cloned().unwrap_or_default();
        match self {
            Self::Word => word(),
            Self::Capitalized => capitalized(&word()),
            Self::Phrase => [word(), word()].join(" "),
            Self::WordAndYear => format!("{}{}", capitalized(&word()), rng.u32(2015..2027)),
            Self::Digits => {
                let length = rng.usize(4..=8);
                characters("0123456789", length, rng)
            }
            Self::Mixed => {
                let length = rng.usize(4..=10);
                characters(LETTERS, length, rng) + &characters("23456789", 2, rng)
            }
            Self::Symbols => {
                let (letters, more) = (rng.usize(4..=8), rng.usize(1..=4));
                let symbol = characters(SYMBOLS, 1, rng);
                let start = characters(LETTERS, letters, rng) + &symbol;
                let end = characters("0123456789", 2, rng) + &characters(LETTERS, more, rng);
                if rng.bool() { start + &end + &characters(SYMBOLS, 1, rng) } else { start + &end }
            }
            Self::Capitals => characters("ABCDEFGHKLMNPRSTUVWXYZ", 4, rng) + &characters("23456789", 4, rng),
            Self::Date => {
                let (day, month, year) = (rng.u32(1..29), rng.u32(1..13), rng.u32(1950..2005));
                if rng.bool() {
                    format!("{day:02}{month:02}{year}")
                } else {
                    format!("{day:02}.{month:02}.{year}")
                }
            }
        }
    }
}

const LETTERS: &str = "abcdefghkmnpqrstuvwxyzABCDEFGHKLMNPQRSTUVWXYZ";
const SYMBOLS: &str = "!$%&#?+-_.@*=";

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
