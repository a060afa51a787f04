// SPDX-License-Identifier: GPL-3.0-or-later
//! The messages. The first is the well-formed one.

use encodify::base64::MIME;

/// A message that can be made in any size.
pub struct Case {
    pub name: &'static str,
    pub make: fn(usize) -> Vec<u8>,
}

macro_rules! cases {
    ($($name:literal: $make:expr,)*) => {
        pub const CASES: &[Case] = &[$(Case { name: $name, make: $make }),*];
    };
}

cases! {
    "plain": |size| part("base64", &encoded(&noise(size / 4 * 3))),
    "text": |size| text("A line of text as people write it, neither short nor long.\r\n", size),
    // Structure.
    "delimiters": |size| mixed("--b\r\n", size),
    "delimiters, nearly": |size| mixed("--bb\r\n", size),
    "delimiters that close": |size| mixed("--b--\r\n", size),
    "parts": |size| mixed("--b\r\nContent-Type: a/b; name=x\r\n\r\nx\r\n", size),
    "parts, nearly": |size| mixed("--b x\r\nContent-Type: a/b; name=x\r\n\r\nx\r\n", size),
    "nested": |size| numbered(size, |n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n")),
    "nested, one boundary": |size| text_only("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n", size),
    "nested, wrong boundaries": |size| text_only("Content-Type: multipart/mixed; boundary=x\r\n\r\n--b\r\n", size),
    "nested, no boundaries": |size| text_only("Content-Type: multipart/mixed\r\n\r\n", size),
    "nested messages": |size| text_only("Content-Type: message/rfc822\r\n\r\n", size),
    "nested messages, encoded": encoded_messages,
    "nested messages, unclear": |size| text_only("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: quoted 7bit\r\n\r\n", size),
    "all boundaries differ": |size| numbered(size, |n| format!("--{n}\r\n")),
    "all boundaries differ, with types": |size| numbered(size, |n| format!("--{n}\r\nContent-Type: a/b\r\n\r\nx\r\n")),
    "a long boundary, nearly met": long_boundary,
    // Headers.
    "one long field": |size| [b"X: ".as_slice(), &b"x".repeat(size), b"\r\n\r\nx"].concat(),
    "one long type": |size| field("Content-Type: ", "x", size),
    "parameters": |size| field("Content-Type: multipart/mixed; ", "x=y; ", size),
    "boundaries as parameters": |size| field("Content-Type: multipart/mixed; ", "boundary=x; ", size),
    "sections": |size| field("Content-Type: multipart/mixed; ", "boundary*1=x; ", size),
    "sections, numbered": |size| {
        let sections = numbered(size, |n| format!("boundary*{n}=x; "));
        [b"Content-Type: multipart/mixed; ".as_slice(), &sections, b"\r\n\r\nx"].concat()
    },
    "folds": |size| field("Content-Type: multipart/mixed;", "\r\n\tx=y;", size),
    "blank folds": |size| field("X: y\r\n", " \r\n", size),
    "comments, nested": |size| field("Content-Type: multipart/mixed; ", "(", size),
    "comments, closed": |size| field("Content-Type: multipart/mixed; ", "(x)", size),
    "comments in the encoding": |size| field("Content-Transfer-Encoding: base64 ", "(", size),
    "quotes": |size| field("Content-Type: multipart/mixed; boundary=", "\"", size),
    "backslashes": |size| field("Content-Type: multipart/mixed; boundary=\"", "\\", size),
    "encoded words in a name": |size| field("Content-Type: a/b; name=\"", "=?utf-8?Q?x?= ", size),
    "encoded words, begun": |size| field("Content-Type: a/b; name=\"", "=?utf-8?", size),
    "encoded words in the encoding": |size| field("Content-Transfer-Encoding: ", "=?utf-8?Q?x?= ", size),
    "fields": |size| text_only("X: y\r\n", size),
    "fields, all types": |size| text_only("Content-Type: a/b\r\n", size),
    "fields, differing types": |size| numbered(size, |n| format!("Content-Type: a/{n}\r\n")),
    "fields, differing encodings": |size| numbered(size, |n| format!("Content-Transfer-Encoding: x{n}\r\n")),
    "fields, differing names": |size| numbered(size, |n| format!("Content-Disposition: attachment; filename=x.{n}\r\n")),
    "junk in the header": |size| text_only("junk\r\n", size),
    "headers at every line": |size| text("Content-Type: a/b\r\n", size),
    "headers and bodies": |size| text("Content-Transfer-Encoding: base64\r\n\r\nQUJD\r\n", size),
    "types and bodies": |size| text("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n", size),
    // Bodies.
    "base64 with junk": |size| part("base64", &"Q.U.J.D.".repeat(size / 8)),
    "base64 of equals signs": |size| part("base64", &"=".repeat(size)),
    "base64 of padded groups": |size| part("base64", &"QQ==".repeat(size / 4)),
    "base64, a character a line": |size| part("base64", &"Q\r\n".repeat(size / 3)),
    "base64 with tails": |size| part("base64", &"QUJD#abcd\r\n".repeat(size / 11)),
    "base64 with equals signs": |size| part("base64", &"QU=JD=".repeat(size / 6)),
    "base64 between empty lines": |size| part("base64", &"QUJDREVG\r\n\r\n".repeat(size / 12)),
    "base64, undeclared": |size| part("7bit", &encoded(&noise(size / 4 * 3))),
    "base64, two encodings": |size| part("base64\r\nContent-Transfer-Encoding: quoted-printable", &encoded(&noise(size / 4 * 3))),
    "base64, unclear and dirty": |size| part("base64, quoted-printable", &encoded(&noise(size / 4 * 3)).replace('A', "=A")),
    "quoted-printable, bad": |size| part("quoted-printable", &"=X".repeat(size / 2)),
    "quoted-printable, equals signs": |size| part("quoted-printable", &"=".repeat(size)),
    "quoted-printable, breaks": |size| part("quoted-printable", &"= \r\n".repeat(size / 4)),
    "quoted-printable, blanks": |size| part("quoted-printable", &" ".repeat(size)),
    "quoted-printable, binary": |size| part("quoted-printable", &"=00\r\nx \r\n".repeat(size / 9)),
    "quoted-printable, long": |size| part("quoted-printable", &"=41".repeat(size / 3)),
    "uu begins": |size| text("begin 644 x\r\n#0V%T\r\n", size),
    "uu begins on one line": |size| text("begin ", size),
    "uu without end": |size| [b"X: y\r\n\r\nbegin 644 x\r\n".as_slice(), &b"#0V%T\r\n".repeat(size / 7)].concat(),
    "uu lines of other lengths": |size| [b"X: y\r\n\r\nbegin 644 x\r\n".as_slice(), &b"#0V%TX\r\n".repeat(size / 8)].concat(),
    "uu declared": |size| part("x-uuencode", &"M".repeat(size)),
    "yEnc begins": |size| text("=ybegin line=1 size=1 name=x\r\nk\r\n", size),
    "yEnc without end": |size| [b"X: y\r\n\r\n=ybegin line=128 size=1 name=x\r\n".as_slice(), &b"=".repeat(size)].concat(),
    "BinHex begins": |size| text("(This file must be converted with BinHex 4.0)\r\n\r\n:\"@4\r\n", size),
    "BinHex runs": |size| {
        let start = b"X: y\r\n\r\n(This file must be converted with BinHex 4.0)\r\n\r\n:".as_slice();
        [start, &b"j2r`m".repeat(size / 5)].concat()
    },
    "PEM begins": |size| text("-----BEGIN CERTIFICATE-----\r\nQUJD\r\n", size),
    "empty lines": |size| text("\r\n", size),
    "empty lines, LF": |size| text("\n", size),
    "empty lines, CR": |size| text("\r", size),
    "nearly empty lines": |size| text(" \r\n", size),
    "hyphens": |size| text("--\r\n", size),
    "hyphens on one line": |size| text("-", size),
    "hyphens and a name": |size| text("--x\r\n", size),
    "hyphens and blanks": |size| text(" --x", size),
    "mixed line ends": |size| text("\r\n\r\r\n\n\r", size),
    "NULs": |size| text("\0", size),
    "NULs and delimiters": |size| text("\0\r\n--\0\r\n\0", size),
    "mailbox lines": |size| text_only("From x\r\n\r\n", size),
    "blanks": |size| text(" ", size),
    "words": |size| text("QUJDREVG ", size),
    "noise": noise,
    "noise in a multipart": |size| [b"Content-Type: multipart/mixed; boundary=b\r\n\r\n".as_slice(), &noise(size)].concat(),
    // Many choices at once.
    "two types, two boundaries": |size| {
        let header = "Content-Type: multipart/mixed; boundary=a; boundary=b\r\njunk\r\nContent-Type: multipart/mixed; boundary=c; boundary=d\r\n\r\n";
        let body = part("base64\r\nContent-Transfer-Encoding: quoted-printable", &encoded(&noise(size / 4 * 3)).replace('A', "="));
        [header.as_bytes(), &body].concat()
    },
    "a thousand dirty parts": |size| {
        let body = encoded(&noise(size / 1400)).replace('A', "=.");
        let part = format!("--b\r\nContent-Type: a/b; name=x\r\nContent-Transfer-Encoding: base64, x\r\n\r\n{body}\r\n");
        mixed(&part, size)
    },
    "a thousand preambles": |size| {
        let body = encoded(&noise(size / 1400));
        let part = format!("Content-Type: multipart/mixed; boundary=x\r\n\r\n{body}\r\n--b\r\n");
        mixed(&format!("--b\r\n{part}"), size)
    },
    // In doubt, so that the structure is left aside as well.
    "in doubt, pieces": |size| doubtful("--x\r\nContent-Type: a/b; name=x\r\n\r\nQUJDREVGR0hJSktMTU5PUFFS\r\n", size),
    "in doubt, base64": |size| doubtful("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZn\r\n", size),
    "in doubt, base64 and empty lines": |size| doubtful("QUJDREVGR0hJSktMTU5PUFFS\r\n\r\n", size),
    "in doubt, escapes and empty lines": |size| doubtful("=41=42=43=X\r\n\r\n", size),
    "in doubt, uu lines": |size| doubtful("#0V%T\r\n--\r\n", size),
    "in doubt, empty lines": |size| doubtful("\r\n", size),
    "in doubt, hyphens": |size| doubtful("--\r\n", size),
    "in doubt, fields": |size| doubtful("Content-Type: a/b; name=x\r\n", size),
    "in doubt, NULs": |size| doubtful("\0", size),
    // Containers.
    "TNEF attachments": |size| part("base64", &encoded(&tnef(size / 4 * 3))),
    "CMS nested": |size| smime(&[0x30, 0x80].repeat(size * 3 / 8)),
    "CMS pieces": |size| smime(&signed(&[4, 1, b'x'].repeat(size / 4))),
    "CMS pieces, nested": |size| smime(&signed(&[0x24, 0x80].repeat(size * 3 / 8))),
    "CMS in CMS": cms_in_cms,
}

/// Bytes that look random.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 9) as u8
    };
    (0..size).map(step).collect()
}

fn encoded(bytes: &[u8]) -> String {
    MIME.encode(bytes)
}

/// A text, and an attachment that holds `body`.
fn part(encoding: &str, body: &str) -> Vec<u8> {
    format!(
        "From: <a@a.example>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n\
         Hello\r\n--b\r\nContent-Type: application/pdf; name=x.pdf\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n\
         {body}\r\n--b--\r\n"
    )
    .into_bytes()
}

/// `unit` up to `size` bytes, without a header of its own.
fn text_only(unit: &str, size: usize) -> Vec<u8> {
    unit.as_bytes().repeat(size / unit.len())
}

/// A text of `unit`.
fn text(unit: &str, size: usize) -> Vec<u8> {
    [b"From: <a@a.example>\r\n\r\n", &text_only(unit, size)[..]].concat()
}

/// A multipart of `unit`.
fn mixed(unit: &str, size: usize) -> Vec<u8> {
    [b"Content-Type: multipart/mixed; boundary=b\r\n\r\n", &text_only(unit, size)[..]].concat()
}

/// A multipart of `unit` with an odd header.
fn doubtful(unit: &str, size: usize) -> Vec<u8> {
    [b"Content-Type : multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n", &text_only(unit, size)[..]].concat()
}

/// A header whose last field is `start` and `unit` again and again.
fn field(start: &str, unit: &str, size: usize) -> Vec<u8> {
    [start.as_bytes(), &text_only(unit, size), b"\r\n\r\nx\r\n"].concat()
}

/// What `unit` makes of 0, 1, 2, up to `size` bytes.
fn numbered(size: usize, unit: impl Fn(usize) -> String) -> Vec<u8> {
    let mut text = Vec::with_capacity(size + 100);
    for number in 0.. {
        if text.len() >= size {
            break;
        }
        text.extend(unit(number).as_bytes());
    }
    text
}

/// A message in base64 in a message in base64, as often as it fits.
fn encoded_messages(size: usize) -> Vec<u8> {
    let mut message = b"Subject: x\r\n\r\nHello\r\n".to_vec();
    while message.len() < size * 7 / 10 {
        let body = encoded(&message);
        message =
            format!("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n{body}\r\n")
                .into_bytes();
    }
    message
}

fn long_boundary(size: usize) -> Vec<u8> {
    let boundary = "a".repeat(60_000);
    let header = format!("Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n");
    let line = format!("--{}b\r\n", &boundary[1..]);
    [header.as_bytes(), &text_only(&line, size)].concat()
}

/// Many attachments of one byte (MS-OXTNEF).
fn tnef(size: usize) -> Vec<u8> {
    let rendering = [&[2, 2, 0x90, 6, 0, 14, 0, 0, 0][..], &[0; 16]].concat();
    let data = [2, 0x0f, 0x80, 6, 0, 1, 0, 0, 0, b'x', b'x', 0];
    let attachment = [&rendering[..], &data].concat();
    [&[0x78, 0x9f, 0x3e, 0x22, 1, 0][..], &attachment.repeat(size / attachment.len())].concat()
}

fn smime(cms: &[u8]) -> Vec<u8> {
    let body = encoded(cms);
    format!("Content-Type: application/pkcs7-mime; smime-type=signed-data\r\nContent-Transfer-Encoding: base64\r\n\r\n{body}\r\n").into_bytes()
}

/// CMS signed data (RFC 5652) of indefinite lengths, whose content is in `pieces`.
fn signed(pieces: &[u8]) -> Vec<u8> {
    const SIGNED: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
    const DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
    let start =
        [b"\x30\x80", SIGNED, b"\xa0\x80\x30\x80\x02\x01\x01\x31\x00\x30\x80", DATA, b"\xa0\x80\x24\x80"]
            .concat();
    [&start[..], pieces, &[0; 12]].concat()
}

fn cms_in_cms(size: usize) -> Vec<u8> {
    let mut message = b"Subject: x\r\n\r\nHello\r\n".to_vec();
    while message.len() < size * 7 / 10 {
        let length = (message.len() as u32).to_be_bytes();
        message = smime(&signed(&[&[4, 0x84][..], &length, &message].concat()));
    }
    message
}
