// SPDX-License-Identifier: GPL-3.0-or-later
//! What the fields Content-Transfer-Encoding say: one way to decode where they are as they should be, else all that they
//! may mean.

use super::{
    ambiguity::Ambiguity,
    body::Class,
    decode::{Decoding, TextFile, text_files},
    value::without_comments,
};
use encodify::rfc2047;

/// The bytes of a field that are looked at: a name and whatever an attacker puts around it.
const MAX_ENCODING: usize = 16 * 1024;

/// The ways to decode that the Content-Transfer-Encoding `fields` name, and why there is more than one.
pub(crate) fn decodings(fields: &[&[u8]], class: Class) -> (Vec<Decoding>, Vec<Ambiguity>) {
    let (mut decodings, mut kinds) = (Vec::new(), Vec::new());
    for field in fields {
        match declared(field) {
            Ok(decoding) => decodings.push(decoding),
            Err(likely) => {
                kinds.push(Ambiguity::UnknownEncoding);
                decodings.extend(likely);
                decodings.push(Decoding::Identity);
                if class == Class::File {
                    decodings.push(Decoding::Base64);
                }
            }
        }
    }
    if decodings.is_empty() {
        decodings.push(Decoding::Identity);
    }
    let decodings = without_repetitions(decodings);
    if fields.len() > 1 && decodings.len() > 1 {
        kinds.push(Ambiguity::RepeatedEncoding);
    }
    (decodings, kinds)
}

fn without_repetitions(decodings: Vec<Decoding>) -> Vec<Decoding> {
    let mut once = Vec::with_capacity(decodings.len());
    for decoding in decodings {
        if !once.contains(&decoding) {
            once.push(decoding);
        }
    }
    once
}

/// The one decoding that `field` names, or those that it may mean.
fn declared(field: &[u8]) -> Result<Decoding, Vec<Decoding>> {
    if let Ok(name) = std::str::from_utf8(field)
        && let Some(decoding) = known(&name.trim_ascii().to_ascii_lowercase())
    {
        return Ok(decoding);
    }
    let clean = without_comments(&field[..field.len().min(MAX_ENCODING)]);
    let name = rfc2047::decode_text(&clean, rfc2047::utf8_charset).to_ascii_lowercase();
    let name: String = name.chars().filter(|character| !character.is_whitespace()).collect();
    let means = [
        ("base64", Decoding::Base64),
        ("quot", Decoding::QuotedPrintable),
        ("print", Decoding::QuotedPrintable),
        ("uu", Decoding::Uuencode),
        ("yenc", Decoding::Yenc),
        ("binhex", Decoding::BinHex),
    ];
    let mut likely: Vec<_> =
        means.into_iter().filter(|(word, _)| name.contains(word)).map(|(_, decoding)| decoding).collect();
    likely.dedup();
    Err(likely)
}

fn known(name: &str) -> Option<Decoding> {
    Some(match name {
        "" | "7bit" | "8bit" | "binary" => Decoding::Identity,
        "base64" => Decoding::Base64,
        "quoted-printable" => Decoding::QuotedPrintable,
        "x-uuencode" | "uuencode" | "x-uue" | "uue" | "x-uu" => Decoding::Uuencode,
        "x-yencode" | "x-yenc" | "yenc" => Decoding::Yenc,
        "binhex" | "x-binhex" | "binhex40" | "x-binhex40" | "mac-binhex40" | "mac-binhex" => Decoding::BinHex,
        "gzip64" | "x-gzip64" => Decoding::Gzip64,
        _ => return None,
    })
}

/// True where a body in the encoding `decoding`, which no standard knows nor do most clients, is one file in that encoding
/// and nothing else: to other clients it is a text that makes no harm.
pub(crate) fn is_one_file(source: &[u8], decoding: Decoding) -> bool {
    let files = text_files(source);
    let whole = |file: &TextFile| {
        let (before, after) = (&source[..file.range.start], &source[file.range.end..]);
        let after = after.trim_ascii();
        let after = after.strip_prefix(b"`").unwrap_or(after).trim_ascii_start();
        before.trim_ascii().is_empty() && matches!(after, b"" | b"end")
    };
    files.iter().any(|(file, decodings)| decodings.contains(&decoding) && whole(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_encoding_is_sure_or_all_that_it_may_mean() {
        assert_eq!(declared(b" BASE64 "), Ok(Decoding::Base64));
        for unsure in [
            "base64 (comment)",
            "(c) base64",
            "base64;",
            "\"base64\"",
            "base64 xx",
            "=?UTF-8?B?YmFzZTY0?=",
            "x-base64",
            "bas\re64",
            "bas\r\n e64",
        ] {
            assert_eq!(declared(unsure.as_bytes()), Err(vec![Decoding::Base64]), "{unsure}");
        }
        let both = declared(b"base64, quoted-printable");
        assert_eq!(both, Err(vec![Decoding::Base64, Decoding::QuotedPrintable]));
        assert_eq!(declared(b"8-bit"), Err(vec![]));
    }

    #[test]
    fn repeated_fields_are_all_read() {
        let fields = [&b"base64"[..], b"7bit", b"quoted-printable"];
        let (ways, kinds) = decodings(&fields, Class::File);
        assert_eq!(ways, [Decoding::Base64, Decoding::Identity, Decoding::QuotedPrintable]);
        assert_eq!(kinds, [Ambiguity::RepeatedEncoding]);
    }
}
