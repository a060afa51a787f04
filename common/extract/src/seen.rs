// SPDX-License-Identifier: GPL-3.0-or-later
//! Where was looked before. Readings of one message mostly come to the same bytes, and none is decoded twice.
//!
//! Bytes are told by where they stand in memory, so nothing is compared but two numbers. That holds as long as no place
//! is taken twice: the message, those inside it and the files in containers live until the extraction ends.

use super::{decode::Decoding, names::danger, part::Content};
use bytes::Bytes;
use std::{collections::HashSet, ops::Range};

/// Where encoded bytes stand in memory, and how to decode them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    start: usize,
    length: usize,
    decoding: Decoding,
}

/// Leaves that may hide parts, from which the whole message is read as if each did.
const MOST_SUSPECTS: usize = 64;

/// What was looked at so far.
#[derive(Default)]
pub(crate) struct Seen {
    /// What was decoded, under each name that it came with, and once under none.
    decoded: HashSet<(Place, Option<String>)>,
    /// Of these, texts that all clients show and that are no samples.
    texts: HashSet<Place>,
    /// The leaves, by where they start and how long they are without line ends around them.
    leaves: HashSet<(usize, usize)>,
    /// The leaves, by where they stand, that may hide parts.
    suspects: Vec<Range<usize>>,
    /// Messages that were walked over.
    messages: Vec<Bytes>,
}

/// What there is to do with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// They are new, or their name is.
    New,
    /// They are a text that was no sample and now is one, since clients may show it in some other way.
    Text,
    /// Nothing more comes of them.
    Known,
}

impl Place {
    /// That of `content`.
    pub(crate) fn of(content: &Content) -> Self {
        let Content { source, decoding } = content;
        Self { start: source.as_ptr().addr(), length: source.len(), decoding: *decoding }
    }
}

impl Seen {
    /// A walk comes to what is at `place`, under `name`.
    pub(crate) fn look(&mut self, place: Place, name: Option<&String>) -> Look {
        if self.is_new(place, name) { Look::New } else { Look::Known }
    }

    /// The reading without structure comes to what is at `place`, under `name`. What it found under no name is new under
    /// one only if that makes it more dangerous. Texts are samples where the message is `ambiguous`.
    pub(crate) fn look_again(&mut self, place: Place, name: Option<&String>, ambiguous: bool) -> Look {
        let text = ambiguous && self.texts.remove(&place);
        let harmless = danger(name.map(String::as_str)) == 0;
        let known = harmless && self.decoded.contains(&(place, None));
        let new = self.is_new(place, name);
        match (text, known, new) {
            (true, ..) => Look::Text,
            (_, false, true) => Look::New,
            _ => Look::Known,
        }
    }

    /// True where what is at `place` was looked at under `name`.
    pub(crate) fn knows(&self, place: Place, name: Option<&String>) -> bool {
        self.decoded.contains(&(place, name.cloned()))
    }

    fn is_new(&mut self, place: Place, name: Option<&String>) -> bool {
        let new = self.decoded.insert((place, name.cloned()));
        if new {
            self.decoded.insert((place, None));
        }
        new
    }

    /// What is at `place` is a text and no sample.
    pub(crate) fn text(&mut self, place: Place) {
        self.texts.insert(place);
    }

    /// A leaf consists of `source`.
    pub(crate) fn leaf(&mut self, source: &Bytes) {
        self.leaves.insert(without_line_ends(source));
    }

    /// True where a leaf consists of `source`, but for line ends before and behind it, however it is decoded.
    pub(crate) fn is_leaf(&self, source: &Bytes) -> bool {
        self.leaves.contains(&without_line_ends(source))
    }

    /// The leaf that consists of `source` may hide parts. False where more would be remembered than can be looked through.
    pub(crate) fn suspect(&mut self, source: &Bytes) -> bool {
        let range = address(source);
        if !self.suspects.contains(&range) {
            self.suspects.push(range);
        }
        self.suspects.len() < MOST_SUSPECTS
    }

    /// True where a leaf may hide parts.
    pub(crate) fn has_suspects(&self) -> bool {
        !self.suspects.is_empty()
    }

    /// True where `piece` is part of a leaf that may hide parts, or holds one.
    pub(crate) fn is_suspect(&self, piece: &Bytes) -> bool {
        let piece = address(piece);
        self.suspects.iter().any(|leaf| leaf.start < piece.end && piece.start < leaf.end)
    }

    /// A walk goes over `message`. False where more than `most` would be remembered.
    pub(crate) fn message(&mut self, message: &Bytes, most: usize) -> bool {
        let same = |other: &Bytes| other.as_ptr() == message.as_ptr() && other.len() == message.len();
        if self.messages.iter().any(same) {
            return true;
        }
        let fits = self.messages.len() < most;
        if fits {
            self.messages.push(message.clone());
        }
        fits
    }

    /// The messages that were walked over, without those that are part of another in memory.
    pub(crate) fn outermost_messages(&self) -> Vec<Bytes> {
        let range = |bytes: &Bytes| bytes.as_ptr_range();
        let mut outer: Vec<Bytes> = Vec::new();
        for message in &self.messages {
            let holds_it = |other: &Bytes| {
                range(other).start <= range(message).start && range(message).end <= range(other).end
            };
            if !outer.iter().any(holds_it) {
                outer.push(message.clone());
            }
        }
        outer
    }
}

/// Where `bytes` stand in memory.
fn address(bytes: &Bytes) -> Range<usize> {
    let start = bytes.as_ptr().addr();
    start..start + bytes.len()
}

/// Where `source` starts in memory and how long it is, without line ends before and behind it.
fn without_line_ends(source: &Bytes) -> (usize, usize) {
    let is_end = |byte: &&u8| matches!(**byte, b'\r' | b'\n');
    let before = source.iter().take_while(is_end).count();
    let behind = source[before..].iter().rev().take_while(is_end).count();
    (source.as_ptr().addr() + before, source.len() - before - behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(source: &Bytes) -> Place {
        Place::of(&Content { source: source.clone(), decoding: Decoding::Identity })
    }

    #[test]
    fn bytes_are_new_once_under_each_name() {
        let (mut seen, bytes) = (Seen::default(), Bytes::from_static(b"MZ"));
        let (text, program) = ("x.txt".to_owned(), "x.exe".to_owned());
        assert_eq!(seen.look(place(&bytes), Some(&text)), Look::New);
        assert_eq!(seen.look(place(&bytes), Some(&text)), Look::Known);
        assert!(seen.knows(place(&bytes), Some(&text)) && !seen.knows(place(&bytes), Some(&program)));
        assert_eq!(seen.look(place(&bytes), Some(&program)), Look::New);
        assert_eq!(seen.look(place(&bytes), None), Look::Known, "a name says more than none");
        assert_eq!(seen.look(place(&bytes.slice(1..)), None), Look::New);
    }

    #[test]
    fn what_the_structure_gave_is_new_without_it_only_under_a_more_dangerous_name() {
        let (mut seen, bytes) = (Seen::default(), Bytes::from_static(b"MZ"));
        seen.look(place(&bytes), None);
        let (text, program) = ("x.txt".to_owned(), "x.exe".to_owned());
        assert_eq!(seen.look_again(place(&bytes), Some(&text), true), Look::Known);
        assert_eq!(seen.look_again(place(&bytes), Some(&program), true), Look::New);
        assert_eq!(seen.look_again(place(&bytes), Some(&program), true), Look::Known);
    }

    #[test]
    fn a_text_of_an_ambiguous_message_is_looked_at_once_more() {
        let (mut seen, bytes) = (Seen::default(), Bytes::from_static(b"Hello"));
        seen.look(place(&bytes), None);
        seen.text(place(&bytes));
        assert_eq!(seen.look_again(place(&bytes), None, false), Look::Known);
        assert_eq!(seen.look_again(place(&bytes), None, true), Look::Text);
        assert_eq!(seen.look_again(place(&bytes), None, true), Look::Known);
    }

    #[test]
    fn of_messages_inside_each_other_the_outermost_is_kept() {
        let (mut seen, outer) = (Seen::default(), Bytes::from_static(b"A: b\n\nC: d\n\n"));
        assert!(seen.message(&outer, 2) && seen.message(&outer, 1), "the same one is no further one");
        assert!(seen.message(&outer.slice(6..), 2));
        assert!(!seen.message(&outer.slice(8..), 2), "one too many");
        assert_eq!(seen.outermost_messages(), [outer]);
    }
}
