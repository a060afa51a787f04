// SPDX-License-Identifier: GPL-3.0-or-later
//! What no catalogue lists, and an attacker might come upon.

use super::{
    message::{Case, Encoding, Entity, Form, forms},
    payload::{base64, noise, quoted_printable, wrapped},
};

const MIXED: &str = "Content-Type: multipart/mixed; boundary=aa|";

/// `template` below the header of a multipart with the boundary `aa`.
fn mixed(template: &str) -> Form {
    Form::template(format!("{MIXED}{template}"))
}

pub fn structure() -> Vec<Form> {
    let mut all: Vec<_> = [
        // No empty line between the header and the first delimiter.
        "--aa|{text}|--aa|{leaf}|--aa--|",
        "|--aa|{text}|--aa\u{85}|{leaf}|--aa--|",
        "|--aa|{text}|--aa\u{a0}|{leaf}|--aa--|",
        "|--aa|{text}|--aa|\u{feff}{leaf}|--aa--|",
        "|--aa|{text}|--aa|>{leaf}|--aa--|",
        "|--aa|{text}|--aa|Content-Type: multipart/mixed||--aa|{leaf}|--aa--|",
        "|--aa|{text}|--aa|Content-Type: message/rfc822||HTTP/1.1 200 OK|{leaf}|--aa--|",
    ]
    .into_iter()
    .map(mixed)
    .collect();
    all.extend(
        [
            "|--aa|{text}|--aa|Content-Type: message/rfc822||--aa|{leaf}|--aa--|",
            "|--aa|{text}|--aa|Content-Type: message/rfc822||\u{feff}{leaf}|--aa--|",
            "|--aa|{text}|--aa|Content-Type: message/rfc822||||{leaf}|--aa--|",
            "|--aa|{text}|--aa|Content-Type: message/rfc822||From x|{leaf}|--aa--|",
        ]
        .map(|template| mixed(template).agreed()),
    );
    // The encoding is that of the multipart around.
    all.push(mixed("{H}: {n}||--aa|{fields}|{inner}|--aa--|").only(&[Encoding::Base64]));
    // Some servers and programs break lines that are too long.
    for length in [76, 990, 998, 2048, 8192] {
        let long = "x".repeat(length);
        all.push(mixed(&format!("|--aa|{{text}}|{long}--aa|{{leaf}}|--aa--|")));
        all.push(mixed(&format!("|--aa|{{text}}|--aa|X: {long}\r{{leaf}}|--aa--|")));
    }
    for (unit, count) in [("x=y; ", 10_000), ("name=x; ", 1500), ("(x) ", 10_000), ("boundary*9=b; ", 1500)] {
        let header = format!("Content-Type: multipart/mixed; {}boundary=aa|", unit.repeat(count));
        let form = Form::template(format!("{header}|--aa|{{text}}|--aa|{{leaf}}|--aa--|"));
        all.push(form.agreed_if(unit.starts_with('x')));
    }
    all.extend([encoded_multipart(Encoding::Base64), encoded_multipart(Encoding::QuotedPrintable)]);
    all.extend(forms(&[
        // Digests and forwarded messages of RFC 1153 and RFC 934, in a text.
        "Content-Type: text/plain||Topics:||------------------------------||{leaf}|------------------------------|",
        "Content-Type: text/plain||------- Forwarded Message||{leaf}|------- End of Forwarded Message|",
        "Content-Type: text/plain||------- Forwarded Message||Subject: x|{leaf}|------- End of Forwarded Message|",
    ]));
    all
}

/// A multipart that is itself encoded, which no standard allows.
fn encoded_multipart(encoding: Encoding) -> Form {
    let make = move |case: &Case| {
        let inner =
            Case { encoding: Encoding::Base64, ..case.clone() }.fill("--aa|{text}|--aa|{leaf}|--aa--|");
        let (name, body) = match encoding {
            Encoding::Base64 => ("base64", wrapped(&base64(&inner), 76)),
            Encoding::QuotedPrintable => ("quoted-printable", quoted_printable(&inner)),
        };
        let header = format!("{}Content-Transfer-Encoding: {name}\r\n\r\n", MIXED.replace('|', "\r\n"));
        [header, body].concat().into_bytes()
    };
    Form::new(format!("encoded multipart, {encoding:?}"), make).only(&[Encoding::Base64])
}

pub fn header() -> Vec<Form> {
    let padded = |pad: String| Form::template(format!("{{fields}}{pad}{{H}}: {{n}}||{{body}}"));
    let mut all = vec![
        padded(format!("X-Pad: {}|", "x".repeat(70_000))).agreed(),
        padded("X-Pad: x|".repeat(500)).agreed(),
        padded(format!("X-Pad: x{}|", "| x".repeat(500))).agreed(),
    ];
    all.extend(forms(&[
        "{fields}X: y|\t{H}: {n}||{body}",
        "{fields}X: y\x1c{H}: {n}||{body}",
        "{fields}X: y\n\r{H}: {n}||{body}",
        "{fields}X: y\r\r\n{H}: {n}||{body}",
        "{fields}X: y\0\r\n{H}: {n}||{body}",
        "{fields}X: y|\0|{H}: {n}||{body}",
        "{fields}X: y|.|{H}: {n}||{body}",
        "{fields}X: y|..|{H}: {n}||{body}",
        "{fields}{H}: {n}|.||{body}",
        "{fields}#{H}: 7bit|{H}: {n}||{body}",
        "{fields}{H}: {n}|{H}||{body}",
        "{fields}{H}|: {n}||{body}",
        "{fields}{H}:|{n}||{body}",
    ]));
    all
}

pub fn data() -> Vec<Form> {
    let form = |label: &str, body: fn(&[u8]) -> Vec<u8>| {
        Form::new(label, move |case: &Case| case.with_body(&body(&case.payload))).only(&[Encoding::Base64])
    };
    let text = |bytes: &[u8]| wrapped(&base64(bytes), 76);
    let mut all = vec![
        form("a comma after each line", |bytes| {
            wrapped(&base64(bytes), 76).replace("\r\n", ",\r\n").into_bytes()
        }),
        form("a backslash after each line", |bytes| {
            wrapped(&base64(bytes), 76).replace("\r\n", "\\\r\n").into_bytes()
        }),
        form("quotes around each line", |bytes| {
            format!("\"{}\"", wrapped(&base64(bytes), 76).replace("\r\n", "\"\r\n\"")).into_bytes()
        }),
        form("soft breaks", |bytes| wrapped(&base64(bytes), 76).replace("\r\n", "=\r\n").into_bytes()),
        form("entities", |bytes| wrapped(&base64(bytes), 76).replace("\r\n", "&#13;\r\n").into_bytes()),
    ];
    // JavaScript's decoders take it for the usual one.
    all.push(
        Form::new("the alphabet of URLs", |case: &Case| {
            let planted = [&case.payload[..], b"\xff\xfe\xfb\xef\xbe\xff"].concat();
            let body = wrapped(&base64(&planted), 76).replace('+', "-").replace('/', "_");
            Entity { planted: Some(planted), ..case.with_body(body.as_bytes()).into() }
        })
        .only(&[Encoding::Base64]),
    );
    // So much of so many kinds that it does not look like base64 any longer.
    let sparse = move |case: &Case| {
        let junk: Vec<u8> = (0..=255)
            .filter(|byte: &u8| !byte.is_ascii_alphanumeric() && !b"+/=-\r\n".contains(byte))
            .collect();
        let pick = noise(3, 8 * base64(&case.payload).len());
        let mut picks = pick.iter().map(|&byte| junk[usize::from(byte) % junk.len()]);
        let mut body = Vec::new();
        for symbol in text(&case.payload).bytes() {
            body.push(symbol);
            body.extend(picks.by_ref().take(8));
        }
        body
    };
    all.push(
        Form::new("junk of many kinds", move |case: &Case| case.with_body(&sparse(case)))
            .only(&[Encoding::Base64]),
    );
    for (label, start, end) in [
        (
            "an odd delimiter and junk of many kinds",
            "--aa\r\nContent-Type: text/plain\r\n\r\nHi\r\n--aaX\r\n",
            "\r\n--aa--\r\n",
        ),
        (
            "an epilogue with junk of many kinds",
            "--aa\r\nContent-Type: text/plain\r\n\r\nHi\r\n--aa--\r\n\r\n",
            "\r\n",
        ),
    ] {
        let make = move |case: &Case| {
            let header = MIXED.replace('|', "\r\n") + "\r\n" + start;
            [header.as_bytes(), &case.with_body(&sparse(case)), end.as_bytes()].concat()
        };
        all.push(Form::new(label, make).only(&[Encoding::Base64]));
    }
    all
}
