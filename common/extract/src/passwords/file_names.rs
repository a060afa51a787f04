// SPDX-License-Identifier: GPL-3.0-or-later
//! Candidates in the name of a part: `Rechnung_4711.zip`, `0808.pdf`, `report (pw Secret1).7z`.

use super::{
    candidate::Place,
    cues,
    looks::looks,
    ranked::Ranked,
    tokens::{self, Token},
};

/// The likeliest of each kind.
const BEHIND_CUE: i32 = 940;
const STEM: i32 = 420;
const DIGITS: i32 = 400;
const PIECE: i32 = 330;
/// Pieces of one name.
const MOST_PIECES: usize = 32;

/// Adds what `name` may tell to `ranked`.
pub(crate) fn search(name: &str, ranked: &mut Ranked) {
    let stem = stem(name);
    ranked.add(name, Place::FileName, PIECE - 100);
    ranked.add(stem, Place::FileName, STEM);
    behind_cue(stem, ranked);
    let prefix = stem.split(['_', '-', ' ', '.']).next().unwrap_or_default();
    ranked.add(prefix, Place::FileName, PIECE + 40 + looks(prefix).min(60));
    for part in stem.split(['_', '-', ' ']).take(MOST_PIECES) {
        ranked.add(part, Place::FileName, PIECE + looks(part).min(60));
    }
    for piece in stem.split(|character: char| !character.is_alphanumeric()).take(MOST_PIECES) {
        if piece.chars().count() >= 3 {
            ranked.add(piece, Place::FileName, PIECE + looks(piece).min(60));
        }
        for run in piece.split(|character: char| !character.is_ascii_digit()) {
            if run.len() >= 3 {
                ranked.add(run, Place::FileName, DIGITS);
            }
        }
    }
}

/// `name` without what says which kind of file it is.
fn stem(name: &str) -> &str {
    let is_kind =
        |kind: &&str| (1..=5).contains(&kind.len()) && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let mut stem = name;
    while let Some((before, kind)) = stem.rsplit_once('.')
        && is_kind(&kind)
        && kind.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !before.is_empty()
    {
        stem = before;
    }
    stem
}

/// What follows a word for "password", which stands between anything but letters in a file name.
fn behind_cue(stem: &str, ranked: &mut Ranked) {
    let whole = Token { text: stem, ..Token::default() };
    let parts = tokens::tokens(stem);
    let found = cues::cues(&[whole], 1).into_iter().chain(cues::cues(&parts, 1));
    for cue in found {
        let behind = stem[cue.end..].trim_start_matches(|character: char| " _-=:.([{".contains(character));
        let behind = behind.trim_end_matches([')', ']', '}', ' ']);
        ranked.add(behind, Place::Password, BEHIND_CUE);
        let first = behind.split(['_', ' ', '-', ')', '.']).next().unwrap_or_default();
        ranked.add(first, Place::Password, BEHIND_CUE - 20);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str) -> Vec<(String, Place)> {
        let mut ranked = Ranked::default();
        search(name, &mut ranked);
        let all = ranked.likeliest();
        all.iter().map(|candidate| (candidate.as_str().to_owned(), candidate.place())).collect()
    }

    #[test]
    fn the_stem_its_prefix_its_digits_and_its_pieces_are_candidates() {
        let found: Vec<_> = found("Rechnung_4711-AB12.pdf.zip").into_iter().map(|(text, _)| text).collect();
        for expected in ["Rechnung_4711-AB12", "Rechnung", "4711", "AB12"] {
            assert!(found.contains(&expected.to_owned()), "{expected}: {found:?}");
        }
    }

    #[test]
    fn what_stands_behind_a_password_word_comes_first() {
        for name in [
            "report_pw_Secret1.7z",
            "report (Passwort Secret1).zip",
            "见附件密码Secret1.rar",
            "pw=Secret1.pdf",
        ] {
            assert_eq!(found(name)[0], ("Secret1".to_owned(), Place::Password), "{name}");
        }
    }
}
