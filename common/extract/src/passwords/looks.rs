// SPDX-License-Identifier: GPL-3.0-or-later
//! How much a word looks like a password, and the words that only lead to one.

use super::{cues, east_asia::is_east_asian};
use std::{collections::HashSet, sync::LazyLock};

/// Words that stand between "password" and the password: what follows them is likelier.
static LEADING: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    "is ist lautet est es è é e jest to brzmi je zní это — является wynosi luidt är er on este olarak sarà \
    sera será будет was using with mit avec con com met z as follows"
        .split_whitespace()
        .collect()
});
/// Words that are hardly ever one: the commonest of the languages that mail is written in.
static COMMON: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    "the for this that your and you are will open file document attached attachment archive please use below \
    above enter protected required need from have can not der die das den dem des für und sie ihr ihre \
    datei bitte zum zur zu von öffnen anhang dokument archiv wurde nicht ein eine folgt wie beim wird le la \
    les pour de du et vous votre fichier pièce jointe ouvrir un une ce cette suivant el los las para del \
    abrir archivo adjunto su este una il lo per di della aprire allegato documento seguente o os da do \
    arquivo ficheiro anexo seguinte het een van voor bestand bijlage openen te om uw na pliku archiwum \
    otwarcia następujące pro soubor souboru otevření přílohy для на в и к файла архива файл архив открытия \
    ve bir için dosya dosyanın ek ekteki açmak pdf zip rar doc docx xls xlsx word excel http https www"
        .split_whitespace()
        .collect()
});

/// True where what follows `word` is likelier.
pub(crate) fn leads(word: &str) -> bool {
    let word = cues::lower(word.trim_matches(|character: char| !character.is_alphanumeric()));
    LEADING.contains(word.as_str())
}

/// How much `word` looks like a password, from -300 to 200.
pub(crate) fn looks(word: &str) -> i32 {
    let seen = Seen::of(word);
    if seen.letters + seen.digits == 0 {
        return -300;
    }
    let mut looks = 0;
    looks += match (seen.letters, seen.digits) {
        (0, 4..=8) => 100,
        (0, 3 | 9..=12) => 30,
        (0, _) => -50,
        (_, 0) => 0,
        _ => 120,
    };
    if seen.symbols > 0 {
        looks += if seen.digits > 0 && seen.letters > 0 { 40 } else { -10 };
    }
    if seen.inner_capitals > 0 && seen.small > 0 {
        looks += 60;
    }
    if seen.small == 0 && seen.letters >= 4 && seen.inner_capitals > 0 {
        looks += 40;
    }
    if seen.is_address {
        looks -= 200;
    }
    looks -= match word.chars().count() {
        0..=3 => 60,
        4..=24 => 0,
        25..=40 => 60,
        _ => 150,
    };
    if seen.east_asian > 0 {
        looks -= 100;
    }
    if is_common(word) {
        looks -= 150;
    }
    looks.clamp(-300, 200)
}

fn is_common(word: &str) -> bool {
    if word.len() > 30 {
        return false;
    }
    let word = cues::lower(word);
    COMMON.contains(word.as_str()) || LEADING.contains(word.as_str()) || cues::is_cue(&word)
}

/// What a word consists of, in characters.
#[derive(Default)]
struct Seen {
    letters: usize,
    digits: usize,
    symbols: usize,
    small: usize,
    /// Capitals but for the first character.
    inner_capitals: usize,
    east_asian: usize,
    is_address: bool,
}

impl Seen {
    fn of(word: &str) -> Self {
        let at = word.find('@').is_some_and(|at| at > 0 && word[at..].contains('.'));
        let mut seen =
            Self { is_address: at || word.contains("://") || word.starts_with("www."), ..Self::default() };
        for (index, character) in word.chars().enumerate() {
            if character.is_numeric() {
                seen.digits += 1;
            } else if character.is_alphabetic() {
                seen.letters += 1;
            } else {
                seen.symbols += 1;
            }
            seen.small += usize::from(character.is_lowercase());
            seen.inner_capitals += usize::from(index > 0 && character.is_uppercase());
            seen.east_asian += usize::from(is_east_asian(character));
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_password_counts_more() {
        for (likely, other) in [
            ("Xy7!kk2", "meeting"),
            ("0808", "12"),
            ("62734", "attachment"),
            ("BlueHorse", "horse"),
            ("QWERTZ", "Please"),
            ("banana", "the"),
            ("abc123", "https://example.org/abc123"),
            ("abc123", "ab12@example.org"),
        ] {
            assert!(looks(likely) > looks(other), "{likely} {other}");
        }
    }
}
