// SPDX-License-Identifier: GPL-3.0-or-later
//! Reports that a mail was not delivered or is late, as mail servers write them: with the mail, with its header, with the
//! start of it; in parts of their own, or in one text.

use super::{
    clients, shops,
    writer::{Entity, Mail, chance, mail, multipart, one, text},
};
use fastrand::Rng;

const REASON: &str = "This is the mail system at host mx.a.example.\n\nI'm sorry to have to inform you that your message could not\nbe delivered to one or more recipients.\n\n<c@c.example>: host mx.c.example[192.0.2.9] said: 550 5.1.1 User unknown (in\n    reply to RCPT TO command)\n";

pub fn write(random: &mut Rng) -> Mail {
    let original = if chance(random, 40) { shops::write(random) } else { clients::write(random) };
    let header = "Return-Path: <>\nFrom: MAILER-DAEMON@mx.a.example (Mail Delivery System)\nTo: j@a.example\nSubject: Undelivered Mail Returned to Sender\nDate: Mon, 2 Nov 2026 10:01:00 +0100\nAuto-Submitted: auto-replied\n";
    let body = match random.u32(..10) {
        0..2 => in_one_text(random, &original),
        2 => page(random, &original),
        _ => report(random, &original),
    };
    mail(random, header, body)
}

/// The header of the original; not all have the empty line behind it.
fn header_of(original: &Mail) -> &str {
    original.text.split_once("\r\n\r\n").map_or(&original.text, |(header, _)| header)
}

/// As RFC 3462 says.
fn report(random: &mut Rng, original: &Mail) -> Entity {
    let status = Entity {
        fields: "Content-Description: Delivery report\r\nContent-Type: message/delivery-status\r\n".to_owned(),
        body: "Reporting-MTA: dns; mx.a.example\r\nX-Postfix-Queue-ID: 4ABCDE1234\r\nArrival-Date: Mon,  2 Nov 2026 09:59:59 +0100 (CET)\r\n\r\nFinal-Recipient: rfc822; c@c.example\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 User unknown\r\n".to_owned(),
        files: 1,
    };
    let returned = match random.u32(..3) {
        0 => Entity {
            fields: "Content-Description: Undelivered Message\r\nContent-Type: message/rfc822\r\n".to_owned(),
            body: original.text.clone(),
            files: original.files,
        },
        1 => Entity {
            fields:
                "Content-Description: Undelivered Message Headers\r\nContent-Type: text/rfc822-headers\r\n"
                    .to_owned(),
            body: header_of(original).to_owned() + one(random, &["\r\n", "\r\n\r\n", ""]),
            files: 1,
        },
        // Exchange gives the header as a message without a body.
        _ => Entity {
            fields: "Content-Type: message/rfc822\r\n".to_owned(),
            body: header_of(original).to_owned() + "\r\n\r\n",
            files: 0,
        },
    };
    let reason = text(random, "text/plain", REASON);
    multipart(random, "report; report-type=delivery-status", vec![reason, status, returned])
}

/// As qmail and Exim write: everything in one text, the original behind a line.
fn in_one_text(random: &mut Rng, original: &Mail) -> Entity {
    let line = one(
        random,
        &[
            "--- Below this line is a copy of the message.\n\n",
            "------ This is a copy of the message, including all the headers. ------\n\n",
            "------ This is a copy of the message's headers. ------\n\n",
        ],
    );
    let whole = !line.contains("headers. --") || line.contains("all the headers");
    let original = if whole && original.files == 0 { &original.text } else { header_of(original) };
    let text = format!("{REASON}\n{line}{}\n", original.replace("\r\n", "\n"));
    Entity {
        fields: "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n".to_owned(),
        body: text.replace('\n', "\r\n"),
        files: 0,
    }
}

/// As Exchange writes for people: a page, with the header of the original at its end.
fn page(random: &mut Rng, original: &Mail) -> Entity {
    let header = header_of(original).replace("\r\n", "\n").replace('&', "&amp;").replace('<', "&lt;");
    let page = format!(
        "<html><body><h1>Your message couldn't be delivered</h1>\n<p>Diagnostic information for administrators:</p>\n<p>550 5.1.1 RESOLVER.ADR.RecipNotFound; not found</p>\n<p>Original message headers:</p>\n<pre>{header}\n</pre></body></html>\n"
    );
    text(random, "text/html", &page)
}
