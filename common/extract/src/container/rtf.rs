// SPDX-License-Identifier: GPL-3.0-or-later
//! Compressed RTF (MS-OXRTFCP), the form in which Outlook keeps a body. It becomes at most eight times as long.

/// What the window holds at first.
const DICTIONARY: &[u8; 207] = b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \
    \\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \
    \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";
const WINDOW: usize = 4096;
const HEADER: usize = 16;

/// The text in `packed`: what is there of it, and no more than `limit` bytes and a few. None where it is no such text.
pub(super) fn decompress(packed: &[u8], limit: usize) -> Option<Vec<u8>> {
    let body = packed.get(HEADER..)?;
    match &packed[8..12] {
        b"LZFu" => Some(expand(body, limit)),
        b"MELA" => Some(body[..body.len().min(limit)].to_vec()),
        _ => None,
    }
}

/// Groups of a byte with eight flags, the lowest first, and what they announce: a byte, or a place in the window and a
/// length. The place that comes next ends the text.
fn expand(body: &[u8], limit: usize) -> Vec<u8> {
    let mut window = [0; WINDOW];
    window[..DICTIONARY.len()].copy_from_slice(DICTIONARY);
    let (mut out, mut end, mut bytes) = (Vec::new(), DICTIONARY.len(), body.iter().copied());
    while let Some(flags) = bytes.next().filter(|_| out.len() < limit) {
        for flag in 0..8 {
            let Some(first) = bytes.next() else { return out };
            let reference = flags >> flag & 1 > 0;
            let second = if reference { bytes.next() } else { Some(0) };
            let Some(second) = second else { return out };
            let place = usize::from(first) << 4 | usize::from(second >> 4);
            if reference && place == end {
                return out;
            }
            let length = if reference { usize::from(second & 15) + 2 } else { 1 };
            for at in place..place + length {
                let byte = if reference { window[at % WINDOW] } else { first };
                out.push(byte);
                window[end] = byte;
                end = (end + 1) % WINDOW;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The first example of the specification.
    const SIMPLE: &[u8] =
        b"\x2d\0\0\0\x2b\0\0\0LZFu\xf1\xc5\xc7\xa7\x03\0\x0a\0rcpg125B2\x0a\xf3 hel\x09\0 bw\x05\xb0ld}\x0a\
        \x80\x0f\xa0";
    /// The second: a reference to what it writes.
    const CROSSING: &[u8] = b"\x1a\0\0\0\x1c\0\0\0LZFu\xe2\xd4\x4b\x51A\0\x04 WXYZ\x0dn}\x01\x0e\xb0";

    #[test]
    fn the_examples_of_the_specification_come_back() {
        let text = b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n";
        assert_eq!(decompress(SIMPLE, 1000).unwrap(), text);
        assert_eq!(decompress(CROSSING, 1000).unwrap(), b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}");
        assert_eq!(decompress(b"\x0f\0\0\0\x03\0\0\0MELA\0\0\0\0Cat", 1000).unwrap(), b"Cat");
        assert_eq!(decompress(&SIMPLE[..30], 1000).unwrap(), text[..23], "cut");
        assert_eq!(decompress(b"LZFu", 1000), None);
    }

    proptest! {
        #[test]
        fn no_input_panics_or_exceeds_the_limit(body: Vec<u8>, limit in 0..1000_usize) {
            let packed = [&SIMPLE[..HEADER], &body].concat();
            prop_assert!(decompress(&packed, limit).unwrap().len() < limit + 8 * 17);
        }
    }
}
