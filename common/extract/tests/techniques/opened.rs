// SPDX-License-Identifier: GPL-3.0-or-later
//! What mail clients and office programs open beside MIME and its old relatives.

use super::{
    armour::{binhex, uuencode, yenc},
    containers::{leaf, pgp, wrapping},
    message::{Case, Encoding, Entity, Form},
    payload::{base64, quoted_printable, wrapped},
};
use std::io::{Cursor, Write};

/// Makes a text of what is hidden in it, in base64.
type Text = fn(&str) -> String;
/// Makes what is sent of a file.
type Armour = fn(&[u8]) -> Vec<u8>;
/// Writes a text in some charset.
type Charset = fn(&str) -> Vec<u8>;

/// A compound file with these streams, each behind the storages in its path.
fn compound(streams: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).expect("memory can be written");
    for (path, content) in streams {
        if let Some((storages, _)) = path.rsplit_once('/').filter(|(storages, _)| !storages.is_empty()) {
            file.create_storage_all(storages).expect("no stream has that name");
        }
        file.create_stream(path)
            .and_then(|mut stream| stream.write_all(content))
            .expect("memory can be written");
    }
    file.into_inner().into_inner()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// The streams of a message whose attachment `data` stands below `root`; an attachment with the name in `name`.
fn attachment(root: &str, name: (&str, Vec<u8>), data: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    let storage = format!("{root}/__attach_version1.0_#00000000");
    let mut streams = vec![
        (format!("{root}/__properties_version1.0"), vec![0; 32]),
        (format!("{root}/__substg1.0_1000001F"), utf16("Hello, see below.")),
        (format!("{storage}/__substg1.0_{}", name.0), name.1),
    ];
    streams.extend(data.into_iter().map(|(path, content)| (format!("{storage}/{path}"), content)));
    streams
}

pub fn outlook() -> Vec<Form> {
    let data = |case: &Case| vec![("__substg1.0_37010102".to_owned(), case.payload.clone())];
    let name = || ("3707001F", utf16("x.exe"));
    let mut forms = Vec::new();
    for header in [
        "Content-Type: application/vnd.ms-outlook; name=x.msg",
        "Content-Type: application/octet-stream; name=x.msg",
        "Content-Type: application/octet-stream; name=x.oft",
    ] {
        forms.push(wrapping(header, "Outlook", move |case| compound(&attachment("", name(), data(case)))));
        forms.push(wrapping(header, "Outlook, ANSI", move |case| {
            compound(&attachment("", ("3704001E", b"x.exe".to_vec()), data(case)))
        }));
        forms.push(wrapping(header, "Outlook, a message in it", move |case| {
            let inner = attachment("__substg1.0_3701000D", name(), data(case));
            compound(&attachment("", ("3001001F", utf16("A message")), inner))
        }));
        forms.push(wrapping(header, "Outlook, an object in it", move |case| {
            let object = vec![("__substg1.0_3701000D/CONTENTS".to_owned(), case.payload.clone())];
            compound(&attachment("", name(), object))
        }));
    }
    forms
}

/// `text` in lines of 75, the further ones behind a blank.
fn folded(text: &str) -> String {
    wrapped(text, 74).replace("\r\n", "\r\n ")
}

fn calendar(attachment: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:1@x\r\n\
         SUMMARY:Meeting\r\n{attachment}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

fn card(version: &str, property: &str) -> String {
    format!("BEGIN:VCARD\r\nVERSION:{version}\r\nFN:A\r\n{property}\r\nEND:VCARD\r\n")
}

/// Every way to write a file into a calendar or a card, with the media type.
const WRITERS: [(&str, Text); 8] = [
    ("text/calendar; method=REQUEST", |data| {
        calendar(&folded(&format!(
            "ATTACH;FMTTYPE=application/octet-stream;ENCODING=BASE64;VALUE=BINARY;X-FILENAME=\"x.exe\":{data}"
        )))
    }),
    ("text/calendar", |data| calendar(&format!("ATTACH;ENCODING=BASE64;VALUE=BINARY:{data}"))),
    ("text/calendar; name=x.ics", |data| {
        calendar(&format!("ATTACH;ENCODING=BASE64;VALUE=BINARY:\r\n {}", folded(data)))
    }),
    ("text/calendar", |data| calendar(&folded(&format!("ATTACH:data:application/x;base64,{data}")))),
    ("text/vcard; name=x.vcf", |data| card("3.0", &folded(&format!("PHOTO;ENCODING=b;TYPE=JPEG:{data}")))),
    ("text/x-vcard", |data| card("2.1", &format!("KEY;X509;ENCODING=BASE64:\r\n {}\r\n", folded(data)))),
    ("text/directory", |data| card("2.1", &format!("SOUND;WAVE;BASE64:\r\n{}\r\n", wrapped(data, 72)))),
    ("text/vcard", |data| card("4.0", &folded(&format!("item1.LOGO:data:image/png;base64,{data}")))),
];

pub fn cards() -> Vec<Form> {
    let mut forms = Vec::new();
    for (media_type, write) in WRITERS {
        let header = format!("Content-Type: {media_type}\r\n");
        let plain = header.clone();
        forms.push(form(&format!("{media_type}, 7bit"), move |case| {
            format!("{plain}\r\n{}", write(&base64(&case.payload)))
        }));
        forms.push(encoded(&format!("{media_type}, encoded"), header, move |bytes| {
            write(&base64(bytes)).into()
        }));
    }
    forms
}

/// A form that all agree on and that is written once.
fn form(label: &str, make: impl Fn(&Case) -> String + 'static) -> Form {
    Form::new(label, move |case: &Case| make(case).into_bytes()).only(&[Encoding::Base64]).agreed()
}

/// A part with the fields `header` and what `make` has of the payload, in the encoding of the case.
fn encoded(label: &str, header: String, make: impl Fn(&[u8]) -> Vec<u8> + 'static) -> Form {
    let make = move |case: &Case| {
        let text = make(&case.payload);
        let (name, body) = match case.encoding {
            Encoding::Base64 => ("base64", wrapped(&base64(&text), 76)),
            Encoding::QuotedPrintable => ("quoted-printable", quoted_printable(&text)),
        };
        format!("{header}Content-Transfer-Encoding: {name}\r\n\r\n{body}").into_bytes()
    };
    Form::new(label, make).agreed()
}

/// A message with the case in it, and a field that says that it is one.
fn message(case: &Case) -> Vec<u8> {
    let text = format!(
        "From: a@a.example\r\nSubject: x\r\nMIME-Version: 1.0\r\n{}",
        "Content-Type: multipart/mixed; boundary=mm\r\n\r\n--mm\r\n"
    );
    [text.as_bytes(), &leaf(case), b"--mm--\r\n"].concat()
}

pub fn mailboxes() -> Vec<Form> {
    let mut forms = Vec::new();
    let first = b"From a@a.example Mon Jun  1 10:00:00 2026\r\nSubject: first\r\n\r\nHello\r\n\r\n";
    let line = b"From b@a.example Mon Jun  1 10:00:00 2026\r\n";
    for header in ["Content-Type: application/mbox; name=x.mbox", "Content-Type: application/octet-stream"] {
        forms.push(wrapping(header, "the first in a mailbox", move |case| {
            [&line[..], &message(case), b"\r\n", first].concat()
        }));
        forms.push(wrapping(header, "the second in a mailbox", move |case| {
            [&first[..], line, &message(case)].concat()
        }));
        forms.push(wrapping(header, "in a mailbox with bare LF", move |case| {
            let text = [&first[..], line, &message(case)].concat();
            text.into_iter().filter(|&byte| byte != b'\r').collect()
        }));
    }
    for (label, end) in
        [("emlx", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist/>\n"), ("emlx, cut", "")]
    {
        forms.push(wrapping("Content-Type: application/octet-stream; name=x.emlx", label, move |case| {
            let message = message(case);
            [format!("{}      \n", message.len()).as_bytes(), &message, end.as_bytes()].concat()
        }));
    }
    for before in [
        "\r\n \r\n\r\n",
        "\u{feff}\r\n",
        "%PDF-1.7\r\n1 0 obj\r\n<</Type/Catalog>>\r\nendobj\r\n",
        "some words\r\n\r\n",
    ] {
        for header in [
            "Content-Type: application/msword; name=x.doc",
            "Content-Type: application/octet-stream; name=x.doc",
        ] {
            forms.push(wrapping(header, &format!("web archive behind {before:?}"), move |case| {
                [before.as_bytes(), &message(case)].concat()
            }));
        }
    }
    forms
}

pub fn in_encoded_texts() -> Vec<Form> {
    let text = |before: &'static str, armoured: Armour| {
        move |bytes: &[u8]| [before.as_bytes(), &armoured(bytes), b"\r\nRegards\r\n"].concat()
    };
    let armours: [(&str, Armour); 4] = [
        ("uuencode", |bytes| uuencode(bytes).into()),
        ("yEnc", yenc),
        ("BinHex", |bytes| binhex(bytes).into()),
        ("OpenPGP", |bytes| {
            let text = wrapped(&base64(&pgp(bytes, false)), 64);
            format!("-----BEGIN PGP MESSAGE-----\r\n\r\n{text}\r\n=abcd\r\n-----END PGP MESSAGE-----\r\n")
                .into()
        }),
    ];
    let mut forms = Vec::new();
    for (label, armoured) in armours {
        for header in ["Content-Type: text/plain; charset=utf-8\r\n", "X-Y: z\r\n"] {
            forms.push(encoded(
                &format!("{label}, {header}"),
                header.into(),
                text("Hello,\r\n\r\n", armoured),
            ));
        }
        let file = "Content-Type: application/x; name=x.txt\r\n".to_owned();
        forms.push(encoded(&format!("{label} in a file"), file, text("", armoured)));
    }
    forms
}

/// HTML with the payload in it, and how a client writes that.
fn html(bytes: &[u8]) -> String {
    format!(
        "<html><body>\r\n<p>Gr\u{fc}\u{df}e</p><script>x=\"{}\"</script></body></html>\r\n",
        base64(bytes)
    )
}

pub fn wide_texts() -> Vec<Form> {
    let mark = "\u{feff}";
    let writers: [(&str, Charset); 4] = [
        ("utf-16", |text| utf16(&format!("\u{feff}{text}"))),
        ("utf-16le", utf16),
        ("utf-16be", |text| text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        ("utf-7", utf7),
    ];
    let mut forms = Vec::new();
    for (charset, write) in writers {
        for header in [
            "Content-Type: text/html; charset=utf-16\r\n",
            "Content-Type: text/html; name=x.html; charset=x\r\n",
        ] {
            let header = match charset {
                "utf-7" => {
                    header.replace("utf-16", "utf-7").replace("charset=x", "charset=unicode-1-1-utf-7")
                }
                _ => header.to_owned(),
            };
            let make = move |case: &Case| {
                let text = html(&case.payload);
                let body = Case { payload: write(&text), ..case.clone() };
                let planted = Some(text.trim_start_matches(mark).as_bytes().to_vec());
                let (name, body) = match case.encoding {
                    Encoding::Base64 => ("base64", body.inner_body()),
                    Encoding::QuotedPrintable => ("quoted-printable", body.body()),
                };
                let part = format!("{header}Content-Transfer-Encoding: {name}\r\n\r\n{body}");
                Entity { planted, ..part.into_bytes().into() }
            };
            forms.push(Form::new(charset, make).agreed());
        }
    }
    forms
}

/// What is no letter or digit, shifted.
fn utf7(text: &str) -> Vec<u8> {
    let mut out = String::new();
    for letter in text.chars() {
        if letter.is_ascii_alphanumeric() || " \r\n/".contains(letter) {
            out.push(letter);
            continue;
        }
        let units: Vec<u8> =
            letter.encode_utf16(&mut [0; 2]).iter().flat_map(|unit| unit.to_be_bytes()).collect();
        out.push_str(&format!("+{}-", base64(&units).trim_end_matches('=')));
    }
    out.into_bytes()
}
