// SPDX-License-Identifier: GPL-3.0-or-later
//! Runs of base64 where none is declared: in texts, preambles and epilogues.

use super::{
    bytewise,
    decode::base64::{belongs, padding_end},
};
use std::ops::Range;

/// Symbols from which a run can hold a file rather than a word or a digest.
const LEAST: usize = 72;
/// Symbols that at least one of its lines has: a list of words, one on each line, is none.
const LEAST_IN_A_LINE: usize = 20;

/// Whole lines of base64 one after the other, blank ones between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    /// Where in the text.
    pub(crate) range: Range<usize>,
    symbols: usize,
    /// Something else than hexadecimal digits: digests of files stand in many texts.
    beyond_hex: bool,
    /// Where its first line starts that is too wide for a word.
    wide: Option<usize>,
}

impl Run {
    /// True where `text` is hardly anything else.
    pub(crate) fn is_nearly_all_of(&self, text: &[u8]) -> bool {
        let visible = bytewise::count(text, |byte| !byte.is_ascii_whitespace());
        self.symbols >= visible - visible / 10
    }

    /// Where in `text` the file can be: all of the run, or without the words before it or what follows the padding.
    pub(crate) fn readings(&self, text: &[u8]) -> Vec<Range<usize>> {
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
pub(crate) fn longest(text: &[u8]) -> Option<Run> {
    if text.len() < LEAST || !has_wide_line(text) {
        return None;
    }
    let (mut best, mut run, mut at) = (Run::default(), Run::default(), 0);
    while at < text.len() {
        let next = bytewise::find(b'\n', &text[at..]).map_or(text.len(), |length| at + length + 1);
        let line = text[at..next].trim_ascii();
        if bytewise::all(line, belongs) {
            run.symbols += line.len();
            run.beyond_hex = run.beyond_hex || !line.iter().all(u8::is_ascii_hexdigit);
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

/// True where so many symbols stand side by side that they can make a line of a run.
fn has_wide_line(text: &[u8]) -> bool {
    const { assert!(LEAST_IN_A_LINE == 20) };
    let (blocks, rest) = text.as_chunks::<64>();
    let mut last = [0; 64];
    last[..rest.len()].copy_from_slice(rest);
    let mut before = 0;
    blocks.iter().chain([&last]).any(|block| {
        // A bit for each byte, those of the block before at the lower end; of a run the bit of its first byte stays.
        let belong = u128::from(which_belong(block)) << 64 | before;
        before = belong >> 64;
        let two = belong & belong >> 1;
        let four = two & two >> 2;
        let eight = four & four >> 4;
        let sixteen = eight & eight >> 8;
        sixteen & four >> 16 > 0
    })
}

/// Which bytes of `block` are symbols: the lowest bit stands for the first one.
fn which_belong(block: &[u8; 64]) -> u64 {
    let belong = block.map(|byte| u8::from(belongs(byte)));
    let (groups, _) = belong.as_chunks();
    groups.iter().rev().fold(0, |bits, group| {
        // Moves the lowest bit of byte n to bit 56 + n; no two meet elsewhere.
        bits << 8 | u64::from_le_bytes(*group).wrapping_mul(0x0102_0408_1020_4080) >> 56
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
        let whole = longest(text.as_bytes()).unwrap();
        let ranges = whole.readings(text.as_bytes());
        assert!(ranges.iter().any(|range| text[range.clone()] == run), "{ranges:?}");
        assert_eq!(ranges.len(), 4);
    }

    #[test]
    fn a_wide_line_is_found_wherever_it_starts() {
        for start in 0..200 {
            let text = |count| [b" ".repeat(start), b"x".repeat(count), b" ".repeat(start % 7)].concat();
            assert!(
                has_wide_line(&text(LEAST_IN_A_LINE)) && !has_wide_line(&text(LEAST_IN_A_LINE - 1)),
                "{start}"
            );
        }
    }

    #[test]
    fn base64_is_told_from_prose_and_lists() {
        let run = "QUJD".repeat(19) + "\r\n" + &"QUJD".repeat(19) + "\r\n\r\n";
        assert!(longest(run.as_bytes()).unwrap().is_nearly_all_of(run.as_bytes()));
        let text = format!("Dear all,\n{run}\nRegards, somebody with a long greeting");
        assert!(!longest(text.as_bytes()).unwrap().is_nearly_all_of(text.as_bytes()));
        let range = longest(text.as_bytes()).unwrap().range;
        assert_eq!(text[range].trim(), run.trim());
        assert_eq!(longest("Some words that make a sentence.\n".repeat(50).as_bytes()), None);
        assert_eq!(longest("0123456789abcdef".repeat(9).as_bytes()), None);
        assert_eq!(longest("word\n".repeat(500).as_bytes()), None);
    }
}
