// SPDX-License-Identifier: GPL-3.0-or-later
//! The ways in which readers differ about base64 that is malformed.

use super::{PADDING, Quantum, VALUES, append, belongs, symbols};
use crate::bytewise;

/// What reads malformed base64 differently from [`super::decode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Dialect {
    /// Each line on its own: whole quanta count, what is left of them does not.
    Lines,
    /// Each line on its own, with what is left of the last quantum.
    LineTails,
    /// Lines that hold anything else do not count.
    CleanLines,
    /// Each line up to the first byte that does not belong there.
    CutLines,
    /// Four at a time, where `=` is a zero that shortens its quantum (Thunderbird).
    Quanta,
    /// Four at a time, where `=` is a zero (Apple Mail).
    Zeros,
    /// `-` and `_` stand for the last two symbols (RFC 4648 section 5), as JavaScript's decoders have it.
    UrlSafe,
    /// Padding is skipped like anything else that does not belong there.
    Joined,
}

impl Dialect {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Lines,
        Self::LineTails,
        Self::CleanLines,
        Self::CutLines,
        Self::Quanta,
        Self::Zeros,
        Self::UrlSafe,
        Self::Joined,
    ];

    /// Its name for people.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Lines => "base64, line by line",
            Self::LineTails => "base64, line by line with tails",
            Self::CleanLines => "base64, clean lines only",
            Self::CutLines => "base64, lines up to junk",
            Self::Quanta => "base64, padding shortens its quantum",
            Self::Zeros => "base64, padding is zero",
            Self::UrlSafe => "base64, URL alphabet",
            Self::Joined => "base64, padding skipped",
        }
    }
}

/// Appends `source`, decoded as `dialect` says.
pub(in crate::decode) fn decode_as(dialect: Dialect, source: &[u8], out: &mut Vec<u8>) {
    let bytes = source.iter().copied();
    match dialect {
        Dialect::Lines | Dialect::LineTails => {
            for line in lines(source) {
                let all = bytewise::count(line, belongs);
                let end = symbols(line).take_while(|&byte| byte != b'=').count();
                // A padded quantum is a whole one.
                let tail = dialect == Dialect::LineTails || end < all && end % 4 + (all - end) >= 4;
                append(symbols(line).take(if tail { end } else { end / 4 * 4 }), out);
            }
        }
        Dialect::CleanLines => {
            let clean = lines(source).map(<[u8]>::trim_ascii).filter(|line| bytewise::all(line, belongs));
            append(clean.flatten().copied(), out);
        }
        Dialect::CutLines => {
            let cut = lines(source)
                .map(<[u8]>::trim_ascii_start)
                .flat_map(|line| line.iter().copied().take_while(|&byte| belongs(byte) && byte != b'='));
            append(cut, out);
        }
        Dialect::UrlSafe => {
            let standard = bytes.map(|byte| match byte {
                b'-' => b'+',
                b'_' => b'/',
                other => other,
            });
            append(standard, out);
        }
        Dialect::Joined => append(bytes.filter(|&byte| byte != b'='), out),
        Dialect::Quanta => quanta(source, true, out),
        Dialect::Zeros => quanta(source, false, out),
    }
}

/// Decodes four at a time with `=` as a zero; what ends the data shortens it, and where `shorten` every one does.
fn quanta(source: &[u8], shorten: bool, out: &mut Vec<u8>) {
    let (mut quantum, mut zeros) = (Quantum::default(), 0);
    // What is left of the last one ends like the others.
    let values = symbols(source).map(|byte| Some(VALUES[usize::from(byte)])).chain([None]);
    for value in values {
        zeros += usize::from(value == Some(PADDING));
        if value.is_none_or(|value| quantum.push(value % PADDING)) {
            let before = out.len();
            quantum.end(out);
            if shorten {
                out.truncate(before.max(out.len().saturating_sub(zeros)));
            }
            zeros = 0;
        }
    }
    if !shorten {
        let padding = symbols(source).rev().take_while(|&byte| byte == b'=').count().min(2);
        out.truncate(out.len().saturating_sub(padding));
    }
}

fn lines(source: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(source);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = bytewise::find2(b'\r', b'\n', text);
        rest = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(dialect: Dialect, source: &str) -> String {
        let mut out = Vec::new();
        decode_as(dialect, source.as_bytes(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn every_dialect_reads_what_it_is_for() {
        for (dialect, source) in [
            (Dialect::Lines, "Zm9vX\r\nYmFyXX\nXX"),
            (Dialect::Lines, "Zm9vXX\r\nYmE=\r\ncg==AA==\n"),
            (Dialect::LineTails, "Zm8\r\nb2I\r\nYX!I"),
            (Dialect::CleanLines, "Zm9v\r\nhello there.\r\n YmFy \r\n"),
            (Dialect::CutLines, "Zm9v#abc\r\nYmFy#def"),
            (Dialect::UrlSafe, "Zm9vYm#Fy"),
            (Dialect::Joined, "Zm=9v=YmFy"),
            (Dialect::Quanta, "Zm9vYm==YQ==cg=="),
        ] {
            assert_eq!(read_as(dialect, source), "foobar", "{dialect:?}");
        }
        assert_eq!(read_as(Dialect::Quanta, "Q=BDQUJD"), "@\0ABC");
        assert_eq!(read_as(Dialect::UrlSafe, "Pz8_Pj4-"), "???>>>");
        assert_eq!(read_as(Dialect::Zeros, "Q=BDQUI="), "@\0CAB");
    }
}
