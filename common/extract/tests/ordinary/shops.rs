// SPDX-License-Identifier: GPL-3.0-or-later
//! Newsletters and notices, as the services write them that shops send with.

use super::{
    texts::{SUBJECTS, newsletter, paragraph},
    writer::{Mail, chance, mail, multipart, one, signatures, text, token},
};
use fastrand::Rng;
use std::fmt::Write as _;

pub fn write(random: &mut Rng) -> Mail {
    let page = newsletter(random);
    let html = text(random, "text/html", &page);
    let body = match random.u32(..10) {
        0..3 => html,
        // One with a short form for telephones.
        3 => {
            let short = newsletter(random);
            let parts = vec![plain(random), text(random, "text/x-amp-html", &short), html];
            multipart(random, "alternative", parts)
        }
        _ => {
            let parts = vec![plain(random), html];
            multipart(random, "alternative", parts)
        }
    };
    let header = header(random);
    mail(random, &header, body)
}

fn plain(random: &mut Rng) -> super::writer::Entity {
    let mut letter = String::new();
    for _ in 0..random.usize(..6) {
        letter.push_str(&paragraph(random));
        let _ = write!(letter, "\n( https://click.a.example/{} )\n\n", token(random, 80));
        letter.push_str(one(
            random,
            &[
                "",
                "----------------------------\n",
                "=================\n\n",
                "** New\n------\n",
                "\u{200c} \u{200c}\n",
            ],
        ));
    }
    text(random, "text/plain", &letter)
}

fn header(random: &mut Rng) -> String {
    let mut out = format!("Return-Path: <bounce+{}@em.a.example>\n", random.u32(..));
    for _ in 0..1 + random.usize(..2) {
        out.push_str(&signatures(random));
    }
    let subject = one(random, &SUBJECTS.each_ref());
    let _ = write!(
        out,
        "From: \"Shop\" <news@a.example>\nTo: <b@b.example>\nSubject: {subject}\nDate: Mon, 02 Nov 2026 10:00:00 +0000\nMessage-ID: <{}@em.a.example>\nList-Unsubscribe: <https://a.example/u?{}>,\n <mailto:u@a.example?subject=3D>\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\nX-Report-Abuse: https://a.example/abuse\n",
        random.u64(..),
        token(random, 60)
    );
    if chance(random, 40) {
        let _ = write!(
            out,
            "X-SG-EID: =?us-ascii?Q?u001=2E{}?=\n =?us-ascii?Q?{}?=\n",
            token(random, 40).replace(['+', '/'], "x"),
            token(random, 40).replace(['+', '/'], "y")
        );
    }
    if chance(random, 20) {
        let _ = write!(
            out,
            "X-Mailgun-Variables: {{\"id\": \"{}\", \"content-type\": \"html\"}}\n",
            random.u32(..)
        );
    }
    out
}
