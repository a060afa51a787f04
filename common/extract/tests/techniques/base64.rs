// SPDX-License-Identifier: GPL-3.0-or-later
//! Base64 that decoders read differently.

use super::{
    message::{Case, Encoding, Entity, Form},
    payload::{base64, noise, wrapped},
};

/// A form whose body is made from the payload.
fn form(label: &str, body: impl Fn(&[u8]) -> String + 'static) -> Form {
    let make = move |case: &Case| case.with_body(body(&case.payload).as_bytes());
    Form::new(label, make).only(&[Encoding::Base64])
}

/// `text` in pieces of `width` characters, each followed by `after`.
fn every(text: &str, width: usize, after: &str) -> String {
    wrapped(text, width).replace("\r\n", after) + after
}

/// Base64 of each piece on its own.
fn pieces(bytes: &[u8], size: usize, between: &str) -> String {
    let pieces: Vec<_> = bytes.chunks(size).map(base64).collect();
    pieces.join(between)
}

pub fn chunked() -> Vec<Form> {
    let mut forms = Vec::new();
    for size in [1, 2, 4, 5, 50, 64] {
        forms.push(form(&format!("{size} bytes a line"), move |bytes| pieces(bytes, size, "\r\n")));
        forms
            .push(form(&format!("{size} bytes a piece"), move |bytes| wrapped(&pieces(bytes, size, ""), 76)));
    }
    forms.push(form("one long line", |bytes| pieces(bytes, 1, "")));
    forms.push(form("a blank line between", |bytes| pieces(bytes, 10, "\r\n\r\n")));
    forms.push(form("blanks between", |bytes| wrapped(&pieces(bytes, 10, "  "), 72)));
    forms.push(form("first piece short", |bytes| {
        format!("{}\r\n{}", base64(&bytes[..1]), wrapped(&base64(&bytes[1..]), 76))
    }));
    forms.push(form("last piece short", |bytes| {
        let (start, end) = bytes.split_at(bytes.len() / 3 * 3 - 5);
        format!("{}\r\n{}", wrapped(&base64(start), 76), base64(end))
    }));
    forms
}

pub fn junk() -> Vec<Form> {
    let mut forms = Vec::new();
    let junk = [
        "#", ":", ".", "%", "-", "_", "!", ",", "*", "\0", "\x7f", "\u{fc}", "\x08", "~", "\"", "(", ")",
        "--",
    ];
    for junk in junk {
        let label = format!("{junk:?} after each character");
        forms.push(form(&label, move |bytes| every(&every(&base64(bytes), 1, junk), 60, "\r\n")));
    }
    for blank in [" ", "\t", "\x0b", "\x0c", "\r", "\n", "\r\n", "\r\n\r\n", "  ", "\n\n", "\n\r"] {
        let form =
            form(&format!("{blank:?} after each character"), move |bytes| every(&base64(bytes), 1, blank));
        forms.push(form.agreed_if(!matches!(blank, "\x0b" | "\x0c")));
    }
    for junk in ["#", "-", "-_", "!\r\n", "=\u{2028}"] {
        forms.push(form(&format!("{junk:?} after each group"), move |bytes| every(&base64(bytes), 4, junk)));
    }
    for (label, start) in
        [("#", "#"), ("!! ", "!! "), ("a line", "!!!! ----\r\n"), ("-", "-"), ("\\0", "\0"), (">", ">")]
    {
        forms.push(form(&format!("{label:?} before it"), move |bytes| {
            format!("{start}{}", wrapped(&base64(bytes), 76))
        }));
    }
    forms.push(form("quoted", |bytes| every(&wrapped(&base64(bytes), 72), 74, "> ")));
    forms.push(form("quoted lines", |bytes| {
        format!("> {}", wrapped(&base64(bytes), 72).replace("\r\n", "\r\n> "))
    }));
    forms.push(form("one junk in the middle", |bytes| {
        let text = base64(bytes);
        let (start, end) = text.split_at(text.len() / 2);
        format!("{start}*{end}")
    }));
    forms
}

pub fn equals() -> Vec<Form> {
    let mut forms = Vec::new();
    for (label, between) in [
        ("= after each group", "="),
        ("== after each group", "=="),
        ("==== after each group", "===="),
        ("= line after each group", "\r\n=\r\n"),
        ("=. after each group", "=."),
    ] {
        forms.push(form(label, move |bytes| {
            let (start, end) = bytes.split_at(bytes.len() / 3 * 3 - 3);
            wrapped(&every(&base64(start), 4, between), 100) + "\r\n" + &base64(end)
        }));
    }
    for (label, start) in
        [("=", "="), ("==", "=="), ("====", "===="), ("====\\r\\n", "====\r\n"), ("=\\r\\n", "=\r\n")]
    {
        forms.push(form(&format!("{label} before it"), move |bytes| {
            format!("{start}{}", wrapped(&base64(bytes), 76))
        }));
        forms.push(form(&format!("{label} at each line's start"), move |bytes| {
            format!("{start}{}", wrapped(&base64(bytes), 76).replace("\r\n", &format!("\r\n{start}")))
        }));
    }
    for end in ["=", "==", "===", "\r\n====", "\r\n====\r\n====", "====="] {
        let form = form(&format!("{end:?} at the end"), move |bytes| wrapped(&base64(bytes), 76) + end);
        forms.push(form.agreed());
    }
    forms.push(form("= inside a group", |bytes| {
        let groups: Vec<_> = base64(bytes).as_bytes().chunks(4).map(inside).collect();
        wrapped(&groups.concat(), 75)
    }));
    forms.push(
        form("one = of two missing", |bytes| wrapped(base64(bytes).trim_end_matches('='), 76) + "=").agreed(),
    );
    for (label, size) in [("zip", 200_usize), ("more", 1000)] {
        forms.push(form(&format!("{label} after the padding"), move |bytes| {
            let other = [b"PK\x03\x04\x14\0", &noise(99, size)[..]].concat();
            format!("{}\r\n{}", padded(bytes), wrapped(&base64(&other), 76))
        }));
    }
    forms.push(form("junk after the padding", |bytes| padded(bytes) + "\r\nAAAAAAAA\r\nBBBB"));
    forms.push(form("text after the padding", |bytes| {
        padded(bytes) + "\r\n\r\nKind regards, the sender.\r\n"
    }));
    forms
}

/// `AB=CD`, unless the group has padding.
fn inside(group: &[u8]) -> String {
    let group = std::str::from_utf8(group).expect("base64 is ASCII");
    if group.contains('=') { group.into() } else { format!("{}={}", &group[..2], &group[2..]) }
}

/// Base64 that ends in padding: where there is none, a group of it that holds nothing.
fn padded(bytes: &[u8]) -> String {
    let text = base64(bytes);
    wrapped(&text, 76) + if text.ends_with('=') { "" } else { "====" }
}

pub fn zero_sextets() -> Vec<Form> {
    // Zeros behind the payload, so that there is an `A` in every place.
    let with = |label: &str, replace: fn(&[u8]) -> Vec<u8>| {
        let make = move |case: &Case| {
            let planted = [&case.payload[..], &[0; 9]].concat();
            let text = base64(&planted);
            let (groups, last) = text.as_bytes().split_at(text.len() - 4);
            let changed: Vec<u8> = groups.chunks(4).flat_map(replace).chain(last.iter().copied()).collect();
            let body = wrapped(std::str::from_utf8(&changed).expect("base64 is ASCII"), 76);
            Entity { planted: Some(planted), ..case.with_body(body.as_bytes()).into() }
        };
        Form::new(label, make).only(&[Encoding::Base64])
    };
    vec![
        with("every A", |group| group.iter().map(|&byte| if byte == b'A' { b'=' } else { byte }).collect()),
        with("first A", |group| at(group, 0)),
        with("second A", |group| at(group, 1)),
        with("third A", |group| at(group, 2)),
        with("last A", |group| at(group, 3)),
        with("= before the groups", |group| [b"=", group].concat()),
        with("= after the first character", |group| [&group[..1], b"=", &group[1..]].concat()),
        with("= after the third character", |group| [&group[..3], b"=", &group[3..]].concat()),
        form("X=A= for one byte", |bytes| {
            let (start, end) = bytes.split_at(bytes.len() / 2 / 3 * 3);
            let one: String = end.iter().map(|&byte| one_byte(byte)).collect();
            wrapped(&(base64(start) + &one), 76)
        }),
    ]
}

/// `group` with `=` for the `A` at `place`.
fn at(group: &[u8], place: usize) -> Vec<u8> {
    let mut group = group.to_vec();
    if group[place] == b'A' {
        group[place] = b'=';
    }
    group
}

/// A group that Thunderbird reads as one byte: an equals sign inside counts as zero and shortens what comes out. Only for
/// bytes whose last two bits are zero; others get an ordinary group.
fn one_byte(byte: u8) -> String {
    let text = base64(&[byte]);
    if byte & 3 == 0 { format!("{}=A=", &text[..1]) } else { text }
}

pub fn odd_lines() -> Vec<Form> {
    let mut forms = Vec::new();
    for width in [1, 2, 3, 4, 5, 6, 7, 77, 80, 1000] {
        forms.push(form(&format!("lines of {width}"), move |bytes| wrapped(&base64(bytes), width)).agreed());
    }
    for tail in ["A", "AB", "ABC", "=", "B="] {
        for width in [4, 76] {
            forms.push(form(&format!("{tail} after {width} on each line"), move |bytes| {
                let text = base64(bytes);
                let lines: Vec<_> =
                    text.as_bytes().chunks(width).map(|line| String::from_utf8_lossy(line)).collect();
                lines.join(&format!("{tail}\r\n"))
            }));
        }
    }
    forms.push(form("one long line", base64).agreed());
    forms
}

pub fn prefixes() -> Vec<Form> {
    let mut forms = Vec::new();
    for (label, start, end) in [
        ("begin-base64", "begin-base64 744 f\r\n", "\r\n===="),
        ("begin-base64 and a name", "begin-base64 644 file.exe\r\n", "\r\n====\r\n"),
        ("begin", "begin 644 f\r\n", "\r\nend"),
        ("A and an empty line", "A\r\n\r\n", ""),
        ("A", "A\r\n", ""),
        ("AB..", "AB..\r\n", ""),
        ("ABC..", "ABC..\r\n", ""),
        ("AB", "AB\r\n\r\n", ""),
        ("ABC", "ABC\r\n\r\n", ""),
        ("a field", "X-Foo: bar\r\n\r\n", ""),
        ("a text", "Please open the attachment:\r\n\r\n", ""),
        ("a text directly above", "Please open the attachment\r\n", ""),
        ("PEM", "-----BEGIN CERTIFICATE-----\r\n", "\r\n-----END CERTIFICATE-----"),
    ] {
        forms.push(form(label, move |bytes| format!("{start}{}{end}", wrapped(&base64(bytes), 76))));
    }
    forms
}

pub fn tails() -> Vec<Form> {
    let mut forms = Vec::new();
    for tail in ["#abce01234567", " #abcd", "(abcd)", ";abcd", "#abcd", "!abce01234567", ":abcdefgh"] {
        for width in [3, 4, 60] {
            forms.push(form(&format!("{width} characters and {tail:?}"), move |bytes| {
                every(&base64(bytes), width, &format!("{tail}\r\n"))
            }));
        }
    }
    forms
}

pub fn cut_off() -> Vec<Form> {
    let without = |bytes: &[u8]| wrapped(base64(bytes).trim_end_matches('='), 76);
    vec![
        form("no padding", without).agreed(),
        form("no padding, and a dot", move |bytes| without(bytes) + "."),
        form("no padding, and empty lines", move |bytes| without(bytes) + "\r\n\r\n").agreed(),
        Form::new("one character too many", |case: &Case| {
            let planted = case.payload[..case.payload.len() / 3 * 3].to_vec();
            let body = wrapped(&base64(&planted), 76) + "\r\nA";
            Entity { planted: Some(planted), ..case.with_body(body.as_bytes()).into() }
        })
        .only(&[Encoding::Base64])
        .agreed(),
    ]
}
