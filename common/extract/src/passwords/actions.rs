// SPDX-License-Identifier: GPL-3.0-or-later
//! Words for what one does with a password: where a mail has no word for that itself, it mostly says what to enter, or what
//! opens the file.

use super::{cues::lower, tokens::Token};

/// Beginnings of words.
const BEGINNINGS: &[&str] = &[
    "open",
    "unlock",
    "enter",
    "type",
    "input",
    "decrypt",
    "extract",
    "unzip",
    "öffn",
    "entsperr",
    "eingeb",
    "eintipp",
    "entpack",
    "entschlüssel",
    "ouvr",
    "saisi",
    "tape",
    "déverrouill",
    "entre",
    "abr",
    "introdu",
    "escrib",
    "desbloque",
    "teclea",
    "apr",
    "inseri",
    "digit",
    "sblocc",
    "escrev",
    "inser",
    "otwor",
    "otwier",
    "wpis",
    "wpro",
    "odblok",
    "otev",
    "zadej",
    "zadá",
    "napiš",
    "odemk",
    "откр",
    "введ",
    "ввод",
    "набер",
    "разблок",
    "відкр",
    "aç",
    "girin",
    "yaz",
    "open",
    "voer",
    "ontgrendel",
];
/// Pieces of words in scripts without blanks.
const EAST_ASIAN: &[&str] = &["開", "入力", "解除", "打开", "打開", "输入", "輸入", "解压", "열", "입력"];

/// True where `token` says so.
pub(crate) fn is_action(token: &Token<'_>) -> bool {
    let text = lower(token.text);
    EAST_ASIAN.iter().any(|piece| text.contains(piece))
        || text.split(|character: char| !character.is_alphanumeric()).any(begins_so)
}

fn begins_so(word: &str) -> bool {
    BEGINNINGS.iter().any(|beginning| word.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_does_with_a_password_is_known_in_many_languages() {
        for word in ["Opens", "eingeben", "s'ouvre", "saisissez", "введите", "wpisać", "yazın", "打开附件"]
        {
            assert!(is_action(&Token { text: word, ..Token::default() }), "{word}");
        }
        assert!(!is_action(&Token { text: "meeting", ..Token::default() }));
    }
}
