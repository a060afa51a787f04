// SPDX-License-Identifier: GPL-3.0-or-later
//! The basic encoding rules of ASN.1 (X.690), as far as it takes to find a content.
//!
//! Mail clients hand the content on while they read, and notice only afterwards that something is wrong with the rest. So
//! this reader takes what is there: it checks nothing, and what is cut ends where the bytes do. Levels are counted, not
//! stacked: nesting costs neither stack nor memory.

use bytes::Bytes;
use std::ops::Range;

pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
/// The tag `[0]` around another element.
pub(super) const EXPLICIT_0: u8 = 0xa0;
const OCTET_STRING: u8 = 0x04;
const CONSTRUCTED: u8 = 0x20;
const INDEFINITE: u8 = 0x80;
const END: &[u8] = &[0, 0];

/// An element of `bytes`.
#[derive(Clone, Debug)]
pub(super) struct Element {
    /// Its first byte: class, form and number.
    pub(crate) tag: u8,
    /// Where its content stands; to the end of what is around it, where the length is indefinite.
    pub(crate) content: Range<usize>,
    /// The content ends where an end marker says so.
    indefinite: bool,
}

impl Element {
    /// The element at the start of `range`.
    pub(crate) fn at(bytes: &[u8], range: Range<usize>) -> Option<Self> {
        let mut rest = bytes.get(range.clone())?.iter();
        let tag = *rest.next()?;
        if tag & 0x1f == 0x1f {
            rest.find(|&&byte| byte < 0x80)?;
        }
        let length = match *rest.next()? {
            INDEFINITE if tag & CONSTRUCTED > 0 => None,
            short @ ..=0x7f => Some(usize::from(short)),
            long => {
                let length = rest.by_ref().take(usize::from(long & 0x7f)).fold(0_usize, |length, &byte| {
                    if length > usize::MAX >> 8 { usize::MAX } else { length << 8 | usize::from(byte) }
                });
                Some(length)
            }
        };
        let start = range.end - rest.len();
        let end = length.map_or(range.end, |length| start.saturating_add(length).min(range.end));
        Some(Self { tag, content: start..end, indefinite: length.is_none() })
    }

    /// The first element inside.
    pub(crate) fn first(&self, bytes: &[u8]) -> Option<Self> {
        Self::at(bytes, self.content.clone()).filter(|_| !self.ends_at(bytes, self.content.start))
    }

    /// The element after `child`, which is inside.
    pub(crate) fn after(&self, bytes: &[u8], child: &Self) -> Option<Self> {
        let start = child.end(bytes);
        Self::at(bytes, start..self.content.end).filter(|_| !self.ends_at(bytes, start))
    }

    /// The content of an octet string: its own, or that of all strings inside. None where it is no octet string.
    pub(crate) fn octets(&self, bytes: &Bytes) -> Option<Bytes> {
        match self.tag & !CONSTRUCTED {
            OCTET_STRING if self.tag & CONSTRUCTED == 0 => return Some(bytes.slice(self.content.clone())),
            OCTET_STRING => (),
            _ => return None,
        }
        // Joined only where there are several: each can be of a single byte.
        let (mut first, mut joined) = (0..0, Vec::new());
        self.walk(bytes, |inside| {
            let string = if inside.tag == OCTET_STRING { inside.content.clone() } else { 0..0 };
            if first.is_empty() {
                first = string;
            } else if !string.is_empty() {
                if joined.is_empty() {
                    joined.extend_from_slice(&bytes[first.clone()]);
                }
                joined.extend_from_slice(&bytes[string]);
            }
            inside.tag & CONSTRUCTED > 0
        });
        Some(if joined.is_empty() { bytes.slice(first) } else { joined.into() })
    }

    /// Where the next element starts.
    fn end(&self, bytes: &[u8]) -> usize {
        if self.indefinite { self.walk(bytes, |inside| inside.indefinite) } else { self.content.end }
    }

    /// Shows each element inside to `enter`, and goes into it where that says so: it must for an indefinite one. Returns
    /// where the next element after this one starts.
    fn walk(&self, bytes: &[u8], mut enter: impl FnMut(&Self) -> bool) -> usize {
        let (mut at, mut open) = (self.content.start, 0_usize);
        while at < self.content.end {
            if bytes[at..].starts_with(END) {
                at += END.len();
                if open == 0 {
                    return if self.indefinite { at } else { self.content.end };
                }
                open -= 1;
            } else if let Some(inside) = Self::at(bytes, at..self.content.end) {
                at = if enter(&inside) {
                    open += usize::from(inside.indefinite);
                    inside.content.start
                } else {
                    inside.content.end
                };
            } else {
                break;
            }
        }
        self.content.end
    }

    fn ends_at(&self, bytes: &[u8], at: usize) -> bool {
        self.indefinite && bytes[at..].starts_with(END)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(bytes: &'static [u8]) -> Option<Bytes> {
        let bytes = Bytes::from_static(bytes);
        Element::at(&bytes, 0..bytes.len()).and_then(|element| element.octets(&bytes))
    }

    #[test]
    fn strings_in_strings_are_one() {
        assert_eq!(octets(b"\x04\x03Catx").unwrap(), "Cat");
        assert_eq!(octets(b"\x04\x81\x03Catx").unwrap(), "Cat");
        assert_eq!(octets(b"\x04\x89\xff\xff\xff\xff\xff\xff\xff\xff\xffCat").unwrap(), "Cat", "cut");
        assert_eq!(octets(b"\x24\x05\x04\x03Cat\x04\x01x").unwrap(), "Cat");
        assert_eq!(
            octets(b"\x24\x80\x04\x01C\x24\x80\x04\x01a\x24\x03\x04\x01t\0\0\0\0\x04\x01x").unwrap(),
            "Cat"
        );
        assert_eq!(octets(b"\x24\x80\x04\x02Ca\x02\x01x\x04\x02t").unwrap(), "Cat", "cut, with an integer");
        assert_eq!(
            octets(b"$\x80$\x80$\x80\x04\x01C\0\0\x04\x01a\0\0\x04\x01t\0\0\x04\x01x").unwrap(),
            "Cat"
        );
        assert_eq!(octets(b"\x30\x05\x04\x03Cat"), None);
    }

    #[test]
    fn the_elements_of_a_sequence_come_in_order_whatever_their_form() {
        let bytes =
            b"\x30\x80\x02\x01\x07\x30\x80\x24\x80\x04\x01x\0\0\0\0\x9f\x81\x01\x01y\x05\x00\0\0\x02\x01\x01";
        let sequence = Element::at(bytes, 0..bytes.len()).unwrap();
        let next = |last: &Element| sequence.after(bytes, last);
        let tags: Vec<u8> =
            std::iter::successors(sequence.first(bytes), next).map(|element| element.tag).collect();
        assert_eq!(tags, [0x02, SEQUENCE, 0x9f, 0x05]);
    }

    #[test]
    fn nesting_without_end_costs_no_more_than_its_length() {
        for level in [&b"\x30\x80"[..], b"\x24\x80", b"\x04\x01", b"\x24\x82\xff\xff"] {
            let bytes = Bytes::from([b"\x24\x80", &level.repeat(1 << 18)[..]].concat());
            let string = Element::at(&bytes, 0..bytes.len()).unwrap();
            let octets = string.octets(&bytes).unwrap();
            assert!(octets.len() <= bytes.len());
            assert!(string.end(&bytes) <= bytes.len());
        }
    }
}
