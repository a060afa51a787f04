// SPDX-License-Identifier: GPL-3.0-or-later
//! Mails between people, as their clients send them.

use super::{
    texts::{SUBJECTS, letter, page_of},
    writer::{Entity, Mail, chance, file, mail, multipart, named_text, noise, one, signatures, text, token},
};
use encodify::base64;
use fastrand::Rng;
use std::fmt::Write as _;

pub fn write(random: &mut Rng) -> Mail {
    let letter = letter(random);
    let mut body = match random.u32(..10) {
        0..4 => text(random, "text/plain", &letter),
        4 => text(random, "text/html", &page_of(&letter)),
        _ => alternative(random, &letter),
    };
    if chance(random, 15) {
        let picture = picture(random);
        body = multipart(random, "related", vec![body, picture]);
    }
    if chance(random, 45) {
        let mut parts = vec![body];
        for _ in 0..1 + random.usize(..3) {
            parts.push(attachment(random));
        }
        body = multipart(random, "mixed", parts);
    }
    if chance(random, 8) {
        body = signed(random, body);
    }
    if chance(random, 12) {
        body = listed(random, body);
    }
    let header = header(random);
    mail(random, &header, body)
}

fn alternative(random: &mut Rng, letter: &str) -> Entity {
    let parts = vec![text(random, "text/plain", letter), text(random, "text/html", &page_of(letter))];
    multipart(random, "alternative", parts)
}

pub fn header(random: &mut Rng) -> String {
    let mut out = String::new();
    for _ in 0..random.usize(..4) {
        let id = random.u32(..);
        let _ = write!(
            out,
            "Received: from mail.a.example (mail.a.example [192.0.2.1])\n\tby mx.b.example (Postfix) with ESMTPS id {id:X}\n\tfor <b@b.example>; Mon,  2 Nov 2026 10:00:00 +0100 (CET)\n"
        );
    }
    if chance(random, 70) {
        out.push_str(&signatures(random));
    }
    let subject = one(random, &SUBJECTS.each_ref());
    let _ = write!(
        out,
        "Date: Mon, 2 Nov 2026 10:00:00 +0100\nFrom: =?UTF-8?Q?J=C3=BCrgen?= <j@a.example>\nTo: b@b.example\nSubject: {subject}\nMessage-ID: <{}@a.example>\n",
        token(random, 20).replace('/', ".")
    );
    if chance(random, 10) {
        out.push_str(one(random, &[
            "X-Copyright(C): A Ltd\n",
            ">Received: from b by a\n",
            "Face: iVBORw0KGgoAAAANSUhEUgAAADAAAAAwBAMAAAClLOS0AAAAGFBMVEUPKE2NPx\n PbYKhERVYTBvc3UODi4iKi9SWGSEJVTV\n",
            "Autocrypt: addr=j@a.example; prefer-encrypt=mutual; keydata=\n mDMEXEcE6RYJKwYBBAHaRw8BAQdArjWwk3FAqyiFbFBKT4TzXcVBqPTB3gmzlC/Ub7O1u1y0F\n",
        ]));
    }
    out
}

fn picture(random: &mut Rng) -> Entity {
    let length = 200 + random.usize(..4000);
    let content = noise(random, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", length);
    let mut file = file(random, "image/png", "image001.png", &content);
    file.fields.push_str("Content-ID: <image001.png@01D00000.00000000>\r\n");
    file
}

fn attachment(random: &mut Rng) -> Entity {
    let length = 500 + random.usize(..6000);
    match random.u32(..13) {
        0..3 => {
            let content = noise(random, b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", length);
            file(random, "application/pdf", "Rechnung 2026-11.pdf", &content)
        }
        3 | 4 => {
            let content = noise(random, b"PK\x03\x04\x14\0\x06\0\x08\0", length);
            file(
                random,
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
                "notes.docx",
                &content,
            )
        }
        5 => {
            let content = noise(random, b"\xff\xd8\xff\xe0\0\x10JFIF", length);
            file(random, "image/jpeg", "IMG_0001.JPG", &content)
        }
        6 => invitation(random),
        7 => card(random),
        8 => named_text(random, "text/csv", "numbers.csv", "\nid;name;sum\n1;a;=2+3\n2;b;\"x\ny\"\n"),
        9 => named_text(
            random,
            "text/x-patch",
            "0001-fix.patch",
            "From 3b18e51 Mon Sep 17 00:00:00 2001\nFrom: A <a@a.example>\nSubject: [PATCH] fix\n\n---\n a.c | 2 +-\n\ndiff --git a/a.c b/a.c\n--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-a\n+b\n-- \n2.47.3\n",
        ),
        10 => invoice(random),
        11 => forwarded(random),
        _ => named_text(
            random,
            "text/plain",
            "app.log",
            "2026-11-02 10:00:00 INFO  start --port=80\n2026-11-02 10:00:01 WARN  Content-Type: missing\n\n\ttrace\n",
        ),
    }
}

fn invitation(random: &mut Rng) -> Entity {
    let text = "BEGIN:VCALENDAR\nMETHOD:REQUEST\nPRODID:Microsoft Exchange Server 2010\nVERSION:2.0\nBEGIN:VEVENT\nORGANIZER;CN=A:MAILTO:a@a.example\nDESCRIPTION;LANGUAGE=en-US:Join: https://meet.example/l/19%3ameeting_Nz\n M0YzQ1NjctODkwYS00\\n\\n\nUID:040000008200E00074C5B7101A82E00800000000D0F2\nEND:VEVENT\nEND:VCALENDAR\n";
    named_text(random, "text/calendar", "invite.ics", text)
}

/// An address card, some with a portrait, in lines that are folded.
fn card(random: &mut Rng) -> Entity {
    let mut text = "BEGIN:VCARD\nVERSION:3.0\nFN:Jane Doe\nEMAIL:jane@a.example\n".to_owned();
    let portrait = chance(random, 50);
    if portrait {
        let photo = base64::STANDARD.encode(noise(random, b"\xff\xd8\xff\xe0\0\x10JFIF", 1500));
        text.push_str("PHOTO;ENCODING=b;TYPE=JPEG:");
        text.push_str(&folded(&photo));
        text.push('\n');
    }
    text.push_str("END:VCARD\n");
    let mut part = named_text(random, "text/vcard", "jane.vcf", &text);
    // What is in it may be a part of its own.
    part.files += usize::from(portrait);
    part
}

fn folded(text: &str) -> String {
    let lines: Vec<&str> = text.as_bytes().chunks(72).filter_map(|line| str::from_utf8(line).ok()).collect();
    lines.join("\n ")
}

/// An electronic invoice with the picture of it inside.
fn invoice(random: &mut Rng) -> Entity {
    let pdf = base64::STANDARD.encode(noise(random, b"%PDF-1.4\n", 1200));
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Invoice><cbc:ID>4711</cbc:ID>\n<cac:Attachment><cbc:EmbeddedDocumentBinaryObject mimeCode=\"application/pdf\" filename=\"4711.pdf\">{pdf}</cbc:EmbeddedDocumentBinaryObject></cac:Attachment></Invoice>\n"
    );
    named_text(random, "application/xml", "4711.xml", &text)
}

fn forwarded(random: &mut Rng) -> Entity {
    let letter = letter(random);
    let inner = alternative(random, &letter);
    let header = header(random);
    let files = inner.files;
    let text = mail(random, &header, inner).text;
    let name = if chance(random, 50) { "; name=\"hello.eml\"" } else { "" };
    Entity {
        fields: format!("Content-Type: message/rfc822{name}\r\nContent-Disposition: attachment\r\n"),
        body: text,
        files,
    }
}

fn signed(random: &mut Rng, body: Entity) -> Entity {
    let signature = if chance(random, 50) {
        let lines = [token(random, 64), token(random, 64), token(random, 40)].join("\r\n");
        let armour = format!(
            "-----BEGIN PGP SIGNATURE-----\r\n\r\n{lines}\r\n=Ab1x\r\n-----END PGP SIGNATURE-----\r\n"
        );
        Entity {
            fields: "Content-Type: application/pgp-signature; name=\"OpenPGP_signature.asc\"\r\nContent-Disposition: attachment; filename=\"OpenPGP_signature\"\r\n".to_owned(),
            body: armour,
            files: 1,
        }
    } else {
        let der = noise(random, b"0\x82\x0a\xbb\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\xa0\x82", 900);
        file(random, "application/pkcs7-signature", "smime.p7s", &der)
    };
    multipart(random, "signed", vec![body, signature])
}

/// What a mailing list makes of it: a footer in a part of its own.
fn listed(random: &mut Rng, body: Entity) -> Entity {
    let footer = Entity {
        fields: "Content-Type: text/plain; charset=\"us-ascii\"\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: 7bit\r\nContent-Disposition: inline\r\n".to_owned(),
        body: "_______________________________________________\r\nlist mailing list\r\nhttps://l.example/listinfo/list\r\n".to_owned(),
        files: 0,
    };
    multipart(random, "mixed", vec![body, footer])
}
