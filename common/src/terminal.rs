// SPDX-License-Identifier: GPL-3.0-or-later
//! Texts that a sender, a scanner or Redis wrote, on their way to people: names of files and rules, reasons, addresses.
//! A terminal takes control characters for commands, and those that turn the direction of text have it show something
//! else than is there. All that the programs print for people passes through [`shown`], all that they print or log as
//! JSON through [`without_controls`].

use std::{fmt::Write as _, str::EscapeDebug};

const QUOTES: [char; 2] = ['"', '\''];

/// `text` with an escape for each character that a terminal would not simply show.
pub fn shown(text: &str) -> EscapeDebug<'_> {
    text.escape_debug()
}

/// As [`shown`], for text in a table or a sentence of its own: quotes stay what they are.
pub fn readable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for piece in text.split_inclusive(QUOTES) {
        let words = piece.trim_end_matches(QUOTES);
        safe.extend(words.escape_debug());
        safe.push_str(&piece[words.len()..]);
    }
    safe
}

/// `text` of our own with words of others in it, made of lines: only what a terminal would obey is escaped.
pub fn legible(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            safe.push('\n');
        }
        without_controls(&mut safe, line);
    }
    safe
}

/// A value as JSON, for a terminal as well as for a program: on one line, or indented.
///
/// # Errors
///
/// It cannot be written as JSON.
pub fn json(value: &impl serde::Serialize, indented: bool) -> serde_json::Result<String> {
    let text = if indented { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) }?;
    // JSON has line breaks only between its tokens.
    Ok(legible(&text))
}

/// Appends `text`, a part of JSON: that allows DEL, C1 controls, Unicode's line ends and what turns the direction of text
/// in a string, log viewers break lines at some of them and terminals obey others. `\uXXXX` means the same inside a JSON
/// string.
pub(crate) fn without_controls(line: &mut String, text: &str) {
    if text.bytes().all(|byte| (b' '..0x7f).contains(&byte)) {
        return line.push_str(text);
    }
    for c in text.chars() {
        if is_control(c) {
            // writing to a string cannot fail
            let _ = write!(line, "\\u{:04x}", u32::from(c));
        } else {
            line.push(c);
        }
    }
}

fn is_control(c: char) -> bool {
    let breaks = matches!(c, '\u{2028}' | '\u{2029}');
    let turns = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    c.is_control() || breaks || turns
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "\u{1b}]0;x\u{7}a\u{202e}fdp.exe\r\n\u{9b}2J\u{2066}\u{200f}\u{61c}\u{7f}\u{2028}";

    #[test]
    fn no_text_reaches_the_terminal_as_a_command() {
        let text = shown(HOSTILE).to_string();
        assert!(text.chars().all(|c| c.is_ascii_graphic()), "{text:?}");
        assert!(text.contains("fdp.exe"), "{text:?}");
        assert_eq!(shown("Rechnung März 2026.pdf").to_string(), "Rechnung März 2026.pdf");
    }

    #[test]
    fn what_is_readable_is_as_harmless_and_keeps_its_quotes() {
        let text = readable(HOSTILE);
        assert!(text.chars().all(|c| c.is_ascii_graphic()), "{text:?}");
        let said = "pending = \"defer\" isn't \u{1b}[2J\"\"\u{202e}'";
        assert_eq!(readable(said), r#"pending = "defer" isn't \u{1b}[2J""\u{202e}'"#);
    }

    #[test]
    fn json_says_the_same_without_commands() {
        for indented in [false, true] {
            let text = json(&[HOSTILE, "ä"], indented).unwrap();
            let harmless = |c: char| c.is_ascii_graphic() || matches!(c, ' ' | '\n' | 'ä');
            assert!(text.chars().all(harmless), "{text:?}");
            assert_eq!(text.contains('\n'), indented);
            assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), [HOSTILE, "ä"]);
        }
    }
}
