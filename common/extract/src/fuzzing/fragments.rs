// SPDX-License-Identifier: GPL-3.0-or-later
//! Messages out of fragments: a fuzzer that picks whole fields and delimiters gets deeper than one that must first
//! guess how they are spelt.

use encodify::base64::MIME;
use std::sync::LazyLock;

/// The first byte of those that stand for one literal byte, or for as many as follow, instead of a fragment.
const LITERAL: u8 = 0xF0;
/// What hides in the encoded fragments.
const PLANTED: &[u8] =
    b"MZ\x90\0\x03planted\r\nbytes\n\xff that a scanner would know, wherever they are, in whatever \
    encoding: long enough to be told from words, and no text \0\x01\x02";

const FRAGMENTS: &[&[u8]] = &[
    // line ends, blanks and delimiters
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"\x0b",
    b"\0",
    b"--",
    b"--b",
    b"\r\n--b\r\n",
    b"\r\n--b--\r\n",
    b"\r\n--c\r\n",
    b"\r\n--c--\r\n",
    b"\n--b \n",
    b"\n--bc\n",
    b"\n-- \n",
    b"--\r\n",
    // fields
    b"Content-Type: ",
    b"Content-Transfer-Encoding: ",
    b"Content-Disposition: ",
    b"content-type:",
    b"Content-Type : ",
    b"Content-Type(c): ",
    b" Content-Type: ",
    b"X: ",
    b"From: a@example.org\r\n",
    b"From a@example.org\n",
    b"\xef\xbb\xbf",
    b"no field\r\n",
    b":\r\n",
    // media types
    b"multipart/mixed; boundary=b\r\n",
    b"multipart/mixed; boundary=c\r\n",
    b"multipart/mixed; boundary=\"b\"; boundary=c\r\n",
    b"multipart/mixed\r\n",
    b"multipart/digest; boundary=c\r\n",
    b"multipart/",
    b"message/rfc822\r\n",
    b"message/partial; id=1; number=1; total=2\r\n",
    b"message/external-body; access-type=URL; URL=x\r\n",
    b"message/global",
    b"text/plain\r\n",
    b"text/html; charset=utf-16\r\n",
    b"application/octet-stream\r\n",
    b"application/ms-tnef; name=winmail.dat\r\n",
    b"application/pkcs7-mime; smime-type=signed-data\r\n",
    b"application/mac-binhex40\r\n",
    b"application/",
    // parameters
    b"; boundary=",
    b"; boundary*=''%62",
    b"; boundary*0=b",
    b"; boundary*1=c",
    b"; boundary=\"=?us-ascii?Q?b?=\"",
    b"; name=",
    b"; filename=",
    b"; filename*=utf-8''%e2%82%ac",
    b"; filename*0*=utf-16le''a%00",
    b"; filename*1=.exe",
    b"=?utf-8?B?eC5leGU=?=",
    b"=?utf-16?Q?=00x?=",
    b"a.exe",
    b"b.txt",
    b"=",
    b";",
    b",",
    b"\"",
    b"\\",
    b"(",
    b")",
    b"'",
    b"%",
    // transfer encodings and dispositions
    b"base64\r\n",
    b"quoted-printable\r\n",
    b"7bit\r\n",
    b"x-uuencode\r\n",
    b"x-yencode\r\n",
    b"x-gzip64\r\n",
    b"base64",
    b"quoted-printable",
    b"=?UTF-8?B?YmFzZTY0?=\r\n",
    b"attachment",
    b"inline",
    // pieces of encodings
    b"QUJD",
    b"TVqQ\r\n",
    b"Zg==\r\n",
    b"=4D=5A=90=00",
    b"=\r\n",
    b"= \r\n",
    b"=5a",
    b"=0D=0A",
    b"begin 644 a.exe\r\n",
    b"#0V%T\r\n",
    b"`\r\nend\r\n",
    b"=ybegin line=128 size=3 name=a.exe\r\n",
    b"\x6b\x8b\x9e\r\n=yend size=3\r\n",
    b"(This file must be converted with BinHex 4.0)\r\n:",
    b"-----BEGIN PGP MESSAGE-----\r\n",
    b"Hello, somebody.\r\n",
    b"M",
    b"Z",
    b"a",
    b"b",
    b"c",
];

/// Fragments that have to be computed.
static ENCODED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let base64 = MIME.encode(PLANTED);
    let nested = format!(
        "Content-Type: application/x; name=n.exe\r\nContent-Transfer-Encoding: base64\r\n\r\n{base64}"
    );
    vec![
        base64.clone().into_bytes(),
        PLANTED.iter().flat_map(|byte| format!("={byte:02x}").into_bytes()).collect(),
        uuencoded(PLANTED),
        PLANTED.to_vec(),
        MIME.encode(nested.as_bytes()).into_bytes(),
        nested.into_bytes(),
    ]
});

/// The message that `data` describes: a fragment for each byte.
pub(crate) fn message(data: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    let mut rest = data;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte >= LITERAL {
            let (literal, after) = rest.split_at(rest.len().min(usize::from(byte - LITERAL) + 1));
            message.extend_from_slice(literal);
            rest = after;
            continue;
        }
        let index = usize::from(byte) % (FRAGMENTS.len() + ENCODED.len());
        let computed = || &ENCODED[index - FRAGMENTS.len()][..];
        message.extend_from_slice(FRAGMENTS.get(index).copied().unwrap_or_else(computed));
    }
    message
}

/// `bytes` in the lines of `uuencode`.
pub(crate) fn uuencoded(bytes: &[u8]) -> Vec<u8> {
    let symbol = |sextet: u32| if sextet & 63 == 0 { b'`' } else { b' ' + (sextet & 63) as u8 };
    let mut text = b"begin 644 planted.exe\r\n".to_vec();
    for line in bytes.chunks(45) {
        text.push(symbol(line.len() as u32));
        for group in line.chunks(3) {
            let byte = |at: usize| group.get(at).map_or(0, |&byte| u32::from(byte));
            let word = byte(0) << 16 | byte(1) << 8 | byte(2);
            text.extend([18, 12, 6, 0].map(|shift| symbol(word >> shift)));
        }
        text.extend(b"\r\n");
    }
    text.extend(b"`\r\nend\r\n");
    text
}
