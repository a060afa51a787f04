// SPDX-License-Identifier: GPL-3.0-or-later
//! A text as a row of tokens: what stands between blanks, and in the scripts of East Asia, which have none, what stands
//! between a change of script.

use super::{
    east_asia::is_east_asian,
    marks::{EMPHASIS_BEGINS, EMPHASIS_ENDS},
};

/// Of one text.
const MOST: usize = 16 << 10;
/// Bytes of one that are looked at; of a longer one, its start.
const LONGEST: usize = 256;

/// A piece of a text that has a letter or a digit in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    /// Where it begins in the text.
    pub(crate) start: usize,
    /// It stands behind a colon, an equals sign, a dash, or in a new cell.
    pub(crate) separated: bool,
    /// A new line begins with it.
    pub(crate) first: bool,
    /// It is the only one in its line.
    pub(crate) alone: bool,
    /// A sentence ends with it.
    pub(crate) ends_sentence: bool,
}

impl Token<'_> {
    pub(crate) fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// The tokens of `text`, in order.
pub(crate) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut row = Row { new_line: true, ..Row::default() };
    let mut start = 0;
    let mut before = ' ';
    for (at, character) in text.char_indices() {
        let splits = is_break(character) || is_break(before) || changes_script(before, character);
        if splits && start < at {
            row.push(&text[start..at], start);
        }
        if splits {
            start = at;
        }
        if is_break(character) {
            row.pass(character);
            start = at + character.len_utf8();
        }
        before = character;
        if row.tokens.len() == MOST {
            return row.tokens;
        }
    }
    if start < text.len() {
        row.push(&text[start..], start);
    }
    row.tokens
}

/// The tokens so far, and what stood behind the last one.
#[derive(Default)]
struct Row<'a> {
    tokens: Vec<Token<'a>>,
    separated: bool,
    new_line: bool,
}

impl<'a> Row<'a> {
    fn pass(&mut self, character: char) {
        match character {
            '\n' => self.new_line = true,
            '\t' | '|' => self.separated = true,
            '。' | '！' | '？' => {
                if let Some(last) = self.tokens.last_mut() {
                    last.ends_sentence = true;
                }
            }
            _ => (),
        }
    }

    fn push(&mut self, text: &'a str, start: usize) {
        let text = &text[..text.floor_char_boundary(LONGEST)];
        let Some(core) = text.find(char::is_alphanumeric) else {
            // A dash that begins a line lists something, or begins a signature.
            self.separated |= text.contains([':', '=', '→'])
                || !self.new_line && text.chars().all(|character| matches!(character, '-' | '–' | '—' | '>'));
            return;
        };
        let behind = text.rfind(char::is_alphanumeric).map_or("", |at| &text[at..]);
        let tail = behind.trim_start_matches(char::is_alphanumeric);
        let separated = self.separated || text[..core].contains([':', '=']);
        let ends_sentence = tail.contains(['.', '!', '?']);
        let (first, alone) = (self.new_line, self.new_line);
        if let Some(last) = self.tokens.last_mut() {
            last.alone &= first;
        }
        self.tokens.push(Token { text, start, separated, first, alone, ends_sentence });
        self.separated = tail.contains([':', '=']);
        self.new_line = false;
    }
}

fn is_break(character: char) -> bool {
    character.is_whitespace()
        || matches!(character, '|' | EMPHASIS_BEGINS | EMPHASIS_ENDS)
        || matches!(character, '\u{3000}'..='\u{3004}' | '\u{3008}'..='\u{303f}' | '・' | '！' | '？')
}

fn changes_script(before: char, next: char) -> bool {
    is_east_asian(before) != is_east_asian(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        tokens(text).iter().map(|token| token.text).collect()
    }

    #[test]
    fn tokens_stand_between_blanks_and_changes_of_script() {
        assert_eq!(texts("The password: Xy-7!\n--\nme"), ["The", "password:", "Xy-7!", "me"]);
        assert_eq!(texts("パスワードはab12です。密码:34"), ["パスワードは", "ab12", "です", "密码", ":34"]);
        assert_eq!(texts("비밀번호는 1234입니다"), ["비밀번호는", "1234", "입니다"]);
        assert_eq!(texts("a|b\tc"), ["a", "b", "c"]);
    }

    #[test]
    fn what_separates_is_known_across_lines_and_cells() {
        let separated = |text| -> Vec<bool> { tokens(text).iter().map(|token| token.separated).collect() };
        assert_eq!(separated("PIN:\n\n12"), [false, true]);
        assert_eq!(separated("PIN : 12 34"), [false, true, false]);
        assert_eq!(separated("PIN – 12"), [false, true]);
        assert_eq!(separated("PIN\t12"), [false, true]);
        assert_eq!(separated("PIN\n- 12"), [false, false]);
        assert_eq!(separated("密码:12"), [false, true]);
    }

    #[test]
    fn a_token_alone_in_its_line_is_known() {
        let alone: Vec<_> = tokens("a b\nc\nd e\nf").iter().map(|token| token.alone).collect();
        assert_eq!(alone, [false, false, true, false, false, true]);
    }

    #[test]
    fn their_number_and_length_are_bounded() {
        assert_eq!(tokens(&"a ".repeat(1 << 20)).len(), MOST);
        assert_eq!(tokens(&"ä1x".repeat(1 << 20))[0].text.len(), LONGEST);
    }
}
