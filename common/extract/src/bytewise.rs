// SPDX-License-Identifier: GPL-3.0-or-later
//! Questions about all bytes of a text, asked in loops without an early end, of which the compiler makes vector
//! instructions; and searches for what is usually near, where a call of memchr costs more than a look.

use memchr::{memchr, memchr2};

/// Bytes that are looked at without an early end.
const BLOCK: usize = 64;
/// Bytes that are looked at one by one before a search begins.
const NEAR: usize = 16;

/// True where some byte of `text` `fits`.
pub(crate) fn any(text: &[u8], fits: impl Fn(u8) -> bool) -> bool {
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    // Not with booleans, of which the compiler makes no vectors.
    let in_block = |block: &[u8; BLOCK]| block.iter().fold(0, |any, &byte| any | u8::from(fits(byte))) > 0;
    blocks.iter().any(in_block) || rest.iter().any(|&byte| fits(byte))
}

/// True where every byte of `text` `fits`.
pub(crate) fn all(text: &[u8], fits: impl Fn(u8) -> bool) -> bool {
    !any(text, |byte| !fits(byte))
}

/// How many bytes of `text` `fit`.
pub(crate) fn count(text: &[u8], fits: impl Fn(u8) -> bool) -> usize {
    // The count of a block fits into a byte.
    let in_block = |block: &[u8]| block.iter().map(|&byte| u8::from(fits(byte))).sum::<u8>();
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    blocks.iter().map(|block| usize::from(in_block(block))).sum::<usize>() + usize::from(in_block(rest))
}

/// Where bytes of `text` stand that `fit` together with the next one.
pub(crate) fn pairs(text: &[u8], fit: impl Fn(u8, u8) -> bool) -> impl Iterator<Item = usize> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at + 1 < text.len() {
            if at.is_multiple_of(BLOCK)
                && let Some(block) = text[at..].first_chunk::<{ BLOCK + 1 }>()
                && (0..BLOCK).fold(0, |any, at| any | u8::from(fit(block[at], block[at + 1]))) == 0
            {
                at += BLOCK;
                continue;
            }
            at += 1;
            if fit(text[at - 1], text[at]) {
                return Some(at - 1);
            }
        }
        None
    })
}

/// True where a CR is no part of a line end.
pub(crate) fn has_bare_returns(text: &[u8]) -> bool {
    pairs(text, |byte, next| (byte == b'\r') & (next != b'\n')).next().is_some()
}

/// The first `needle` in `text`, which is often near its start.
pub(crate) fn find(needle: u8, text: &[u8]) -> Option<usize> {
    let near = &text[..text.len().min(NEAR)];
    let found = near.iter().position(|&byte| byte == needle);
    found.or_else(|| memchr(needle, &text[near.len()..]).map(|at| near.len() + at))
}

/// The first `one` or `other` in `text`, which is often near its start.
pub(crate) fn find2(one: u8, other: u8, text: &[u8]) -> Option<usize> {
    let near = &text[..text.len().min(NEAR)];
    let found = near.iter().position(|&byte| byte == one || byte == other);
    found.or_else(|| memchr2(one, other, &text[near.len()..]).map(|at| near.len() + at))
}

/// True where `bytes` hold what no text holds.
pub(crate) fn is_binary(bytes: &[u8]) -> bool {
    // Besides white space, ISO-2022 uses SO, SI and ESC, and some print with BS.
    any(bytes, |byte| (byte < b' ') & !matches!(byte, 8..=15 | 27))
}

/// `text` without the white space that it begins with, of which there may be megabytes.
pub(crate) fn without_leading_blanks(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while let Some((block, more)) = rest.split_first_chunk::<64>()
        && block.iter().fold(true, |blank, byte| blank & byte.is_ascii_whitespace())
    {
        rest = more;
    }
    rest.trim_ascii_start()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::Just, prop_assert_eq, prop_oneof, proptest};

    #[test]
    fn a_pair_is_found_wherever_it_stands() {
        for at in 0..199 {
            let mut text = [0; 200];
            text[at..at + 2].copy_from_slice(b"xy");
            assert_eq!(pairs(&text, |one, other| (one, other) == (b'x', b'y')).collect::<Vec<_>>(), [at]);
        }
    }

    proptest! {
        #[test]
        fn the_answers_are_those_of_plain_loops(text in vec(prop_oneof![60 => Just(7), 1 => 0..4_u8, 1 => Just(0)], 0..400)) {
            for byte in 0..4 {
                prop_assert_eq!(all(&text, |other| other != byte), !text.contains(&byte));
                prop_assert_eq!(any(&text, |other| other == byte), text.contains(&byte));
                prop_assert_eq!(count(&text, |other| other == byte), text.iter().filter(|&&other| other == byte).count());
                prop_assert_eq!(find(byte, &text), text.iter().position(|&other| other == byte));
                prop_assert_eq!(find2(byte, 9, &text), find(byte, &text));
                let blanks: Vec<u8> = text.iter().map(|byte| b" \n\t.ax\r"[usize::from(byte % 8) % 7]).collect();
                prop_assert_eq!(without_leading_blanks(&blanks), blanks.trim_ascii_start());
                prop_assert_eq!(find2(9, byte, &text), find(byte, &text));
                let found: Vec<_> = pairs(&text, |one, other| one == byte && other == 0).collect();
                let plain = text.windows(2).enumerate().filter(|(_, pair)| **pair == [byte, 0]);
                prop_assert_eq!(found, plain.map(|(at, _)| at).collect::<Vec<_>>());
            }
        }
    }
}
