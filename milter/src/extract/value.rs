// SPDX-License-Identifier: GPL-3.0-or-later
//! The value of a structured field: a token and its parameters (RFC 2045 section 5.1, RFC 2231, RFC 2183).
//!
//! A parameter can stand there more than once, plain, encoded and in sections, and readers choose differently among
//! them. So [`Value::all`] gives every value that one of them would take. All work is linear in the field.

use encodify::rfc2047;
use mail_parser::decoders::charsets::map::charset_decoder;

/// What is read of one field; the MTAs cut at about as much.
pub(super) const MAX_FIELD: usize = 128 * 1024;
/// Characters of a file name, from its end, where the extension is.
const MAX_NAME: usize = 255;
/// Bytes of an encoded file name, from its end.
const MAX_ENCODED_NAME: usize = 8 * 1024;
/// The parameters that are kept, and how many of them.
const KEPT: [&[u8]; 3] = [b"boundary", b"filename", b"name"];
const MAX_KEPT: usize = 1000;

/// A field's value, taken apart.
#[derive(Default)]
pub(super) struct Value {
    /// What stands before the parameters, in lower case.
    pub token: String,
    parameters: Vec<Parameter>,
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
    pub fn parse(field: &[u8]) -> Self {
        let field = without_comments(&field[..field.len().min(MAX_FIELD)]);
        let field = field.trim_ascii_start();
        let end = field.iter().position(|byte| matches!(byte, b';' | b',')).unwrap_or(field.len());
        let token = field[..end].trim_ascii();
        let token = token.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
        let token = String::from_utf8_lossy(token.trim_ascii()).replace('"', "").to_ascii_lowercase();
        let mut rest = &field[end.min(field.len())..];
        if token.len() < end {
            // A parameter without its semicolon: `multipart/mixed boundary=x`.
            rest = &field[token.len().min(field.len())..];
        }
        Self { token, parameters: parameters(rest) }
    }

    /// Every value of parameter `name` that a reader could take, raw and without repetitions: the plain ones in
    /// order, then the ones of RFC 2231.
    pub fn all(&self, name: &str) -> Vec<Vec<u8>> {
        let mut found: Vec<Vec<u8>> = Vec::new();
        for (value, _) in self.plain(name).chain(self.extended(name)) {
            if !found.contains(&value) {
                found.truncate(7);
                found.push(value);
            }
        }
        found
    }

    /// Every file name under parameter `name`, the one that most clients show first.
    pub fn names(&self, name: &str) -> Vec<String> {
        let plain = self.plain(name).take(4).map(|(value, _)| decoded_words(&value));
        let extended = self.extended(name).take(4).map(|(value, charset)| converted(&value, &charset));
        extended.chain(plain).map(|name| shown(&name)).filter(|name| !name.is_empty()).collect()
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().filter(move |parameter| parameter.name == name.as_bytes())
    }

    fn plain(&self, name: &str) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        self.named(name)
            .filter(|parameter| parameter.section.is_none() && !parameter.extended)
            .map(|parameter| (parameter.value.clone(), Vec::new()))
    }

    fn extended(&self, name: &str) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        let whole = self
            .named(name)
            .filter(|parameter| parameter.section.is_none() && parameter.extended)
            .map(|parameter| charset_and_bytes(&parameter.value));
        whole.chain(self.sections(name))
    }

    /// The value that sections make together; gaps are closed, of two sections with one number the first counts.
    fn sections(&self, name: &str) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut sections: Vec<_> = self.named(name).filter(|section| section.section.is_some()).collect();
        sections.sort_by_key(|parameter| parameter.section);
        sections.dedup_by_key(|parameter| parameter.section);
        let (mut value, mut charset) = (Vec::new(), Vec::new());
        for (index, section) in sections.iter().enumerate() {
            if section.extended && index == 0 {
                (value, charset) = charset_and_bytes(&section.value);
            } else if section.extended {
                value.extend(percent_decoded(&section.value));
            } else {
                value.extend(&section.value);
            }
        }
        (!sections.is_empty()).then_some((value, charset))
    }
}

/// `field` without its comments and line ends. A comment that never ends is none.
pub(super) fn without_comments(field: &[u8]) -> Vec<u8> {
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
        kept.extend(parameter(name, value));
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
fn charset_and_bytes(value: &[u8]) -> (Vec<u8>, Vec<u8>) {
    match *value.splitn(3, |&byte| byte == b'\'').collect::<Vec<_>>() {
        [charset, _, bytes] => (percent_decoded(bytes), charset.to_vec()),
        _ => (percent_decoded(value), Vec::new()),
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

fn decoded_words(value: &[u8]) -> String {
    let value = &value[value.len().saturating_sub(MAX_ENCODED_NAME)..];
    rfc2047::decode_text(value, |charset, bytes, text| text.push_str(&converted(bytes, charset))).into_owned()
}

fn converted(bytes: &[u8], charset: &[u8]) -> String {
    match charset_decoder(charset) {
        Some(decode) if !charset.is_empty() => decode(bytes),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// As a client shows it: no control characters, no endless ones.
fn shown(name: &str) -> String {
    let name: Vec<char> = name.trim().chars().filter(|character| !character.is_control()).collect();
    name[name.len().saturating_sub(MAX_NAME)..].iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boundary(field: &str) -> Vec<String> {
        let all = Value::parse(field.as_bytes()).all("boundary");
        all.into_iter().map(|value| String::from_utf8(value).unwrap()).collect()
    }

    fn name(field: &str) -> Vec<String> {
        Value::parse(field.as_bytes()).names("filename")
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
                (value.token.as_str(), boundary(field)),
                ("multipart/mixed", vec!["a".to_owned()]),
                "{field}"
            );
        }
    }

    #[test]
    fn every_boundary_is_kept() {
        assert_eq!(
            boundary("multipart/mixed; boundary=a; boundary=b; boundary*1=d; boundary*0=c"),
            ["a", "b", "cd"]
        );
    }

    #[test]
    fn a_comment_that_never_ends_hides_nothing() {
        assert_eq!(boundary("multipart/mixed; (((( boundary=x; boundary=a"), ["x", "a"]);
    }

    #[test]
    fn names_of_rfc_2231_and_2047_are_decoded() {
        assert_eq!(name("attachment; filename*=utf-8'de'%e2%82%ac.exe; filename=x.txt"), ["€.exe", "x.txt"]);
        assert_eq!(name("attachment; filename*1=b.exe; filename*0*=iso-8859-1''%fc"), ["üb.exe"]);
        assert_eq!(name("attachment; filename=\"=?utf-8?B?4oKsLmV4ZQ==?=\""), ["€.exe"]);
        assert_eq!(name("attachment; filename=\"a\\\"b\0c.exe\""), ["a\"bc.exe"]);
        assert_eq!(name("attachment; filename=a b.exe"), ["a b.exe"]);
    }

    #[test]
    fn hostile_fields_cost_what_they_are_long() {
        for unit in ["(", "\"", "boundary*1=x;", "=?utf-8?", "filename*0*=''%", ";", "\\", "'=;"] {
            let value = Value::parse(unit.repeat(4_000_000 / unit.len()).as_bytes());
            value.all("boundary");
            value.names("filename");
            let name = Value::parse(format!("x; filename=\"{}\"", unit.repeat(100_000)).as_bytes());
            name.names("filename");
        }
    }
}
