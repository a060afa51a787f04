// SPDX-License-Identifier: GPL-3.0-or-later
//! Puts a mail together: header, parts, boundaries and transfer encodings, in the ways programs differ.

use encodify::base64;
use fastrand::Rng;
use std::fmt::Write as _;

/// A message, and how many samples it should cost: its files and its texts that are not plain.
pub struct Mail {
    pub text: String,
    pub files: usize,
}

/// An entity: fields, each with its line end, and a body that is encoded already.
#[derive(Clone)]
pub struct Entity {
    pub fields: String,
    pub body: String,
    pub files: usize,
}

/// One of `all`.
pub fn one<'a, T: ?Sized>(random: &mut Rng, all: &[&'a T]) -> &'a T {
    all[random.usize(..all.len())]
}

/// True so many times in a hundred.
pub fn chance(random: &mut Rng, percent: u32) -> bool {
    random.u32(..100) < percent
}

/// `text` with CRLF.
fn lines(text: &str) -> String {
    text.replace('\n', "\r\n")
}

/// A text of `media_type`, in a transfer encoding that some program would choose.
pub fn text(random: &mut Rng, media_type: &str, text: &str) -> Entity {
    encoded_text(random, media_type, text, true)
}

/// A text with a name, which programs encode so that it comes out as it was.
pub fn named_text(random: &mut Rng, media_type: &str, name: &str, content: &str) -> Entity {
    let mut part = encoded_text(random, media_type, content, false);
    let _ = write!(part.fields, "Content-Disposition: attachment; filename=\"{name}\"\r\n");
    part.files = 1;
    part
}

fn encoded_text(random: &mut Rng, media_type: &str, text: &str, quirks: bool) -> Entity {
    let plain = media_type == "text/plain";
    let (encoding, body) = match random.u32(..10) {
        0..2 => ("base64", base64::MIME.encode(lines(text).as_bytes())),
        2..6 => ("quoted-printable", quoted_printable(random, text, quirks)),
        _ if text.lines().any(|line| line.len() > 990) => {
            ("quoted-printable", quoted_printable(random, text, quirks))
        }
        6..8 if text.is_ascii() => ("7bit", lines(text)),
        _ => ("8bit", lines(text)),
    };
    let charset = one(random, &["utf-8", "UTF-8", "\"utf-8\"", "\"UTF-8\""]);
    let flowed = if plain && chance(random, 20) { "; format=flowed" } else { "" };
    let mut fields = format!("Content-Type: {media_type}; charset={charset}{flowed}\r\n");
    if encoding != "7bit" || chance(random, 60) {
        let _ = write!(fields, "Content-Transfer-Encoding: {encoding}\r\n");
    }
    Entity { fields, body, files: usize::from(!plain) }
}

/// Quoted-printable as mailers write it: line ends as they are, or one with some of them escaped.
fn quoted_printable(random: &mut Rng, text: &str, quirks: bool) -> String {
    let escaped_ends = quirks && chance(random, 8);
    let soft_end = quirks && chance(random, 8);
    let escapes_more = chance(random, 20);
    let width = 60 + random.usize(..16);
    let mut out = String::new();
    for line in text.split('\n') {
        let mut column = 0;
        let last = line.len().saturating_sub(1);
        for (at, byte) in line.bytes().enumerate() {
            let plain = matches!(byte, b'!'..=b'~' if byte != b'=') || byte == b' ' && at != last;
            let piece = if plain && !(escapes_more && byte == b'.') {
                char::from(byte).to_string()
            } else {
                format!("={byte:02X}")
            };
            if column + piece.len() > width {
                out.push_str("=\r\n");
                column = 0;
            }
            column += piece.len();
            out.push_str(&piece);
        }
        out.push_str(match () {
            () if escaped_ends && random.bool() => "=0A=\r\n",
            () if soft_end && line.is_empty() => "=\r\n\r\n",
            () => "\r\n",
        });
    }
    out
}

/// A file of `media_type` with `content`, in base64.
pub fn file(random: &mut Rng, media_type: &str, name: &str, content: &[u8]) -> Entity {
    let mut fields = format!("Content-Type: {media_type}");
    let both = chance(random, 60);
    if both {
        let _ = write!(fields, ";\r\n{}name=\"{name}\"", one(random, &[" ", "\t"]));
    }
    fields.push_str("\r\nContent-Transfer-Encoding: base64\r\n");
    let kind = if chance(random, 85) { "attachment" } else { "inline" };
    let _ = write!(fields, "Content-Disposition: {kind}; filename=\"{name}\"");
    if chance(random, 25) {
        let _ =
            write!(fields, "; size={};\r\n\tcreation-date=\"Mon, 02 Nov 2026 09:00:00 GMT\"", content.len());
    }
    fields.push_str("\r\n");
    if chance(random, 30) {
        let _ = write!(fields, "X-Attachment-Id: f_{:x}0\r\n", random.u32(..));
    }
    let mut body = base64::MIME.encode(content);
    if chance(random, 70) {
        body.push_str("\r\n");
    }
    Entity { fields, body, files: 1 }
}

/// `parts` in a multipart with a boundary as this program writes them.
pub fn multipart(random: &mut Rng, subtype: &str, parts: Vec<Entity>) -> Entity {
    let boundary = boundary(random);
    let quoted = chance(random, 85) || boundary.contains(['=', '(', '/', '_']);
    let value = if quoted { format!("\"{boundary}\"") } else { boundary.clone() };
    let fold = one(random, &[" ", "\r\n\t", "\r\n "]);
    let fields = format!("Content-Type: multipart/{subtype};{fold}boundary={value}\r\n");
    let mut body = String::new();
    if chance(random, 30) {
        body.push_str("This is a multi-part message in MIME format.\r\n");
    }
    let files = parts.iter().map(|part| part.files).sum();
    for part in parts {
        let _ = write!(body, "\r\n--{boundary}\r\n{}\r\n{}", part.fields, part.body);
    }
    let _ = write!(body, "\r\n--{boundary}--\r\n");
    Entity { fields, body, files }
}

fn boundary(random: &mut Rng) -> String {
    let (a, b) = (random.u64(..), random.u32(..));
    match random.u32(..11) {
        0 => format!("----=_NextPart_000_{:04X}_{b:08X}.{:08X}", a as u16, a as u32),
        1 => format!("----=_Part_{b}_{}.{}", a as u32, a >> 20),
        2 => format!("{a:028}"),
        3 => format!("0000000000{a:016x}06"),
        4 => format!("Apple-Mail=_{b:08X}-{:04X}-4{:03X}-A{:03X}-{a:012X}", b >> 16, b & 0xfff, b >> 20),
        5 => format!("_000_AM0PR04MB{b}{a:X}AM0PR04MB{b}eurp_"),
        6 => format!("------------{a:024X}"),
        7 => format!("Boundary_(ID_{a:x}{b:x})"),
        8 => format!("=_{a:032x}"),
        9 => format!("_----------=_MCPart_{b}"),
        _ => format!("==============={a:019}=="),
    }
}

/// The mail that `entity` is, with the header of what sends it.
pub fn mail(random: &mut Rng, header: &str, entity: Entity) -> Mail {
    let version = one(
        random,
        &["MIME-Version: 1.0\r\n", "Mime-Version: 1.0\r\n", "MIME-Version: 1.0 (Mac OS X Mail 16.0)\r\n"],
    );
    let fields = if random.bool() {
        format!("{version}{}", entity.fields)
    } else {
        format!("{}{version}", entity.fields)
    };
    Mail { text: format!("{}{fields}\r\n{}", lines(header), entity.body), files: entity.files }
}

/// A signature of the mail and, sometimes, of who passed it on, with lists of names folded wherever a line is full.
pub fn signatures(random: &mut Rng) -> String {
    let names = [
        "mime-version",
        "from",
        "date",
        "message-id",
        "subject",
        "to",
        "content-type",
        "content-transfer-encoding",
        "list-unsubscribe",
        "list-unsubscribe-post",
        "reply-to",
        "cc",
        "feedback-id",
        "x-mailer",
        "in-reply-to",
    ];
    let mut names = names.to_vec();
    random.shuffle(&mut names);
    names.truncate(4 + random.usize(..10));
    let mut list = String::new();
    let mut column = 40;
    for name in &names {
        if column + name.len() > 70 {
            list.push_str(one(random, &["\n\t", "\n ", "\n        "]));
            column = 8;
        }
        let _ = write!(list, "{}{name}", if list.is_empty() { "" } else { ":" });
        column += name.len() + 1;
    }
    let mut out = String::new();
    if chance(random, 30) {
        let _ = write!(
            out,
            "ARC-Seal: i=1; a=rsa-sha256; t=1762074000; cv=none; d=relay.example; s=arc;\n b={}\n",
            token(random, 60)
        );
        let _ = write!(
            out,
            "ARC-Message-Signature: i=1; a=rsa-sha256; d=relay.example; s=arc; h={list};\n bh={}=; b={}\n",
            token(random, 43),
            token(random, 60)
        );
    }
    let _ = write!(
        out,
        "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=a.example; s=k1;\n\th={list};\n\tbh={}=;\n\tb={}\n\t {}=\n",
        token(random, 43),
        token(random, 66),
        token(random, 60)
    );
    out
}

/// `length` symbols of base64.
pub fn token(random: &mut Rng, length: usize) -> String {
    const SYMBOLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    (0..length).map(|_| char::from(SYMBOLS[random.usize(..64)])).collect()
}

/// `length` bytes behind `magic`, as a compressed file has them.
pub fn noise(random: &mut Rng, magic: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.extend((0..length).map(|_| random.u8(..)));
    bytes
}
