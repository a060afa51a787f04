// SPDX-License-Identifier: GPL-3.0-or-later
//! Stalwart sends the whole message where the milter protocol has its body, after the same header fields one by one. Read
//! as it comes, the header would stand in the message twice, and the second one would be text of the first part.

use bytes::Bytes;

/// What Stalwart's macro `{daemon_name}` says.
pub const STALWART: &[u8] = b"Stalwart";

/// The message without its first `header` bytes (the header as it came field by field, with its empty line), where what
/// follows begins with the same fields again. Else the message as it is: two headers that differ are both looked at.
pub fn once(message: Bytes, header: usize) -> Bytes {
    match message.split_at_checked(header) {
        Some((given, rest)) if header > 0 && fields(given).eq(fields(rest)) => message.slice(header..),
        _ => message,
    }
}

/// The fields up to the empty line, each as its name and the words of its value: blanks and folds differ.
fn fields(header: &[u8]) -> impl Iterator<Item = (&[u8], Vec<&[u8]>)> {
    let mut rest = header;
    std::iter::from_fn(move || {
        let mut end = 0;
        loop {
            let line =
                rest[end..].iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| end + at + 1);
            let first = end == 0;
            if first && rest[..line].trim_ascii_end().is_empty() {
                return None;
            }
            end = line;
            if !matches!(rest.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (field, behind) = rest.split_at(end);
        rest = behind;
        let colon = field.iter().position(|byte| *byte == b':').unwrap_or(field.len());
        let (name, value) = field.split_at(colon);
        let words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let words = words.map(|word| word.strip_prefix(b":").unwrap_or(word)).filter(|word| !word.is_empty());
        Some((name.trim_ascii(), words.collect()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &str, rest: &str) -> String {
        let message = Bytes::from(format!("{given}{rest}"));
        String::from_utf8(once(message, given.len()).to_vec()).unwrap()
    }

    #[test]
    fn a_header_that_comes_twice_is_read_once() {
        let given = "From:a@x\r\nSubject:a long\n one\r\nX-Empty:\r\n\r\n";
        let whole = "From: a@x\r\nSubject: a long\r\n\tone\r\nX-Empty: \r\n\r\nbody\r\n\r\nFrom: b\r\n";
        assert_eq!(read(given, whole), whole);
        for other in [
            "From: a@x\r\nSubject: a long\r\n\tone\r\n\r\nbody",
            "From: a@x\r\nSubject: a long\r\n\tone\r\nX-Empty: \r\nX-More: 1\r\n\r\nbody",
            "From: a@x\r\nSubject: a longone\r\nX-Empty: \r\n\r\nbody",
            "From: b@x\r\nSubject: a long\r\n\tone\r\nX-Empty: \r\n\r\nbody",
            "\r\nFrom: a@x",
            "body",
            "",
        ] {
            assert_eq!(read(given, other), format!("{given}{other}"));
        }
        assert_eq!(read("", whole), whole);
        assert_eq!(read("\r\n", "\r\nbody"), "\r\nbody", "a message without a header");
    }
}
