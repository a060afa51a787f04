// SPDX-License-Identifier: GPL-3.0-or-later
//! Runs of base64 where none is declared: in texts, preambles and epilogues.

use super::decode::base64::{belongs, padding_end};
use memchr::memchr;
use std::ops::Range;

/// Symbols from which a run can hold a file rather than a word or a digest.
const LEAST: usize = 72;
/// Symbols that at least one of its lines has: a list of words, one on each line, is none.
const LEAST_IN_A_LINE: usize = 20;

/// Whole lines of base64 one after the other, blank ones between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    /// Where in the text.
    pub range: Range<usize>,
    symbols: usize,
    /// Something else than hexadecimal digits: digests of files stand in many texts.
    beyond_hex: bool,
    /// Where its first line starts that is too wide for a word.
    wide: Option<usize>,
}

impl Run {
    /// Where in `text` the file can be: all of the run, or without the words before it or what follows the padding.
    pub fn readings(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        for start in [self.range.start, self.wide.unwrap_or(self.range.start)] {
            let padding = padding_end(&text[start..self.range.end]).map(|length| start + length);
            for end in [self.range.end, padding.unwrap_or(self.range.end)] {
                if !ranges.contains(&(start..end)) {
                    ranges.push(start..end);
                }
            }
        }
        ranges
    }
}

/// The longest run in `text`, if one is long enough.
pub(super) fn longest(text: &[u8]) -> Option<Run> {
    if text.len() < LEAST {
        return None;
    }
    let (mut best, mut run, mut at) = (Run::default(), Run::default(), 0);
    while at < text.len() {
        let next = memchr(b'\n', &text[at..]).map_or(text.len(), |length| at + length + 1);
        let line = text[at..next].trim_ascii();
        if line.iter().all(|&byte| belongs(byte)) {
            run.symbols += line.len();
            run.beyond_hex |= !line.iter().all(u8::is_ascii_hexdigit);
            if line.len() >= LEAST_IN_A_LINE {
                run.wide.get_or_insert(at);
            }
            run.range.end = next;
        } else {
            best = longer(best, run);
            run = Run { range: next..next, ..Run::default() };
        }
        at = next;
    }
    best = longer(best, run);
    (best.symbols > 0).then_some(best)
}

/// The longest run, where `text` is hardly anything else.
pub(super) fn nothing_but(text: &[u8]) -> Option<Run> {
    longest(text).filter(|run| {
        let visible = text.iter().filter(|byte| !byte.is_ascii_whitespace()).count();
        run.symbols >= visible - visible / 10
    })
}

fn longer(best: Run, run: Run) -> Run {
    let counts = run.symbols >= LEAST && run.beyond_hex && run.wide.is_some() && run.symbols > best.symbols;
    if counts { run } else { best }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_before_a_run_and_what_follows_its_padding_may_not_belong_to_it() {
        let run = "QUJD".repeat(40) + "QQ==\n";
        let text = format!("Hello\n{run}Bye\n");
        let whole = nothing_but(text.as_bytes()).unwrap();
        let ranges = whole.readings(text.as_bytes());
        assert!(ranges.iter().any(|range| text[range.clone()] == run), "{ranges:?}");
        assert_eq!(ranges.len(), 4);
    }

    #[test]
    fn base64_is_told_from_prose_and_lists() {
        let run = "QUJD".repeat(19) + "\r\n" + &"QUJD".repeat(19) + "\r\n\r\n";
        assert!(nothing_but(run.as_bytes()).is_some());
        let text = format!("Dear all,\n{run}\nRegards, somebody with a long greeting");
        assert!(nothing_but(text.as_bytes()).is_none());
        let range = longest(text.as_bytes()).unwrap().range;
        assert_eq!(text[range].trim(), run.trim());
        assert_eq!(longest("Some words that make a sentence.\n".repeat(50).as_bytes()), None);
        assert_eq!(longest("0123456789abcdef".repeat(9).as_bytes()), None);
        assert_eq!(longest("word\n".repeat(500).as_bytes()), None);
    }
}
