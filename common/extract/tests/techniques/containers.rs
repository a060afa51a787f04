// SPDX-License-Identifier: GPL-3.0-or-later
//! What a client opens and a plain walk over the parts does not.

use super::{
    armour::zlib,
    message::{Case, Encoding, Entity, Form, Shape, agreed, forms},
    payload::{base64, wrapped},
};

/// A part with `header` and `file` in base64.
pub fn file(header: &str, file: &[u8]) -> Vec<u8> {
    let text = wrapped(&base64(file), 76);
    format!("{header}\r\nContent-Transfer-Encoding: base64\r\n\r\n{text}").into_bytes()
}

/// A form whose part is `header` and what `make` wraps around the payload.
pub fn wrapping(header: &'static str, label: &str, make: impl Fn(&Case) -> Vec<u8> + 'static) -> Form {
    let form = Form::new(format!("{label}: {header}"), move |case: &Case| file(header, &make(case)));
    form.only(&[Encoding::Base64]).agreed()
}

/// The case as an entity of its own.
pub fn leaf(case: &Case) -> Vec<u8> {
    case.fill("{leaf}\r\n")
}

pub fn messages() -> Vec<Form> {
    let plain = |media_type: &str| {
        Form::template(format!("Content-Type: {media_type}||Subject: inner|{{leaf}}|"))
            .only(&[Encoding::Base64])
    };
    let mut forms: Vec<_> =
        ["message/rfc822", "message/global", "message/news", "message/partial; id=x; number=1; total=2"]
            .into_iter()
            .map(|media_type| plain(media_type).agreed())
            .collect();
    forms.extend(agreed(&[
        "Content-Type: multipart/digest; boundary=dd||--dd||Subject: x|{leaf}|--dd--|",
        "Content-Type: multipart/digest; boundary=dd||--dd|Content-Type: message/rfc822||Subject: x|{leaf}|--dd--|",
        "Content-Type: multipart/mixed; boundary=dd||--dd|Content-Type: message/rfc822||Subject: x|{leaf}|--dd--|",
    ]));
    for header in [
        "Content-Type: message/rfc822",
        "Content-Type: message/global",
        "Content-Type: application/octet-stream; name=x.eml",
        "Content-Type: application/x; name=x.mht",
    ] {
        forms.push(wrapping(header, "encoded", leaf));
    }
    forms.push(wrapping("Content-Type: message/rfc822", "twice", |case| {
        file("Content-Type: message/rfc822", &leaf(case))
    }));
    let quoted = |case: &Case| {
        let text =
            super::payload::quoted_printable(&leaf(&Case { encoding: Encoding::Base64, ..case.clone() }));
        format!("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{text}")
            .into_bytes()
    };
    forms.push(Form::new("quoted-printable message", quoted).agreed());
    forms
}

pub fn before_the_header() -> Vec<Form> {
    let start = [
        "\u{feff}",
        "\r\n",
        "\n",
        "\r\n\r\n\r\n",
        "From a@a.example Mon Nov 2 10:00:00 2026\r\n",
        ">From a@a.example Mon Nov 2\r\n",
        "\u{feff}\r\n",
        "\u{feff}From x\r\n",
        "From x\r\n\r\n",
        " \r\n",
        "\0\r\n",
        "HTTP/1.1 200 OK\r\n",
    ];
    let templates: Vec<_> = start.into_iter().map(|start| format!("{start}{{top}}{{leaf}}|")).collect();
    let templates: Vec<&str> = templates.iter().map(String::as_str).collect();
    forms(&templates).into_iter().map(|form| form.only(&[Encoding::Base64]).agreed()).collect()
}

/// A TNEF file (MS-OXTNEF) with one attachment.
fn tnef(bytes: &[u8]) -> Vec<u8> {
    let attribute = |id: u32, data: &[u8]| {
        let sum = data.iter().fold(0_u16, |sum, &byte| sum.wrapping_add(u16::from(byte)));
        [&[2][..], &id.to_le_bytes(), &(data.len() as u32).to_le_bytes(), data, &sum.to_le_bytes()].concat()
    };
    let start = [0x78, 0x9f, 0x3e, 0x22, 1, 0];
    let rendering = [1, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];
    let title = attribute(0x0001_8010, b"x.exe\0");
    [&start[..], &attribute(0x0006_9002, &rendering), &title, &attribute(0x0006_800f, bytes)].concat()
}

pub fn tnef_forms() -> Vec<Form> {
    let headers = [
        "Content-Type: application/ms-tnef; name=winmail.dat",
        "Content-Type: application/vnd.ms-tnef",
        "Content-Type: application/octet-stream; name=winmail.dat",
        "Content-Type: application/octet-stream; name=x.bin",
    ];
    headers.into_iter().map(|header| wrapping(header, "TNEF", |case| tnef(&case.payload))).collect()
}

/// A DER value.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len() as u32;
    let length =
        if length < 128 { vec![length as u8] } else { [&[0x84][..], &length.to_be_bytes()].concat() };
    [&[tag][..], &length, content].concat()
}

/// A BER value of indefinite length.
fn ber(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag, 0x80][..], content, &[0, 0]].concat()
}

const DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
const SIGNED: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
const COMPRESSED: &[u8] = b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x09";
const ZLIB: &[u8] = b"\x30\x0d\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x03\x08";

fn signed(entity: &[u8]) -> Vec<u8> {
    let content = der(0x30, &[DATA, &der(0xa0, &der(4, entity))].concat());
    let data = der(0x30, &[&[2, 1, 1, 0x31, 0][..], &content, &[0x31, 0]].concat());
    der(0x30, &[SIGNED, &der(0xa0, &data)].concat())
}

/// The same in pieces of unknown number.
fn signed_in_pieces(entity: &[u8]) -> Vec<u8> {
    let pieces: Vec<u8> = entity.chunks(100).flat_map(|piece| der(4, piece)).collect();
    let content = ber(0x30, &[DATA, &ber(0xa0, &ber(0x24, &pieces))].concat());
    let data = ber(0x30, &[&[2, 1, 1, 0x31, 0][..], &content, &[0x31, 0]].concat());
    ber(0x30, &[SIGNED, &ber(0xa0, &data)].concat())
}

fn compressed(entity: &[u8]) -> Vec<u8> {
    let content = der(0x30, &[DATA, &der(0xa0, &der(4, &zlib(entity)))].concat());
    let data = der(0x30, &[&[2, 1, 0][..], ZLIB, &content].concat());
    der(0x30, &[COMPRESSED, &der(0xa0, &data)].concat())
}

pub fn smime() -> Vec<Form> {
    let mut forms = Vec::new();
    for header in [
        "Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m",
        "Content-Type: application/x-pkcs7-mime",
        "Content-Type: application/octet-stream; name=smime.p7m",
    ] {
        forms.push(wrapping(header, "signed", |case| signed(&leaf(case))));
        forms.push(wrapping(header, "in pieces", |case| signed_in_pieces(&leaf(case))));
        forms.push(wrapping(header, "twice", |case| {
            signed(&file(
                "Content-Type: application/pkcs7-mime; smime-type=signed-data",
                &signed(&leaf(case)),
            ))
        }));
        forms.push(wrapping(header, "compressed", |case| compressed(&leaf(case))));
    }
    forms
}

/// AppleSingle or AppleDouble (RFC 1740) with a data fork.
fn apple(magic: u32, bytes: &[u8]) -> Vec<u8> {
    let mut file = [&magic.to_be_bytes()[..], &0x0002_0000_u32.to_be_bytes(), &[0; 16], &[0, 2]].concat();
    for (id, offset, length) in [(3_u32, 50_u32, 5_u32), (1, 55, bytes.len() as u32)] {
        file.extend([id, offset, length].iter().flat_map(|number| number.to_be_bytes()));
    }
    [&file[..], b"x.exe", bytes].concat()
}

pub fn apple_and_sun() -> Vec<Form> {
    let mut forms = Vec::new();
    for header in ["Content-Type: application/applefile", "Content-Type: application/octet-stream; name=x.as"]
    {
        forms.push(wrapping(header, "AppleSingle", |case| apple(0x0005_1600, &case.payload)));
    }
    forms.push(
        Form::template(
            "Content-Type: multipart/appledouble; boundary=dd||--dd|Content-Type: application/applefile|\
         Content-Transfer-Encoding: base64||AAUWBwACAAAAAAAA|--dd|{leaf}|--dd--|",
        )
        .agreed(),
    );
    for (label, encoding) in [("base64", "base64"), ("uuencode", "uuencode")] {
        forms.push(
            Form::new(format!("Sun, {label}"), move |case: &Case| sun(case, encoding))
                .only(&[Encoding::Base64])
                .agreed(),
        );
    }
    forms
}

/// A message as Sun's mailtool wrote it.
fn sun(case: &Case, encoding: &str) -> Entity {
    let body = match encoding {
        "uuencode" => super::armour::uuencode(&case.payload),
        _ => case.inner_body() + "\r\n",
    };
    let text = "----------\r\nX-Sun-Data-Type: text\r\nX-Sun-Content-Lines: 1\r\n\r\nHello\r\n";
    let part = format!(
        "----------\r\nX-Sun-Data-Type: default\r\nX-Sun-Data-Name: x.exe\r\nX-Sun-Encoding-Info: {encoding}\r\n\
         X-Sun-Content-Lines: {}\r\n\r\n{body}",
        body.lines().count()
    );
    let message =
        format!("From: a@a.example\r\nSubject: x\r\nContent-Type: X-sun-attachment\r\n\r\n{text}{part}");
    debug_assert!(case.shape != Shape::Single || !message.is_empty());
    Entity { top: true, ..message.into_bytes().into() }
}

/// An OpenPGP message (RFC 9580) that only wraps a file: a literal packet, in a packet without compression.
pub fn pgp(bytes: &[u8], compressed: bool) -> Vec<u8> {
    let packet = |tag: u8, content: &[u8]| {
        [&[0xc0 | tag, 0xff][..], &(content.len() as u32).to_be_bytes(), content].concat()
    };
    let literal = packet(11, &[b"b\x05x.exe\0\0\0\0", bytes].concat());
    if compressed { packet(8, &[&[2], &zlib(&literal)[..]].concat()) } else { literal }
}

pub fn openpgp() -> Vec<Form> {
    let header = "Content-Type: application/octet-stream; name=x.exe.pgp";
    let armoured = |compressed| {
        let make = move |case: &Case| {
            let text = wrapped(&base64(&pgp(&case.payload, compressed)), 64);
            let armour =
                format!("-----BEGIN PGP MESSAGE-----\r\n\r\n{text}\r\n-----END PGP MESSAGE-----\r\n");
            format!("Content-Type: text/plain\r\n\r\n{armour}").into_bytes()
        };
        Form::new(format!("armoured, compressed: {compressed}"), make).only(&[Encoding::Base64]).agreed()
    };
    let within = |label: &str, before: String, after: &'static str| {
        let make = move |case: &Case| {
            let text = wrapped(&base64(&pgp(&case.payload, false)), 64);
            let armour = format!(
                "-----BEGIN PGP MESSAGE-----\r\nVersion: 1\r\n \r\n{text}\r\n=abcd\r\n-----END PGP MESSAGE-----\r\n"
            );
            format!("Content-Type: text/plain\r\n\r\n{before}{armour}{after}").into_bytes()
        };
        Form::new(label, make).only(&[Encoding::Base64]).agreed()
    };
    let other = format!(
        "-----BEGIN PGP MESSAGE-----\r\n\r\n{}\r\n-----END PGP MESSAGE-----\r\n\r\n",
        base64(&pgp(b"first", true))
    );
    vec![
        within("behind much text", "Dear all, here are some words.\r\n".repeat(400), ""),
        within("the second one", other, "\r\nBye\r\n"),
        wrapping(header, "literal", |case| pgp(&case.payload, false)),
        wrapping(header, "compressed", |case| pgp(&case.payload, true)),
        armoured(false),
        armoured(true),
    ]
}
