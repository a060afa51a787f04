// SPDX-License-Identifier: GPL-3.0-or-later
//! What people and shops write: sentences in several languages, and in between what looks like something else to a program
//! that searches texts for files and fields.

use super::writer::{chance, one, token};
use fastrand::Rng;
use std::fmt::Write as _;

const SENTENCES: [&str; 18] = [
    "Thank you for your order, we will let you know when it is on its way.",
    "Could you please have a look at the attached file before Thursday?",
    "I'll be out of the office until the 14th.",
    "Die Unterlagen für die Sitzung liegen bei, bitte prüfen Sie die Beträge.",
    "Vielen Dank für Ihre Geduld – wir melden uns in den nächsten Tagen.",
    "Vous trouverez ci-joint le compte rendu de la réunion d'hier.",
    "Gracias por su interés; el número de su pedido es el 48213.",
    "The total is 1,249.00 EUR (incl. 19% VAT).",
    "See https://a.example/x?id=3D1&utm_source=mail&utm_campaign=autumn for details.",
    "x = y + 3; a=1, b==2, c=>3",
    "It says \"error = 0x80070005\" and stops.",
    "Meeting ID: 812 3456 7890, passcode: 4f=9Kx",
    "Przepraszam za opóźnienie, odpowiem jutro rano.",
    "Grüße aus Köln 😀",
    "-- on the other hand, nobody has complained so far.",
    "日程の件、承知しました。よろしくお願いいたします。",
    "Content is king; the content-type of the page is wrong, though.",
    "begin with the second chapter, please, and end there.",
];

pub const SUBJECTS: [&str; 8] = [
    "Re: meeting on Thursday",
    "Invoice 2026-11-0815",
    "=?UTF-8?Q?Gr=C3=BC=C3=9Fe_aus_K=C3=B6ln?=",
    "=?utf-8?B?UmVjaG51bmcgZsO8ciBOb3ZlbWJlcg==?=",
    "[PATCH v2 1/3] tty: fix the build",
    "Your weekly summary",
    "AW: Fwd: Unterlagen",
    "20 % off everything",
];

/// A few sentences in lines of about 72 characters.
pub fn paragraph(random: &mut Rng) -> String {
    let mut out = String::new();
    let mut column = 0;
    for _ in 0..1 + random.usize(..5) {
        for word in one(random, &SENTENCES.each_ref()).split(' ') {
            if column > 0 && column + word.len() > 72 {
                out.push('\n');
                column = 0;
            } else if column > 0 {
                out.push(' ');
            }
            column += word.len() + 1;
            out.push_str(word);
        }
    }
    out.push('\n');
    out
}

/// A text of a mail between people.
pub fn letter(random: &mut Rng) -> String {
    let mut out = format!(
        "{}\n\n",
        one(random, &["Hi,", "Dear all,", "Hallo Anna,", "Sehr geehrte Damen und Herren,"])
    );
    for _ in 0..1 + random.usize(..4) {
        out.push_str(&paragraph(random));
        out.push('\n');
        if chance(random, 25) {
            out.push_str(&aside(random));
            out.push('\n');
        }
    }
    if chance(random, 50) {
        out.push_str(&quoted(random));
    }
    if chance(random, 50) {
        out.push_str("-- \nJane Doe · A Ltd · +49 221 123456\nhttps://a.example\n");
    }
    out
}

fn quoted(random: &mut Rng) -> String {
    let text = paragraph(random) + "\n" + &paragraph(random);
    match random.u32(..3) {
        0 => text.lines().fold("On Mon, Nov 2, 2026 at 9:00 AM B wrote:\n\n".to_owned(), |out, line| {
            out + "> " + line + "\n"
        }),
        1 => format!(
            "-----Original Message-----\nFrom: B <b@b.example>\nSent: Monday, November 2, 2026 9:00 AM\nTo: A\nSubject: hi\n\n{text}"
        ),
        _ => format!(
            "---------- Forwarded message ---------\nFrom: B <b@b.example>\nDate: Mon, Nov 2, 2026\nSubject: hi\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{text}"
        ),
    }
}

/// What stands between the sentences of people who build and run things.
fn aside(random: &mut Rng) -> String {
    match random.u32(..60) / 5 {
        0 => "./configure \\\n    --prefix=/usr \\\n    --with-ssl=/opt/ssl \\\n    --disable-nls\n".to_owned(),
        1 => "HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 27\n\n{\"status\": \"ok\", \"n\": 12345}\n".to_owned(),
        2 => format!("Authorization: Bearer {}.{}.{}\n", token(random, 36), token(random, 120), token(random, 43)),
        3 => format!("{:032x}{:032x}  invoice.pdf\n", random.u128(..), random.u128(..)),
        4 => "diff --git a/src/a.c b/src/a.c\nindex 3b18e51..9f2c7a1 100644\n--- a/src/a.c\n+++ b/src/a.c\n@@ -1,4 +1,4 @@\n int main(void)\n {\n-\treturn 1;\n+\treturn 0;\n }\n".to_owned(),
        5 => format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{} anna@a.example\n", token(random, 43)),
        6 => format!(
            "-----BEGIN PGP SIGNATURE-----\n\niQIzBAEBCgAdFiEE{}\n{}\n{}\n=Zk3x\n-----END PGP SIGNATURE-----\n",
            token(random, 48),
            token(random, 64),
            token(random, 64)
        ),
        7 => "Name;Menge;Preis\nSchrauben;100;12,50\nMuttern;200;8,=20\n".to_owned(),
        8 => "  -- SELECT * FROM mails WHERE id = 3;\n  --limit 5\n".to_owned(),
        9 => "=======================================\n  Agenda\n=======================================\n".to_owned(),
        10 => format!("https://a.example/reset?token={}&e=1\n", token(random, 90)),
        _ if chance(random, 80) => "Sent from my telephone\n".to_owned(),
        _ => "Reporting-MTA: dns; mx.a.example\nContent-Transfer-Encoding: base64\n(the header that it complained about)\n".to_owned(),
    }
}

/// A page: what a client makes of a letter.
pub fn page_of(letter: &str) -> String {
    let mut out = "<html><head><meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\"></head>\n<body style=\"word-wrap: break-word\">\n".to_owned();
    for line in letter.lines() {
        let line = line.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(out, "<div>{}</div>", if line.is_empty() { "<br>" } else { &line });
    }
    out + "</body></html>\n"
}

/// A newsletter: a style sheet, tables, pictures that are elsewhere, and links that say who clicked.
pub fn newsletter(random: &mut Rng) -> String {
    let mut out = "<!DOCTYPE html>\n<html><head>\n<style type=\"text/css\">\n".to_owned();
    if chance(random, 40) {
        out.push_str(":root {\n  --brand: #ab12cd;\n  --width: 600px;\n\n  --font: Arial, sans-serif;\n}\n");
    }
    if chance(random, 30) {
        out.push_str(
            "@media only screen and (max-width:600px){\n\t.c{width:100%!important}\n}\n\n--x-fix: 1;\n",
        );
    }
    out.push_str("</style></head>\n<body style=\"margin:0;padding:0\">\n");
    if chance(random, 40) {
        let blank = "&#847;&zwnj;&nbsp;".repeat(40);
        let _ = writeln!(out, "<div style=\"display:none\">A preview{blank}</div>");
    }
    for _ in 0..2 + random.usize(..25) {
        let link = format!(
            "https://click.a.example/ls/click?upn={}-3D&d={}",
            token(random, 150).replace('+', "-2B"),
            token(random, 24)
        );
        let text = one(random, &SENTENCES.each_ref());
        let _ = writeln!(
            out,
            "<table width=\"100%\"><tr><td style=\"color:#333\"><a href=\"{link}\"><img src=\"https://img.a.example/{}.png\" width=\"560\"></a>\n<p>{text}</p></td></tr></table>\n",
            random.u32(..)
        );
    }
    if chance(random, 12) {
        let picture =
            encodify::base64::STANDARD.encode(super::writer::noise(random, b"\x89PNG\r\n\x1a\n", 400));
        let _ = writeln!(out, "<img src=\"data:image/png;base64,{picture}\">");
    }
    if chance(random, 30) {
        // Some write it all in one line.
        out = out.replace('\n', " ");
    }
    out + "<p style=\"font-size:10px\">Unsubscribe</p></body></html>\n"
}
