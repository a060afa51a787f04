// SPDX-License-Identifier: GPL-3.0-or-later
//! Words for "password" in the languages that mail is written in, with their endings and compounds, and words for what may
//! be one: code, key.

use super::{east_asia::is_east_asian, tokens::Token};

/// Stems that mean a password wherever they stand in a word: `Zip-Passwort`, `Entpackpasswort`, `hasłem`.
const STEMS: &[&str] = &[
    "passphrase",
    "passcode",
    "passwor",
    "kennwort",
    "losungswort",
    "wachtwoord",
    "contrase",
    "senha",
    "парол",
    "şifre",
    "sifre",
    "lösenord",
    "losenord",
    "passord",
    "adgangskode",
    "kodeord",
    "salasana",
    "jelsz",
    "lozink",
    "zaporka",
    "κωδικ",
    "σύνθημα",
    "סיסמ",
    "المرور",
    "السر",
    "पासवर",
    "รหัสผ",
    "slaptažod",
    "parool",
];
/// Stems that words for a password begin with.
const BEGINNINGS: &[&str] = &["hasł", "hasl", "hesl", "parol", "gesl", "sandi", "passwd"];
/// Whole words that mean one.
const WORDS: &[&str] =
    &["pw", "pwd", "psw", "pass", "pswd", "passe", "mdp", "pin", "pincode", "pwort", "khẩu", "clave", "psd"];
/// Whole words that may mean one, and mostly mean something else.
const DOUBTFUL: &[&str] = &[
    "code",
    "key",
    "clé",
    "cle",
    "chiave",
    "codice",
    "código",
    "codigo",
    "chave",
    "kod",
    "kodu",
    "kód",
    "kodem",
    "klucz",
    "klíč",
    "код",
    "кодом",
    "ключ",
    "шифр",
    "schlüssel",
    "sleutel",
    "llave",
    "otp",
    "secret",
    "zugangscode",
    "anahtar",
];
/// The same in scripts without blanks.
const EAST_ASIAN: &[&str] = &[
    "パスワード",
    "パスフレーズ",
    "暗証番号",
    "合言葉",
    "パスコード",
    "密码",
    "密碼",
    "口令",
    "解压码",
    "提取码",
    "解壓碼",
    "비밀번호",
    "패스워드",
    "암호",
    "비번",
    "パス",
];
/// Stems that are no words for a password although they look like it.
const OTHERS: &[&str] = &["passport", "passage", "passen", "passag", "passieren"];

/// Where a text speaks of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cue {
    /// Which token.
    pub(crate) token: usize,
    /// Where the word begins in the text, and where it ends.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// It may mean something else.
    pub(crate) doubtful: bool,
}

/// The words for "password" among `tokens`, at most `most`.
pub(crate) fn cues(tokens: &[Token<'_>], most: usize) -> Vec<Cue> {
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if token.text.chars().any(is_east_asian) {
            found.extend(east_asian(index, token));
        } else {
            words(index, token, &mut found);
        }
        if found.len() >= most {
            break;
        }
    }
    found.truncate(most);
    found
}

fn east_asian(index: usize, token: &Token<'_>) -> Option<Cue> {
    let (at, word) = EAST_ASIAN.iter().find_map(|word| Some((token.text.rfind(word)?, word)))?;
    let start = token.start + at;
    Some(Cue { token: index, start, end: start + word.len(), doubtful: false })
}

fn words(index: usize, token: &Token<'_>, found: &mut Vec<Cue>) {
    let separates = |character: char| !character.is_alphanumeric();
    let mut start = token.start;
    for piece in token.text.split_inclusive(separates) {
        let word = piece.trim_end_matches(separates);
        if let Some(doubtful) = meaning(word) {
            found.push(Cue { token: index, start, end: start + word.len(), doubtful });
        }
        start += piece.len();
    }
}

/// True where `word` is a word for a password and nothing else.
pub(crate) fn is_cue(word: &str) -> bool {
    meaning(word).is_some() || EAST_ASIAN.iter().any(|known| word.contains(known))
}

/// Whether `word` may mean something else, where it means a password at all.
fn meaning(word: &str) -> Option<bool> {
    // The shortest and the longest that any language has.
    if !(2..=60).contains(&word.len()) || word.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let word = lower(word);
    let word = word.as_str();
    let any = |stems: &[&str], holds: fn(&str, &str) -> bool| stems.iter().any(|stem| holds(word, stem));
    if any(OTHERS, |word, other| word.starts_with(other)) {
        return None;
    }
    let sure = any(WORDS, |word, known| word == known)
        || any(BEGINNINGS, |word, stem| word.starts_with(stem))
        || any(STEMS, |word, stem| word.contains(stem));
    if sure {
        return Some(false);
    }
    any(DOUBTFUL, |word, known| word == known).then_some(true)
}

/// In lower case, without the dot that `İ` leaves behind.
pub(crate) fn lower(word: &str) -> String {
    word.chars().flat_map(char::to_lowercase).filter(|&character| character != '\u{307}').collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tokens::tokens, *};

    fn found(text: &str) -> Vec<&str> {
        cues(&tokens(text), 100).iter().map(|cue| &text[cue.start..cue.end]).collect()
    }

    #[test]
    fn words_of_many_languages_are_known_with_their_endings_and_compounds() {
        for word in [
            "PASSWORD",
            "Passwörter-Passwort",
            "ZIP-Kennwort",
            "Entpackpasswort",
            "passe",
            "contraseña",
            "clave",
            "senha",
            "wachtwoord",
            "hasłem",
            "HASŁO",
            "heslo",
            "hesla",
            "пароля",
            "Паролем",
            "şifresi",
            "ŞİFRE",
            "parola",
            "lösenord",
            "adgangskode",
            "jelszó",
            "salasana",
            "PIN",
            "PW",
            "khẩu",
            "סיסמה",
            "पासवर्ड",
            "รหัสผ่าน",
            "password",
            "Passwort",
        ] {
            assert!(!found(word).is_empty(), "{word}");
        }
        assert_eq!(found("解压密码是12"), ["密码"]);
        assert_eq!(found("ZIPパスワードは12"), ["パスワード"]);
        assert_eq!(found("비밀번호는 12"), ["비밀번호"]);
    }

    #[test]
    fn they_are_found_inside_tokens_and_other_words_are_not() {
        assert_eq!(found("[PDF Password]:62734 (pw=12)"), ["Password", "pw"]);
        assert_eq!(found("passport compass pinned Encoder keyboard pass2go"), [] as [&str; 0]);
        assert!(cues(&tokens("the code"), 9)[0].doubtful && !cues(&tokens("the PIN"), 9)[0].doubtful);
    }
}
