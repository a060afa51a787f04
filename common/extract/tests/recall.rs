// SPDX-License-Identifier: GPL-3.0-or-later
//! Attachments that came before are recalled by their encoded bytes: that must never change what is found.

use bytes::Bytes;
use mail_builder::MessageBuilder;
use thundergate_extract::{Bodies, Budget, Extraction, Recall, extract, extract_recalling};

const BUDGET: Budget = Budget { parts: 1000, depth: 50, readings: 500, decoded_bytes: 200 << 20 };

/// Bytes that no compression or decoding makes sense of.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(&mut next).take(length).collect()
}

fn mail(name: &str, media_type: &str, content: Vec<u8>) -> Bytes {
    let message = MessageBuilder::new().from("a@example.org").subject("x").text_body("Hello.\r\n");
    message.attachment(media_type, name, content).write_to_vec().expect("memory takes it").into()
}

/// What is found, as text; the digests and everything else that is said of it.
fn told(extraction: &Extraction) -> String {
    format!("{extraction:?}")
}

#[test]
fn what_is_recalled_is_what_decoding_gives() {
    let inner = mail("inner.bin", "application/octet-stream", noise(60_000));
    let file = mail("a.bin", "application/octet-stream", noise(100_000));
    let mut damaged = file.to_vec();
    let middle = damaged.len() / 2;
    damaged[middle] = b'!';
    let messages = [
        file,
        mail("b.exe", "application/octet-stream", noise(100_000)),
        mail("page.html", "text/html", b"<p>Hello</p>".repeat(10_000)),
        mail("inner.eml", "application/octet-stream", inner.to_vec()),
        mail("inner.dat", "application/octet-stream", inner.to_vec()),
        damaged.into(),
    ];
    let recall = Recall::default();
    for bodies in [Bodies::Html, Bodies::All, Bodies::None] {
        for message in messages.iter().chain(&messages) {
            let expected = told(&extract(message, bodies, &BUDGET));
            assert_eq!(told(&extract_recalling(message, bodies, &BUDGET, &recall)), expected);
        }
    }
}
