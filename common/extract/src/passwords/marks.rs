// SPDX-License-Identifier: GPL-3.0-or-later
//! What stands in brackets, in the quotes of any language, or is emphasized: `{0808}`, „Wort“, *bold*.

use super::{candidate::LONGEST, east_asia::is_east_asian};

/// Around what HTML emphasizes; of the private use area, so that no text means anything by them.
pub(crate) const EMPHASIS_BEGINS: char = '\u{e000}';
pub(crate) const EMPHASIS_ENDS: char = '\u{e001}';

/// Marked pieces of one text.
const MOST: usize = 2048;
/// Opening characters that are looked at; each may cost a search of [`LONGEST`] bytes.
const MOST_OPENED: usize = 4096;
/// Words of one.
const MOST_WORDS: usize = 6;

/// A marked piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark<'a> {
    /// What is marked, without blanks around it.
    pub(crate) text: &'a str,
    /// Where it begins in the text, and where it ends.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The marked pieces of `text`, in order.
pub(crate) fn marks(text: &str) -> Vec<Mark<'_>> {
    let mut found = Vec::new();
    let mut before = ' ';
    let mut opened = 0;
    for (at, character) in text.char_indices() {
        let word = before.is_alphanumeric();
        before = character;
        let Some(closers) = closers(character).filter(|_| !(word && is_symmetric(character))) else {
            continue;
        };
        opened += 1;
        if opened > MOST_OPENED || found.len() == MOST {
            break;
        }
        let start = at + character.len_utf8();
        found.extend(piece(text, start, closers));
    }
    found
}

/// What ends a piece that `character` begins.
fn closers(character: char) -> Option<&'static str> {
    Some(match character {
        '"' | '„' | '“' | '”' | '‟' | '〝' => "\"“”„〞‟",
        '\'' | '‚' | '‘' | '’' => "'’‘",
        '«' => "»",
        '»' => "«»",
        '‹' => "›",
        '›' => "‹›",
        '「' => "」",
        '『' => "』",
        '【' => "】",
        '〔' => "〕",
        '《' => "》",
        '〈' => "〉",
        '[' => "]",
        '(' => ")",
        '{' => "}",
        '<' => ">",
        '*' => "*",
        '_' => "_",
        '`' => "`'",
        '|' => "|",
        EMPHASIS_BEGINS => "\u{e001}",
        _ => return None,
    })
}

/// True for those that stand inside words as well.
fn is_symmetric(character: char) -> bool {
    matches!(character, '\'' | '’' | '"' | '*' | '_' | '`' | '‘')
}

/// The piece from `start` up to one of `closers`, if it is short.
fn piece<'a>(text: &'a str, start: usize, closers: &str) -> Option<Mark<'a>> {
    let rest = &text[start..];
    let ends = |&(at, character): &(usize, char)| {
        // An apostrophe is no end.
        let next = rest[at + character.len_utf8()..].chars().next();
        closers.contains(character)
            && !(is_symmetric(character) && next.is_some_and(char::is_alphanumeric) && !is_wide(next))
    };
    let short = rest
        .char_indices()
        .take_while(|&(at, character)| at <= LONGEST && character != '\n' && character != '\t');
    let (end, _) = { short }.find(ends)?;
    let inner = rest[..end].trim();
    let is_one = inner.chars().any(char::is_alphanumeric) && inner.split_whitespace().count() <= MOST_WORDS;
    is_one.then_some(Mark { text: inner, start, end: start + end })
}

fn is_wide(character: Option<char>) -> bool {
    character.is_some_and(is_east_asian)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_and_quotes_of_many_languages_mark() {
        let text = "{1} [2] (3) <4> \"5\" '6' „7“ “8” »9« «10» ‚11‘ 「12」 『13』 【14】 ”15” `16` *17* _18_ \u{e000}19\u{e001} ‹20›";
        let marked: Vec<_> = marks(text).iter().map(|mark| mark.text).collect();
        for number in 1..=20 {
            let number = number.to_string();
            assert!(marked.contains(&number.as_str()), "{number}: {marked:?}");
        }
    }

    #[test]
    fn apostrophes_lines_and_long_pieces_do_not() {
        assert_eq!(marks("don't, l'été, snake_case_name"), []);
        assert_eq!(marks("(a\nb) \"\" ()"), []);
        assert_eq!(marks(&format!("({})", "x".repeat(LONGEST + 1))), []);
        assert_eq!(marks("(a b c d e f g)"), []);
        let phrase = marks("'it's two' ")[0];
        assert_eq!((phrase.text, phrase.start, phrase.end), ("it's two", 1, 9));
    }

    #[test]
    fn hostile_texts_cost_little() {
        for unit in ["(", "\"", "'", "*", "<>", "[a]"] {
            assert!(marks(&unit.repeat(1 << 20)).len() <= MOST);
        }
    }
}
