// SPDX-License-Identifier: GPL-3.0-or-later
//! The forms in which a token may be meant: what stands around a password in a sentence may belong to it.

use std::borrow::Cow;

/// Pieces of one token.
const MOST_PIECES: usize = 6;
/// Characters of one that counts.
const LEAST: usize = 3;
/// Bytes of a date, or of digits in groups.
const MOST_DATE: usize = 12;

/// The forms of `token`, the likeliest first, each with what it counts less than that.
pub(crate) fn forms(token: &str) -> Vec<(Cow<'_, str>, i32)> {
    let core = trimmed(token);
    if core.is_empty() {
        return Vec::new();
    }
    let mut forms = vec![(Cow::Borrowed(core), 0)];
    forms.extend(whole_forms(token).map(|(form, less)| (Cow::Borrowed(form), less)));
    let bare = core.trim_matches(|character: char| !character.is_alphanumeric());
    forms.push((bare.into(), 60));
    let end = core.find(['\'', '’', ',', ';', ')', ']', '}', '"', '<', '/']);
    forms.extend(end.map(|end| (Cow::Borrowed(&core[..end]), 70)));
    let smaller = pieces(core).filter(|piece| piece.len() < core.len());
    forms.extend(smaller.map(|piece| (Cow::Borrowed(piece), 220)));
    if is_date(core) {
        let digits: String = core.chars().filter(char::is_ascii_digit).collect();
        forms.push((digits.into(), 100));
    }
    forms
}

/// `token` with what stands at its ends, which may belong to it, each with what it counts less.
pub(crate) fn whole_forms(token: &str) -> impl Iterator<Item = (&str, i32)> {
    let unquoted = token.trim_matches(is_quote);
    let bracketed = token.trim_start_matches(['(', '[', '{']).trim_end_matches([')', ']', '}']);
    let last = unquoted.char_indices().next_back().filter(|(at, _)| is_end(&unquoted[*at..]));
    let without_end = last.map(|(at, _)| (&unquoted[..at], 40));
    let whole = token.char_indices().next_back().filter(|(at, _)| is_end(&token[*at..]));
    let whole_without_end = whole.map(|(at, _)| (&token[..at], 80));
    [(unquoted, 50), (bracketed, 60), (token, 90)].into_iter().chain(without_end).chain(whole_without_end)
}

/// What stands behind a colon or an equals sign inside `token`: `label]:X`.
pub(crate) fn after_label(token: &str) -> Option<&str> {
    let (_, behind) = token.split_once([':', '='])?;
    (!behind.starts_with('/') && behind.contains(char::is_alphanumeric)).then_some(behind)
}

/// `word` without the quotes, brackets and marks of a sentence around it.
pub(crate) fn trimmed(word: &str) -> &str {
    let front = |character: char| is_quote(character) || matches!(character, ':' | '=' | ',' | ';');
    let back = |character: char| is_quote(character) || is_end_character(character) || character == '=';
    word.trim_start_matches(front).trim_end_matches(back)
}

/// The words of `token` between anything but letters and digits; the first few.
pub(crate) fn pieces(token: &str) -> impl Iterator<Item = &str> {
    let all = token.split(|character: char| !character.is_alphanumeric()).take(MOST_PIECES);
    all.filter(|piece| piece.chars().count() >= LEAST)
}

/// True for a character that a password could begin with where it follows its cue at once.
pub(crate) fn may_begin(character: char) -> bool {
    !(is_quote(character) || character.is_whitespace() || ":=-–—→.,;/".contains(character))
}

fn is_date(core: &str) -> bool {
    let belongs = |character: char| character.is_ascii_digit() || "./-".contains(character);
    core.len() <= MOST_DATE && core.chars().all(belongs) && !core.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_end(mark: &str) -> bool {
    mark.chars().all(is_end_character)
}

fn is_end_character(character: char) -> bool {
    ".,;:!?…。".contains(character)
}

fn is_quote(character: char) -> bool {
    "\"'`„“”‟‚‘’«»‹›「」『』【】〔〕《》〈〉[](){}<>*_|".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_around_a_password_may_belong_to_it() {
        for (token, meant) in [
            ("„Xy7kk“.", "Xy7kk"),
            ("Xy7kk!", "Xy7kk!"),
            ("Xy7kk!.", "Xy7kk!"),
            ("Xy7_.", "Xy7_"),
            ("(Xy7kk)", "(Xy7kk)"),
            ("Xy7kk_)", "Xy7kk_"),
            ("4711'dir", "4711"),
            ("Xy7kk,", "Xy7kk"),
            ("05.03.1987", "05031987"),
            ("05.03.1987", "1987"),
            ("-Xy7-", "Xy7"),
        ] {
            let forms = forms(token);
            assert!(forms.iter().any(|(form, _)| form == meant), "{token}: {forms:?}");
        }
        assert!(forms("...").is_empty());
        assert_eq!(after_label("file]:Xy7=kk"), Some("Xy7=kk"));
        assert_eq!(after_label("https://example.org"), None);
    }
}
