// SPDX-License-Identifier: GPL-3.0-or-later
//! Quoted-printable that decoders read differently.

use super::message::{Case, Encoding, Entity, Form, Shape};

/// A form whose body is made from the payload.
fn form(label: &str, body: impl Fn(&[u8]) -> Vec<u8> + 'static) -> Form {
    Form::new(label, move |case: &Case| whole(case, body(&case.payload))).only(&[Encoding::QuotedPrintable])
}

/// The entity with `body`, which ends so that a line end behind it does not count.
fn whole(case: &Case, mut body: Vec<u8>) -> Vec<u8> {
    if case.shape == Shape::Single {
        body.push(b'=');
    }
    case.with_body(&body)
}

/// Quoted-printable with every byte as `unit` writes it, and `soft` where a line is full.
fn units(bytes: &[u8], soft: &[u8], unit: impl Fn(u8, usize) -> Vec<u8>) -> Vec<u8> {
    let (mut text, mut column) = (Vec::new(), 0);
    for (at, &byte) in bytes.iter().enumerate() {
        let unit = unit(byte, at);
        if column + unit.len() > 70 {
            text.extend(soft);
            column = 0;
        }
        column += unit.len();
        text.extend(unit);
    }
    text
}

fn escaped(byte: u8) -> Vec<u8> {
    format!("={byte:02X}").into_bytes()
}

/// Letters and digits as they are.
fn usual(byte: u8, _: usize) -> Vec<u8> {
    if byte.is_ascii_alphanumeric() { vec![byte] } else { escaped(byte) }
}

pub fn escapes() -> Vec<Form> {
    let lower = |byte: u8, _| format!("={byte:02x}").into_bytes();
    let mixed = |byte: u8, _| {
        let [high, low] = <[u8; 2]>::try_from(format!("{byte:02X}").into_bytes()).expect("two digits");
        vec![b'=', high, low.to_ascii_lowercase()]
    };
    let mut forms = vec![
        form("lower case", move |bytes| units(bytes, b"=\r\n", lower)).agreed(),
        form("mixed case", move |bytes| units(bytes, b"=\r\n", mixed)).agreed(),
        form("everything escaped", |bytes| units(bytes, b"=\r\n", |byte, _| escaped(byte))).agreed(),
        form("one long line", |bytes| bytes.iter().flat_map(|&byte| escaped(byte)).collect()).agreed(),
        form("one escape a line", |bytes| {
            let lines: Vec<_> = bytes.iter().map(|&byte| escaped(byte)).collect();
            lines.join(&b"=\r\n"[..])
        })
        .agreed(),
    ];
    // A bad escape before good ones: most keep it as it stands, so it is planted, too.
    for bad in ["=XX", "=X", "==", "= ", "=0", "=0X", "=G0", "=-1", "=\t", "=0x41", "=:"] {
        let label = format!("{bad:?} kept");
        let make = move |case: &Case| {
            let (start, end) = case.payload.split_at(case.payload.len() / 2);
            let quoted = |bytes| units(bytes, b"=\r\n", |byte, _| escaped(byte));
            let body = [quoted(start), bad.into(), quoted(end)].concat();
            let planted = [start, bad.as_bytes(), end].concat();
            Entity { planted: Some(planted), ..whole(case, body).into() }
        };
        forms.push(Form::new(label, make).only(&[Encoding::QuotedPrintable]));
    }
    for bad in ["=XX", "==", "=X"] {
        forms.push(form(&format!("{bad:?} dropped"), move |bytes| {
            units(bytes, b"=\r\n", |byte, at| {
                if at % 30 == 7 { [bad.as_bytes(), &escaped(byte)].concat() } else { escaped(byte) }
            })
        }));
    }
    forms.push(form("escape over a line end", |bytes| {
        let text = format!("={:02X}", bytes[0]);
        let rest = units(&bytes[1..], b"=\r\n", usual);
        [&text.as_bytes()[..2], b"\r\n", &text.as_bytes()[2..], b"=\r\n", &rest].concat()
    }));
    forms
}

pub fn soft_breaks() -> Vec<Form> {
    let mut forms = Vec::new();
    for soft in [
        "= \r\n",
        "=\t\r\n",
        "=  \t \r\n",
        "=\r",
        "=\n",
        "=\r\r\n",
        "=\r\n=\r\n",
        "= \n",
        "=\n=\r\n",
        "=\x0b\r\n",
    ] {
        let form = form(&format!("{soft:?}"), move |bytes| units(bytes, soft.as_bytes(), usual));
        forms.push(form.agreed_if(matches!(soft, "=\n" | "=\r\n=\r\n" | "=\n=\r\n")));
    }
    for end in ["=", "=\r\n=", "=\r\n=\r\n="] {
        let make = move |case: &Case| {
            case.with_body(&[&units(&case.payload, b"=\r\n", usual), end.as_bytes()].concat())
        };
        forms
            .push(Form::new(format!("{end:?} at the end"), make).only(&[Encoding::QuotedPrintable]).agreed());
    }
    forms
}

pub fn literal() -> Vec<Form> {
    let kept = |byte: u8| !matches!(byte, b'\r' | b'\n' | b'=' | b' ' | b'\t' | b'.' | b'-' | 0);
    vec![
        form("8-bit bytes", |bytes| {
            units(bytes, b"=\r\n", |byte, at| if byte > 127 { vec![byte] } else { usual(byte, at) })
        })
        .agreed(),
        form("control bytes", move |bytes| {
            units(
                bytes,
                b"=\r\n",
                move |byte, _| if byte < 128 && kept(byte) { vec![byte] } else { escaped(byte) },
            )
        })
        .agreed(),
        form("all but line ends", move |bytes: &[u8]| {
            units(bytes, b"=\r\n", move |byte, _| if kept(byte) { vec![byte] } else { escaped(byte) })
        })
        .agreed(),
        with("NULs", b"\0\0", |byte| if byte == 0 { vec![0] } else { escaped(byte) }),
        with("bare CR", b"\r", |byte| if byte == b'\r' { vec![byte] } else { escaped(byte) }),
    ]
}

/// A form whose payload has `end` behind it, written by `unit`.
fn with(label: &str, end: &'static [u8], unit: fn(u8) -> Vec<u8>) -> Form {
    let make = move |case: &Case| {
        let planted = [&case.payload[..], end, b"."].concat();
        let body = units(&planted, b"=\r\n", |byte, _| unit(byte));
        Entity { planted: Some(planted), ..whole(case, body).into() }
    };
    Form::new(label, make).only(&[Encoding::QuotedPrintable])
}

/// Line breaks as they stand; a client writes them as its system does.
pub fn hard_breaks() -> Vec<Form> {
    let lines = |line_end: &'static [u8], planted_end: &'static [u8]| {
        let make = move |case: &Case| {
            let text: Vec<_> = case.payload.split(|&byte| byte == b'\n').collect();
            let quoted: Vec<_> = text.iter().map(|line| units(line, b"=\r\n", usual)).collect();
            Entity { planted: Some(text.join(planted_end)), ..whole(case, quoted.join(line_end)).into() }
        };
        let label = format!("{} read as {}", line_end.escape_ascii(), planted_end.escape_ascii());
        Form::new(label, make).only(&[Encoding::QuotedPrintable])
    };
    let mut forms = Vec::new();
    for line_end in [&b"\r\n"[..], b"\n"] {
        forms.extend([b"\r\n", &b"\n"[..]].map(|planted| lines(line_end, planted).agreed()));
    }
    forms
}
