// SPDX-License-Identifier: GPL-3.0-or-later
//! The tokens that the admin server knows: one in `admin.token_file`, of the scope `read`, and those that
//! `admin.tokens_file` names. Of each only its SHA-256 is kept. A token is compared with all of them in a time that tells
//! nothing of any, and what is wrong with a file is told with its line, never with what stands there.

use crate::{
    api::Scope,
    config::{
        Fault,
        secret::{line, text, unusable},
    },
};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::{path::Path, sync::Arc};
use subtle::ConstantTimeEq;

/// The key of the one token.
const ONE: &str = "admin.token_file";

/// The key of all others.
const MANY: &str = "admin.tokens_file";

/// A token has at least so many characters.
const SHORTEST: usize = 16;

/// Of the name of a token.
const LONGEST_NAME: usize = 64;

/// Tokens that a file may name: each is compared with whatever is shown.
const MOST: usize = 1000;

/// Who may ask with a token.
#[derive(Debug, Default)]
pub struct Tokens {
    tokens: Vec<Token>,
    /// Without a token only `/live` and `/ready` answer.
    pub(super) always_asked: bool,
    /// Without a token a server that is not on loopback shows no page.
    pub(super) asked_from_afar: bool,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) who: Arc<str>,
    pub(super) scope: Scope,
    sha256: [u8; 32],
}

impl Tokens {
    /// Reads both files.
    ///
    /// # Errors
    ///
    /// One of them cannot be used.
    pub(super) fn read(one: Option<&Path>, many: Option<&Path>) -> Result<Self, Fault> {
        let mut tokens = match many {
            Some(path) => listed(path, &text(MANY, path)?)?,
            None => Vec::new(),
        };
        if let Some(token) = line(ONE, one)? {
            tokens.push(single(&token)?);
        }
        Ok(Self { tokens, always_asked: one.is_some(), asked_from_afar: one.is_some() || many.is_some() })
    }

    /// One of the scope `read`, which is always asked for.
    #[cfg(any(test, fuzzing))]
    pub(super) fn only(token: &str) -> Self {
        let token = single(&token.into()).expect("a token that can be one");
        Self { tokens: vec![token], always_asked: true, asked_from_afar: true }
    }

    /// Whether there is any that could be shown.
    pub(super) fn exist(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// Which one it is.
    pub(super) fn find(&self, shown: &SecretString) -> Option<&Token> {
        let shown = Sha256::digest(shown.expose_secret());
        // All of them, whichever it is.
        self.tokens.iter().fold(None, |found, token| {
            if bool::from(token.sha256.ct_eq(&shown[..])) { Some(token) } else { found }
        })
    }
}

/// The token in `admin.token_file`.
fn single(token: &SecretString) -> Result<Token, Fault> {
    let token = token.expose_secret();
    if token.len() < SHORTEST || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let why = "the token must have 16 or more printable ASCII characters: openssl rand -hex 32";
        return Err(Fault::new(&[ONE], why));
    }
    Ok(Token { who: "token_file".into(), scope: Scope::Read, sha256: Sha256::digest(token).into() })
}

/// The tokens in `admin.tokens_file`.
fn listed(path: &Path, text: &SecretString) -> Result<Vec<Token>, Fault> {
    let mut tokens: Vec<Token> = Vec::new();
    for (number, line) in text.expose_secret().lines().enumerate() {
        let wrong = |why: &str| unusable(MANY, path, &format!("line {}: {why}", number + 1));
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let token = named(line).map_err(wrong)?;
        if tokens.iter().any(|known| known.sha256 == token.sha256) {
            return Err(wrong("the same token stands in a line before"));
        }
        if tokens.len() == MOST {
            return Err(wrong("there are more than 1000 tokens"));
        }
        tokens.push(token);
    }
    Ok(tokens)
}

/// `name scope sha256`.
fn named(line: &str) -> Result<Token, &'static str> {
    let mut words = line.split_ascii_whitespace();
    let (Some(who), Some(scope), Some(sha256), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("must be a name, a scope and the SHA-256 of a token, with blanks between them");
    };
    if who.len() > LONGEST_NAME || !who.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the name must have at most 64 printable ASCII characters");
    }
    let scope = scope.parse().map_err(|_| "the second word must be metrics, read or operator")?;
    let digest: crate::digest::Digest = sha256
        .parse()
        .map_err(|_| "the third word must be the SHA-256 of the token, 64 hexadecimal digits")?;
    Ok(Token { who: who.into(), scope, sha256: *digest.as_bytes() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(token: &str) -> String {
        crate::digest::Digest::of(token.as_bytes()).to_string()
    }

    fn many(text: &str) -> Result<Tokens, String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tokens");
        std::fs::write(&file, text).unwrap();
        let place = directory.path().to_str().unwrap();
        Tokens::read(None, Some(&file)).map_err(|fault| fault.to_string().replace(place, "DIR"))
    }

    #[test]
    fn a_token_is_one_line_that_nobody_guesses() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        let read = || Tokens::read(Some(&file), None);
        assert!(read().unwrap_err().message.contains("cannot be read"));
        std::fs::write(&file, "0123456789abcdef\n").unwrap();
        let tokens = read().unwrap();
        let token = tokens.find(&"0123456789abcdef".into()).unwrap();
        assert_eq!((&*token.who, token.scope), ("token_file", Scope::Read));
        assert!(tokens.find(&"0123456789abcdeg".into()).is_none() && tokens.always_asked);
        for wrong in ["", "short", "0123456789abcdef\nmore", "0123456789 abcdef", "0123456789abcdéf"] {
            std::fs::write(&file, wrong).unwrap();
            let fault = read().unwrap_err();
            assert!(wrong.is_empty() || !format!("{fault:?}").contains(wrong), "{fault:?}");
        }
    }

    #[test]
    fn a_file_names_tokens_by_their_digests() {
        let text = format!(
            "# who asks\n\nanna operator {}\n  prometheus\tmetrics {}\nanna read {}\n",
            digest("a"),
            digest("b").to_uppercase(),
            digest("c")
        );
        let tokens = many(&text).unwrap();
        for (shown, who, scope) in
            [("a", "anna", Scope::Operator), ("b", "prometheus", Scope::Metrics), ("c", "anna", Scope::Read)]
        {
            let token = tokens.find(&shown.into()).unwrap();
            assert_eq!((&*token.who, token.scope), (who, scope));
        }
        assert!(tokens.find(&"d".into()).is_none() && tokens.find(&digest("a").into()).is_none());
        assert!(tokens.asked_from_afar && !tokens.always_asked);
        assert!(!many("# nobody any more\n").unwrap().exist());
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_by_its_line_and_not_by_what_stands_there() {
        let good = digest("a");
        for (wrong, why) in [
            (format!("anna operator {good}0"), "line 2: the third word"),
            ("anna operator secretsecret".to_owned(), "line 2: the third word"),
            (format!("anna admin-secret {good}"), "line 2: the second word"),
            (format!("anna {good}"), "line 2: must be a name"),
            (format!("anna operator {good} secret"), "line 2: must be a name"),
            (format!("{} read {good}", "n".repeat(65)), "line 2: the name"),
            (format!("secrét read {good}"), "line 2: the name"),
            (format!("bert read {}", digest("z")), "line 2: the same token"),
        ] {
            let first = if why.contains("same") { wrong.clone() } else { "# all".to_owned() };
            let message = many(&format!("{first}\n{wrong}\n")).unwrap_err();
            assert!(
                message.starts_with("admin.tokens_file: DIR/tokens ") && message.contains(why),
                "{message}"
            );
            for word in wrong.split(' ').filter(|word| word.len() > 5 && !["operator"].contains(word)) {
                assert!(!message.contains(word), "{message} {word}");
            }
        }
    }
}
