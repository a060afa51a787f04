// SPDX-License-Identifier: GPL-3.0-or-later
//! Base64 (RFC 2045 section 6.8) as mail clients read it.

use encodify::base64::LENIENT;
use memchr::memchr;

/// Appends `source`, decoded. False where it had to skip more than white space, which is slower.
pub(super) fn decode(source: &[u8], out: &mut Vec<u8>) -> bool {
    let clean = LENIENT.decode_append(source, out).is_ok();
    if !clean {
        let clean: Vec<u8> = source.iter().copied().filter(|&byte| belongs(byte)).collect();
        // Nothing is left that it could refuse.
        let _ = LENIENT.decode_append(&clean, out);
    }
    clean
}

/// Where the first padding ends, if data follows it.
pub(in crate::extract) fn padding_end(source: &[u8]) -> Option<usize> {
    let start = memchr(b'=', source)?;
    let ignored = |byte: &u8| *byte == b'=' || byte.is_ascii_whitespace();
    let end = start + source[start..].iter().take_while(|&byte| ignored(byte)).count();
    (end < source.len()).then_some(end)
}

/// Where the first byte stands that is neither alphabet, padding nor white space.
pub(in crate::extract) fn first_junk(source: &[u8]) -> Option<usize> {
    source.iter().position(|&byte| !belongs(byte) && !byte.is_ascii_whitespace())
}

pub(in crate::extract) fn belongs(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(source: &str) -> String {
        let mut out = Vec::new();
        decode(source.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn junk_is_skipped_and_padding_does_not_end_it() {
        for source in [
            "Zm9vYmFy",
            "Zm9v\r\nYmFy\n",
            "Z#m9.v!YmF-y",
            "Zm8=b2I=YXI=",
            "Zg==\r\nb28=\nYmFy",
            "Zm9vYmFy====",
        ] {
            assert_eq!(decoded(source), "foobar", "{source}");
        }
        assert_eq!(decoded("Zm9vYmE"), "fooba", "a tail without padding");
        assert_eq!(decoded("Zm9vY"), "foo", "six bits are no byte");
    }

    #[test]
    fn what_follows_padding_and_where_junk_starts_is_told() {
        assert_eq!(padding_end(b"Zg==\r\n"), None);
        assert_eq!(padding_end(b"Zg==\r\nZg=="), Some(6));
        assert_eq!(first_junk(b"Zg==\r\n"), None);
        assert_eq!(first_junk(b"Z\r\n#"), Some(3));
    }
}
