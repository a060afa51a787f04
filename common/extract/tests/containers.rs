// SPDX-License-Identifier: GPL-3.0-or-later
//! Messages with containers and encodings beside MIME: what a client makes of them are samples.

use bytes::Bytes;
use encodify::base64::MIME;
use std::fs;
use thundergate_common::{digest::Digest, verdict::SkipReason};
use thundergate_extract::{Bodies, Budget, Exceeded, Extraction, extract};

const BUDGET: Budget = Budget { parts: 1000, depth: 50, readings: 500, decoded_bytes: 64 << 20 };
/// What the attachment in the signed and compressed entities under tests/data holds.
const ATTACHED: &[u8] = b"MZCat";

fn scan(message: impl Into<Vec<u8>>) -> Extraction {
    extract(&Bytes::from(message.into()), Bodies::Html, &BUDGET)
}

/// The name of the sample with these bytes.
fn name_of<'a>(found: &'a Extraction, bytes: &[u8]) -> Option<&'a str> {
    let digest = Digest::of(bytes);
    let part = found.parts.iter().find(|part| part.digest == digest)?;
    assert_eq!(part.content.bytes(), bytes);
    Some(part.name.as_deref().unwrap_or_default())
}

fn data(name: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).expect("it is part of the source")
}

fn attached(media_type: &str, bytes: &[u8]) -> String {
    let text = MIME.encode(bytes);
    format!("Content-Type: {media_type}\r\nContent-Transfer-Encoding: base64\r\n\r\n{text}\r\n")
}

fn mixed(parts: &[String]) -> String {
    let parts: String = parts.iter().map(|part| format!("--b\r\n{part}")).collect();
    format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{parts}--b--\r\n")
}

#[test]
fn what_is_signed_or_compressed_is_a_message() {
    for name in ["signed.der", "stream.ber", "signed.pem", "compressed.der", "compressed-signed.der"] {
        let part = attached("application/pkcs7-mime; name=smime.p7m", &data(&format!("cms/{name}")));
        for message in [part.clone(), mixed(&[part])] {
            let found = scan(message);
            assert_eq!(name_of(&found, ATTACHED), Some("cat.exe"), "{name}: {found:?}");
            assert!(
                found.malformed.is_none() && found.skipped.is_empty() && found.ambiguities.is_empty(),
                "{name}: {found:?}"
            );
        }
    }
}

#[test]
fn what_is_encrypted_is_said_to_be() {
    for name in ["cms/enveloped.der", "cms/authenveloped.der", "openpgp/recipient", "openpgp/armoured"] {
        let found = scan(mixed(&[attached("application/octet-stream; name=x", &data(name))]));
        assert!(found.skipped.iter().any(|part| part.reason == SkipReason::Encrypted), "{name}: {found:?}");
    }
    let inline = [b"Content-Type: text/plain\r\n\r\nHello,\r\n\r\n", &data("openpgp/armoured")[..]].concat();
    assert!(scan(inline).skipped.iter().any(|part| part.reason == SkipReason::Encrypted));
}

#[test]
fn the_files_in_winmail_dat_are_samples() {
    let found = scan(mixed(&[attached("application/ms-tnef; name=winmail.dat", &data("tnef/winmail.dat"))]));
    assert_eq!(name_of(&found, b"MZ first file"), Some("Report für 2026.exe"), "{found:?}");
    assert_eq!(name_of(&found, b"second file"), Some("second.bin"));
    assert_eq!(name_of(&found, b"inner file"), Some("inner.js"));
    assert_eq!(name_of(&found, b"<html>Hi</html>"), Some(""));
    assert_eq!(name_of(&found, b"Hello"), None, "plain text is none");
    assert_eq!(found.malformed, None);
}

#[test]
fn the_forks_of_a_macintosh_are_samples() {
    for name in ["single", "macbinary"] {
        let found =
            scan(mixed(&[attached("application/octet-stream; name=x", &data(&format!("apple/{name}")))]));
        assert_eq!(name_of(&found, b"MZ data fork"), Some("cat.exe"), "{name}: {found:?}");
        assert_eq!(name_of(&found, b"resource fork"), Some("cat.exe"), "{name}");
    }
}

#[test]
fn a_container_in_a_container_is_opened() {
    let message = mixed(&[attached("application/ms-tnef; name=winmail.dat", &data("tnef/winmail.dat"))]);
    // An octet string in what `openssl cms -data_create` writes.
    let octets =
        [&[0x04, 0x82][..], &u16::try_from(message.len()).unwrap().to_be_bytes(), message.as_bytes()]
            .concat();
    let head = b"\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\xa0\x80";
    let found = scan(mixed(&[attached("application/pkcs7-mime", &[head, &octets[..], &[0; 4]].concat())]));
    assert_eq!(name_of(&found, b"second file"), Some("second.bin"), "{found:?}");
}

/// A literal packet of OpenPGP without a name.
fn literal(content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len() + 6).expect("a short file");
    [&[0xcb, length, b'b', 0, 0, 0, 0, 0][..], content].concat()
}

/// What is decoded after a file that is known already must not stand where that one stood.
#[test]
fn no_file_is_taken_for_one_that_stood_at_its_place_in_memory() {
    let files: Vec<_> = (10..90).map(|number| format!("MZ file {number}{}", "x".repeat(100))).collect();
    let sent_before = literal(files[0].as_bytes());
    let parts = files.iter().flat_map(|file| {
        let containers = [literal(file.as_bytes()), sent_before.clone()];
        containers.map(|container| attached("application/octet-stream", &container))
    });
    let found = scan(mixed(&parts.collect::<Vec<_>>()));
    let missed: Vec<_> = files.iter().filter(|file| name_of(&found, file.as_bytes()).is_none()).collect();
    assert!(missed.is_empty(), "{} of {} missed: {missed:?}", missed.len(), files.len());
}

/// The way to the sample with these bytes.
fn way_to<'a>(found: &'a Extraction, bytes: &[u8]) -> Option<&'a str> {
    let part = found.parts.iter().find(|part| part.digest == Digest::of(bytes)).expect("it is a sample");
    part.within.as_deref()
}

#[test]
fn the_files_in_a_message_of_outlook_are_samples() {
    let message = mixed(&[attached("application/octet-stream; name=mail.msg", &data("outlook/mail.msg"))]);
    let found = scan(message);
    assert_eq!(name_of(&found, b"MZ short"), Some("Report f\u{fc}r 2026.exe"), "{found:?}");
    assert_eq!(name_of(&found, "MZ long ".repeat(700).as_bytes()), Some("long.exe"));
    assert_eq!(name_of(&found, b"inner file"), Some("inner.js"));
    assert_eq!(name_of(&found, b"an object"), Some("Sheet"));
    assert_eq!(name_of(&found, b"<html>Hi</html>"), Some(""));
    assert_eq!(name_of(&found, b"Inner"), None, "plain text is none");
    let document = mixed(&[attached("application/msword; name=mail.doc", &data("outlook/mail.msg"))]);
    assert_eq!(name_of(&scan(document), b"MZ short"), None, "Word does not open it");
    assert_eq!(
        (way_to(&found, b"MZ short"), way_to(&found, &data("outlook/mail.msg"))),
        (Some("mail.msg"), None)
    );
    assert!(found.malformed.is_none() && found.ambiguities.is_empty(), "{found:?}");
}

#[test]
fn the_way_to_a_file_names_all_files_that_it_came_in() {
    let calendar =
        "BEGIN:VCALENDAR\r\nATTACH;ENCODING=BASE64;X-FILENAME=cat.exe:TVpDYXQ=\r\nEND:VCALENDAR\r\n";
    let inner = mixed(&[attached("text/calendar; name=x.ics", calendar.as_bytes())]);
    let mailbox = format!("From a@b Mon\r\nSubject: x\r\n\r\nHi\r\n\r\nFrom a@b Tue\r\n{inner}");
    let outer = attached(
        "application/octet-stream; name=old.eml",
        attached("a/b; name=m.mbox", mailbox.as_bytes()).as_bytes(),
    );
    let found = scan(outer.replace("=b\r\n", "=o\r\n"));
    assert_eq!(name_of(&found, ATTACHED), Some("cat.exe"), "{found:?}");
    assert_eq!(way_to(&found, ATTACHED), Some("old.eml/m.mbox/x.ics"));
    let text = "Hi\r\nbegin 644 cat.exe\r\n%35I#870`\r\n`\r\nend\r\n";
    assert_eq!(
        way_to(&scan(attached("text/plain", text.as_bytes())), ATTACHED),
        None,
        "a text without a name"
    );
    assert_eq!(way_to(&scan(attached("a/b; name=x.uu", text.as_bytes())), ATTACHED), Some("x.uu"));
}

#[test]
fn a_web_archive_behind_a_text_is_opened_in_what_word_opens() {
    let inner = mixed(&[attached("application/x-mso", ATTACHED)]);
    let text = format!("Here is what I sent:\r\n\r\nMIME-Version: 1.0\r\n{inner}");
    for (media_type, opened) in [
        ("application/msword; name=x.doc", true),
        ("application/octet-stream", true),
        ("text/x-unheard; name=x.doc", true),
        ("text/plain; name=x.txt", false),
        ("text/plain", false),
    ] {
        let found = scan(attached(media_type, text.as_bytes()));
        assert_eq!(name_of(&found, ATTACHED).is_some(), opened, "{media_type}: {found:?}");
        assert!(found.ambiguities.is_empty(), "{media_type}: {found:?}");
    }
    let mailbox = format!("From a@b Mon\r\n{inner}");
    assert_eq!(name_of(&scan(attached("text/plain; name=x", mailbox.as_bytes())), ATTACHED), Some(""));
    assert_eq!(
        name_of(&scan(attached("text/plain", mailbox.as_bytes())), ATTACHED),
        None,
        "it is shown as a text"
    );
}

#[test]
fn a_container_that_nobody_opens_has_a_name() {
    let unopened = |media_type: &str, bytes: &[u8]| {
        let found = scan(attached(media_type, bytes));
        found.parts.iter().find(|part| part.digest == Digest::of(bytes)).and_then(|part| part.unopened)
    };
    let image = [&vec![0; 0x8000][..], b"\x01CD001\x01", &[0; 2000]].concat();
    assert_eq!(unopened("application/octet-stream; name=x.img", &image), Some("iso"));
    assert_eq!(unopened("application/pdf; name=x.pdf", b"\xfd7zXZ\0\0\x04"), Some("xz"));
    assert_eq!(unopened("application/x; name=x.bz2", b"BZh91AY&SY"), Some("bzip2"));
    assert_eq!(unopened("application/x; name=x.tar.bz2", b"BZh91AY&SY"), None, "the scanner opens it");
    assert_eq!(unopened("application/zip; name=x.zip", b"PK\x03\x04"), None);
}

#[test]
fn more_cards_in_cards_than_anybody_sends_end_at_a_depth() {
    let mut card = b"BEGIN:VCARD\nKEY;BASE64:TVpDYXQ=\n".to_vec();
    for _ in 0..20 {
        card =
            format!("BEGIN:VCARD\nKEY;BASE64:{}\n", MIME.encode(&card).replace("\r\n", "\n ")).into_bytes();
    }
    let message = Bytes::from(attached("text/vcard", &card));
    let deep = extract(&message, Bodies::Html, &Budget { depth: 10, ..BUDGET });
    assert_eq!(deep.malformed, Some(Exceeded::Depth));
    assert_eq!(name_of(&scan(message.to_vec()), ATTACHED), Some(""));
}

#[test]
fn a_bomb_makes_the_message_malformed() {
    // A thousand times as long as it is here.
    let found = scan(attached("application/pkcs7-mime", &data("cms/bomb.der")));
    let budget = Budget { decoded_bytes: 1 << 20, ..BUDGET };
    let message = attached("application/pkcs7-mime", &data("cms/bomb.der"));
    let bounded = extract(&Bytes::from(message), Bodies::Html, &budget);
    assert_eq!(bounded.malformed, Some(Exceeded::DecodedBytes));
    assert!(bounded.held_bytes < 1 << 20 && found.held_bytes < 8 << 20, "{}", found.held_bytes);
}

#[test]
fn what_only_thunderbird_decodes_is_a_sample_too() {
    // The line in lower case is no data, but it is to be ten bytes long.
    let body = "begin 644 cat.exe\r\n%35I#870`\r\n*junk, junk, junk\r\n`\r\n%35I#870`\r\nend\r\n";
    let header = "Content-Type: application/octet-stream; name=cat.exe\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\n";
    let found = scan(header.to_owned() + body);
    let sizes: Vec<u64> = found.parts.iter().map(|part| part.size).collect();
    assert!(sizes.contains(&5) && sizes.contains(&20), "{found:?}");
    let forks = "(This file must be converted with BinHex 4.0)\r\n\r\n\
        :\"f0KG#jdH(3!9%9B9(4dH(3!N!3\"-3!!!!LLM80KG*!!N!\"kN2pkN#fb)A*PFfp\r\neFQ0P+'`:\r\n";
    let found = scan(format!("Content-Transfer-Encoding: mac-binhex40\r\nContent-Type: a/b\r\n\r\n{forks}"));
    assert_eq!(name_of(&found, b"resource"), Some(""), "{found:?}");
}

#[test]
fn old_transfer_encodings_are_decoded() {
    let binhex = "(This file must be converted with BinHex 4.0)\r\n\r\n\
        :\"f0KG#jdH(3!9%9B9(4dH(3!N!3\"-3!!!!LLM80KG*!!N!\"kN2pkN#fb)A*PFfp\r\neFQ0P+'`:\r\n";
    let content = [&b"Cat\x90\x90"[..], &[b'z'; 300]].concat();
    let yenc: &[u8] = b"=ybegin line=128 size=5 name=cat.exe\r\n\x77\x84\x6d\x8b\x9e\r\n=yend size=5\r\n";
    let cases: [(&str, &[u8], &[u8]); 5] = [
        ("x-uuencode", b"begin 644 cat.exe\r\n%35I#870`\r\n`\r\nend\r\n", ATTACHED),
        ("x-uue", b"%35I#870\r\n`\r\nend\r\n", ATTACHED),
        ("x-yencode", yenc, ATTACHED),
        ("mac-binhex40", binhex.as_bytes(), &content),
        ("x-gzip64", b"H4sIAAAAAAACA/ONck4sAQB5WKObBQAAAA==\r\n", ATTACHED),
    ];
    for (encoding, body, expected) in cases {
        let header = format!(
            "Content-Type: application/octet-stream; name=cat.exe\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
        );
        let found = scan([header.as_bytes(), body].concat());
        assert_eq!(name_of(&found, expected), Some("cat.exe"), "{encoding}: {found:?}");
        if encoding != "x-gzip64" && encoding != "x-uue" {
            let found = scan([b"Subject: untyped\r\n\r\nHello\r\n", body, b"Bye\r\n"].concat());
            let name = if encoding == "mac-binhex40" { "cat.txt" } else { "cat.exe" };
            assert_eq!(name_of(&found, expected), Some(name), "{encoding} in a text: {found:?}");
        }
    }
}
