// SPDX-License-Identifier: GPL-3.0-or-later
//! The value of a structured field: a token and its parameters (RFC 2045 section 5.1, RFC 2231, RFC 2183).
//!
//! A parameter can stand there more than once, plain, encoded and in sections, and readers choose differently among
//! them. So [`Value::plain`] and [`Value::extended`] give every value that one of them would take. All work is linear in
//! the field.

use memchr::{memchr2_iter, memmem};

/// What is read of one field; the MTAs cut at about as much.
pub(crate) const MAX_FIELD: usize = 128 * 1024;
/// The parameters that are kept, and how many of them.
const KEPT: [&[u8]; 3] = [b"boundary", b"filename", b"name"];
const MAX_KEPT: usize = 1000;

/// A field's value, taken apart.
#[derive(Default)]
pub(crate) struct Value {
    /// What stands before the parameters, in lower case.
    pub(crate) token: String,
    /// Readers could see something else in it that decides how the body is read.
    pub(crate) odd: bool,
    parameters: Vec<Parameter>,
}

/// What a parameter says: its bytes, and their charset where it names one.
pub(crate) struct Text {
    pub(crate) bytes: Vec<u8>,
    pub(crate) charset: Vec<u8>,
}

struct Parameter {
    name: &'static [u8],
    /// Which section of a value in sections.
    section: Option<u32>,
    /// `name*=charset'language'%XX`, all or the first section of it.
    extended: bool,
    value: Vec<u8>,
}

impl Value {
    /// Takes `field` apart.
    pub(crate) fn parse(field: &[u8]) -> Self {
        let raw = &field[..field.len().min(MAX_FIELD)];
        let field = without_comments(raw);
        let field = field.trim_ascii_start();
        let end = field.iter().position(|byte| matches!(byte, b';' | b',')).unwrap_or(field.len());
        let token = field[..end].trim_ascii();
        let token = token.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
        let token = String::from_utf8_lossy(token.trim_ascii()).replace('"', "").to_ascii_lowercase();
        let mut rest = &field[end.min(field.len())..];
        if token.contains('=') {
            rest = field;
        } else if token.len() < end {
            // A parameter without its semicolon: `multipart/mixed boundary=x`.
            rest = &field[token.len().min(field.len())..];
        }
        let decisive = token.contains("multi") || contains_ignoring_case(raw, b"bound");
        let odd = !(token.is_empty() || is_media_type(&token)) || (decisive && !is_strict(raw));
        Self { token, odd, parameters: parameters(rest) }
    }

    /// The values of parameter `name` that are neither encoded nor in sections.
    pub(crate) fn plain(&self, name: &str) -> impl Iterator<Item = Text> {
        self.named(name)
            .filter(|parameter| parameter.section.is_none() && !parameter.extended)
            .map(|parameter| Text { bytes: parameter.value.clone(), charset: Vec::new() })
    }

    /// The values of parameter `name` by RFC 2231: the encoded ones, the one in sections, and what that is to readers who
    /// stop where a section lacks.
    pub(crate) fn extended(&self, name: &str) -> impl Iterator<Item = Text> {
        let whole = self
            .named(name)
            .filter(|parameter| parameter.section.is_none() && parameter.extended)
            .map(|parameter| charset_and_bytes(&parameter.value));
        let mut sections: Vec<_> = self.named(name).filter(|section| section.section.is_some()).collect();
        sections.sort_by_key(|parameter| parameter.section);
        // Of two sections with one number the first counts.
        sections.dedup_by_key(|parameter| parameter.section);
        let unbroken =
            (0..).zip(&sections).take_while(|(number, section)| section.section == Some(*number)).count();
        let all = joined(&sections);
        let up_to_gap = (unbroken < sections.len()).then(|| joined(&sections[..unbroken])).flatten();
        whole.chain(all).chain(up_to_gap)
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().filter(move |parameter| parameter.name == name.as_bytes())
    }
}

/// The value that `sections` make together.
fn joined(sections: &[&Parameter]) -> Option<Text> {
    let (first, others) = sections.split_first()?;
    let mut text = match first.extended {
        true => charset_and_bytes(&first.value),
        false => Text { bytes: first.value.clone(), charset: Vec::new() },
    };
    for section in others {
        match section.extended {
            true => text.bytes.extend(percent_decoded(&section.value)),
            false => text.bytes.extend(&section.value),
        }
    }
    Some(text)
}

pub(crate) fn is_media_type(token: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    token.split_once('/').is_some_and(|(kind, subtype)| {
        word(kind) && word(subtype) && (kind == "multipart" || !kind.contains("part"))
    })
}

/// True where `field` is written as RFC 2045 section 5.1 has it, with a boundary about which nobody could be in doubt.
fn is_strict(field: &[u8]) -> bool {
    let mut pieces = Vec::new();
    let (mut quoted, mut start) = (false, 0);
    for (at, &byte) in field.iter().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b';' if !quoted => {
                pieces.push(&field[start..at]);
                start = at + 1;
            }
            _ => (),
        }
    }
    pieces.push(&field[start..]);
    let (mut boundaries, count) = (0, pieces.len());
    let strict = pieces.into_iter().enumerate().all(|(index, piece)| {
        let piece = piece.trim_ascii();
        if index == 0 {
            return piece.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+/".contains(&byte));
        }
        let Some(sign) = piece.iter().position(|&byte| byte == b'=') else {
            return piece.is_empty() && index + 1 == count;
        };
        let (name, value) = (&piece[..sign], &piece[sign + 1..]);
        boundaries += usize::from(contains_ignoring_case(name, b"bound"));
        is_strict_parameter(name, value)
    });
    strict && !quoted && boundaries <= 1
}

fn is_strict_parameter(name: &[u8], value: &[u8]) -> bool {
    let inner = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    let name_fits =
        !name.is_empty() && name.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let ordinary = |byte: u8| byte.is_ascii_graphic() && !b"\"\\()<>@,;".contains(&byte);
    if !name.eq_ignore_ascii_case(b"boundary") {
        let visible = |&byte: &u8| byte == b' ' || (byte.is_ascii_graphic() && !b"\"\\".contains(&byte));
        let fits = inner.map_or(!value.is_empty() && value.iter().all(|&byte| ordinary(byte)), |inner| {
            inner.iter().all(visible)
        });
        return name_fits
            && fits
            && ![name, value].into_iter().any(|text| contains_ignoring_case(text, b"bound"));
    }
    let boundary = inner.unwrap_or(value);
    // In quotes RFC 2046 allows all of these, and Sun's and Apple's servers write parentheses.
    let quoted = |byte: u8| inner.is_some() && matches!(byte, b' ' | b'(' | b')' | b',');
    let plain = boundary.iter().all(|&byte| ordinary(byte) || quoted(byte));
    (1..=70).contains(&boundary.len())
        && plain
        && !boundary.ends_with(b" ")
        && !boundary.starts_with(b" ")
        && (inner.is_some() || !boundary.starts_with(b"="))
        && memmem::find(boundary, b"=?").is_none()
}

/// True where `needle`, in lower case, stands somewhere in `text`.
pub(crate) fn contains_ignoring_case(text: &[u8], needle: &[u8]) -> bool {
    let [first, ..] = needle else { return true };
    memchr2_iter(*first, first.to_ascii_uppercase(), text)
        .any(|at| text[at..].get(..needle.len()).is_some_and(|found| found.eq_ignore_ascii_case(needle)))
}

/// `field` without its comments and line ends. A comment that never ends is none.
pub(crate) fn without_comments(field: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(field.len());
    let (mut depth, mut opened, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for (at, &byte) in field.iter().enumerate() {
        let special = !std::mem::take(&mut escaped);
        match byte {
            b'\r' | b'\n' => continue,
            b'\\' if special && (quoted || depth > 0) => escaped = true,
            b'"' if special && depth == 0 => quoted = !quoted,
            b'(' if special && !quoted => {
                if depth == 0 {
                    opened = at;
                }
                depth += 1;
            }
            b')' if special && depth > 0 => {
                depth -= 1;
                continue;
            }
            _ => (),
        }
        if depth == 0 {
            clean.push(byte);
        }
    }
    if depth > 0 {
        clean.extend(field[opened..].iter().filter(|byte| !matches!(byte, b'\r' | b'\n')));
    }
    clean
}

fn parameters(mut rest: &[u8]) -> Vec<Parameter> {
    let mut kept = Vec::new();
    while !rest.is_empty() && kept.len() < MAX_KEPT {
        let Some(end) = rest.iter().position(|byte| matches!(byte, b'=' | b';')) else { break };
        let name = rest[..end].trim_ascii();
        if rest[end] == b';' {
            rest = &rest[end + 1..];
            continue;
        }
        let (value, after) = quoted_or_plain(&rest[end + 1..]);
        // `"invoice".exe`, `invoice;.exe`: some take what follows as well.
        let tail = after.iter().position(|&byte| byte == b';').unwrap_or(after.len());
        let next = after.iter().skip(1).position(|byte| matches!(byte, b';' | b'=' | b' '));
        let next = next.map_or(after.len(), |at| at + 1);
        let end = if matches!(after.get(next), None | Some(b';')) { next } else { tail };
        let more = after[..end.min(after.len())].trim_ascii();
        let longer = (more.len() > 1).then(|| [value.as_slice(), more].concat());
        kept.extend(parameter(name, value));
        kept.extend(longer.and_then(|value| parameter(name, value)));
        rest = after;
    }
    kept
}

/// The value at the start of `text`, and what follows it.
fn quoted_or_plain(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let text = text.trim_ascii_start();
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end = text.iter().position(|&byte| byte == b';').unwrap_or(text.len());
        return (text[..end].trim_ascii_end().to_vec(), &text[end..]);
    };
    let mut value = Vec::new();
    let mut bytes = quoted.iter().enumerate();
    while let Some((at, &byte)) = bytes.next() {
        match byte {
            b'"' => return (value, &quoted[at + 1..]),
            b'\\' => value.extend(bytes.next().map(|(_, &escaped)| escaped)),
            _ => value.push(byte),
        }
    }
    (value, &[])
}

fn parameter(name: &[u8], value: Vec<u8>) -> Option<Parameter> {
    let name = name.rsplit(|byte| byte.is_ascii_whitespace() || *byte == b',').next()?;
    let mut pieces = name.split(|&byte| byte == b'*');
    let name = pieces.next()?;
    let name = KEPT.into_iter().find(|kept| kept.eq_ignore_ascii_case(name))?;
    let pieces: Vec<&[u8]> = pieces.take(3).collect();
    let section = pieces.first().and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let extended = pieces.last().is_some_and(|last| last.is_empty());
    Some(Parameter { name, section, extended, value })
}

/// The decoded bytes and the charset of `charset'language'%XX`.
fn charset_and_bytes(value: &[u8]) -> Text {
    match *value.splitn(3, |&byte| byte == b'\'').collect::<Vec<_>>() {
        [charset, _, bytes] => Text { bytes: percent_decoded(bytes), charset: charset.to_vec() },
        _ => Text { bytes: percent_decoded(value), charset: Vec::new() },
    }
}

fn percent_decoded(value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut at = 0;
    while at < value.len() {
        let escape = value.get(at + 1..at + 3).filter(|_| value[at] == b'%');
        let escape = escape.and_then(|pair| encodify::hex::decode_pair(pair[0], pair[1]));
        bytes.push(escape.unwrap_or(value[at]));
        at += if escape.is_some() { 3 } else { 1 };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(field: &str, name: &str) -> Vec<String> {
        let value = Value::parse(field.as_bytes());
        let all = value.plain(name).chain(value.extended(name));
        all.map(|text| String::from_utf8_lossy(&text.bytes).into_owned()).collect()
    }

    #[test]
    fn a_boundary_is_found_quoted_commented_folded_and_without_its_semicolon() {
        for field in [
            "multipart/mixed; boundary=a;x=y",
            "multipart/mixed; x=\"1;boundary=z\"; BOUNDARY = \"a\"",
            "multipart/mixed (c(boundary=c)\\)); (x) boundary()=a",
            "multipart/mixed;\r\n\tboundary=\n a",
            "multipart/mixed boundary=a",
            "multipart/mixed; x:y=1; boundary=a",
            "multipart/mixed; boundary*=''%61",
            "multipart/mixed; boundary=(unclosed=a;b)a",
        ] {
            let value = Value::parse(field.as_bytes());
            assert_eq!(
                (value.token.as_str(), values(field, "boundary")),
                ("multipart/mixed", vec!["a".to_owned()]),
                "{field}"
            );
        }
    }

    #[test]
    fn every_value_is_kept() {
        assert_eq!(
            values("multipart/mixed; boundary=a; boundary=b; boundary*1=d; boundary*0=c", "boundary"),
            ["a", "b", "cd"]
        );
        assert_eq!(values("a; filename*0=x; filename*2=.exe", "filename"), ["x.exe", "x"]);
        assert_eq!(values("a; filename=\"x\".exe; name=y", "filename"), ["x", "x.exe"]);
    }

    #[test]
    fn a_comment_that_never_ends_hides_nothing() {
        assert_eq!(values("multipart/mixed; (((( boundary=x; boundary=a", "boundary"), ["x", "a"]);
    }

    #[test]
    fn what_programs_write_is_not_odd_and_the_rest_is() {
        for usual in [
            "multipart/mixed; boundary=\"----=_Part_1_2.3'x\"",
            "multipart/related;\r\n\ttype=\"text/html\"; boundary=\"=_a b\";",
            "multipart/signed; micalg=pgp-sha512; protocol=\"application/pgp-signature\"; boundary=x",
            "text/plain; charset=utf-8; format=flowed",
            "application/pdf; name=an invoice (1).pdf",
            "",
        ] {
            assert!(!Value::parse(usual.as_bytes()).odd, "{usual}");
        }
        for odd in [
            "multipart/mixed; boundary=a; boundary=b",
            "multipart/mixed; boundary*=''a",
            "multipart/mixed; boundary=\"=?us-ascii?Q?a?=\"",
            "multipart/mixed; boundary=(x)a",
            "multipart/mixed; boundary=\"a\\\"b\"",
            "multipart/mixed; boundary=\"a",
            "multipart/mixed; boundary=\"a;b\"",
            "multipart/mixed; foo=\"bla;boundary=x\"",
            "multipart/mixed boundary=a",
            "multipart/mixed; boundary=\"\"",
            "multipart/mixed; boundary =a",
            "multiparts/mixed",
            "multipart",
            "text/plain; boundary=a;;",
            "ultipart/mixed; x=a",
        ] {
            assert!(Value::parse(odd.as_bytes()).odd, "{odd}");
        }
    }

    #[test]
    fn hostile_fields_cost_what_they_are_long() {
        for unit in ["(", "\"", "boundary*1=x;", "=?utf-8?", "filename*0*=''%", ";", "\\", "'=;"] {
            values(&unit.repeat(4_000_000 / unit.len()), "boundary");
        }
    }
}
