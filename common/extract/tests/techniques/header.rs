// SPDX-License-Identifier: GPL-3.0-or-later
//! The field that names the transfer encoding: its name, its place, and where header and body part.

use super::message::{Encoding, Form, agreed, forms};

pub fn field_names() -> Vec<Form> {
    let agreed = agreed(&["X-Foo: bar\n{H}: {n}|"]);
    let odd = forms(&[
        "{H}:: {n}|",
        "{H} {n}|",
        " {H}: {n}|",
        "\t{H}: {n}|",
        "\r{H}: {n}|",
        "\n{H}: {n}|",
        "X-Foo: bar\r{H}: {n}|",
        "{H}:{H}:{n}|",
        "\0{H}: {n}|",
        "{H}\0: {n}|",
        "{H}:\0{n}|",
        "{H}: {a}\0{z}|",
        "{H}: {n}\0|",
        "{H}(: ){n}|",
        "{H}(x): {n}|",
        "(x){H}: {n}|",
        "Content-Transfe(r-Encoding: x|{H}: {n}|",
        "Content-Transfe(r-Encoding: {n}|",
        "Content-Transfer-Encoding\u{a0}: {n}|",
        "\u{feff}{H}: {n}|",
        "{H};: {n}|",
        "{H}={n}|",
        "\"{H}\": {n}|",
        "Content-Transfer- Encoding: {n}|",
        "Content-Transfer|-Encoding: {n}|",
        "CONTENT-TRANSFER-ENCODING\x0b: {n}|",
        "{H}\x7f: {n}|",
        "X: 1|: 2|{H}: {n}|",
        ">{H}: {n}|",
    ]);
    agreed.into_iter().chain(odd).collect()
}

pub fn header_or_body() -> Vec<Form> {
    forms(&[
        "{fields}XXXX|{H}: {n}||{body}",
        "{fields}\x01\x02\x03|{H}: {n}||{body}",
        "{fields} |{H}: {n}||{body}",
        "{fields}\t|{H}: {n}||{body}",
        ":|{fields}{H}: {n}||{body}",
        "\x0b|{fields}{H}: {n}||{body}",
        "\r|{fields}{H}: {n}||{body}",
        "\r{fields}{H}: {n}||{body}",
        "|{fields}{H}: {n}||{body}",
        "||{fields}{H}: {n}||{body}",
        " |{fields}{H}: {n}||{body}",
        "XXXX|{fields}{H}: {n}||{body}",
        "{fields}|{H}: {n}||{body}",
        "{fields}||{H}: {n}||{body}",
        "{fields}|Hello there,|{H}: {n}||{body}",
        "{fields}|Hello there,||{H}: {n}||{body}",
        "{fields}Hello there,|{H}: {n}||{body}",
        "{fields}{H}: {n}|Hello there,||{body}",
        "{fields}{H}: {n}|Hello there,|X: y||{body}",
        "{H}: {n}||{fields}|{body}",
        "{fields}From here|{H}: {n}||{body}",
        "{fields}--|{H}: {n}||{body}",
        "{fields}--x|{H}: {n}||{body}",
        "{fields}\x0c|{H}: {n}||{body}",
        "{fields}\0|{H}: {n}||{body}",
        "{fields}\u{fffd}|{H}: {n}||{body}",
        "{fields}\n{H}: {n}||{body}",
    ])
}

pub fn empty_line() -> Vec<Form> {
    let both = forms(&[
        "{fields}{H}: {n}|{body}",
        "{fields}{H}: {n}| |{body}",
        "{fields}{H}: {n}|\t|{body}",
        "{fields}{H}: {n}|\x0b|{body}",
        "{fields}{H}: {n}|\x0c|{body}",
        "{fields}{H}: {n}|\r|{body}",
        "{fields}{H}: {n}|\r\r\n{body}",
        "{fields}{H}: {n}|\0|{body}",
        "{fields}{H}: {n}| \t |{body}",
        "{fields}{H}: {n}\r\r{body}",
        "{fields}{H}: {n}\n\r{body}",
    ]);
    let base64 = forms(&[
        "{fields}{H}: {n}|ABCD||{body}",
        "{fields}{H}: {n}|ABC=| |{body}",
        "{fields}{H}: {n}|AB==||{body}",
        "{fields}{H}: {n}||ABC:||{body}",
        "{fields}{H}: {n}|ABCDEFGHIJKLMNOP| |{body}",
    ]);
    let agreed =
        agreed(&["{fields}{H}: {n}\n\n{body}", "{fields}{H}: {n}\n\r\n{body}", "{fields}{H}: {n}|\n{body}"]);
    let both = agreed.into_iter().chain(both).chain([Form::template("{H}: {n}|{body}").nameless()]);
    both.chain(base64.into_iter().map(|form| form.only(&[Encoding::Base64]))).collect()
}

pub fn quoted_printable_names() -> Vec<Form> {
    let mixed = forms(&[
        "{H}: quoted-printabl|",
        "{H}: quoted-print|",
        "{H}: quotedprint|",
        "{H}: quotedprintable|",
        "{H}: x-quoted-printable|",
        "{H}: quoted_printable|",
        "{H}: quoted printable|",
        "{H}: quoted-printables|",
        "{H}: qp|",
        "{H}: quoted|",
        "{H}: quoted-printable-|",
        "{H}: printable|",
    ]);
    let agreed = agreed(&["{H}: Quoted-PRINTABLE|", "{H}: QuOtEd-PrInTaBlE|"]);
    mixed.into_iter().chain(agreed).map(|form| form.only(&[Encoding::QuotedPrintable])).collect()
}

pub fn no_encoding() -> Vec<Form> {
    let named = "Content-Type: application/octet-stream; name=\"x.bin\"|Content-Disposition: attachment; filename=\"x.bin\"|";
    let forms = forms(&["{H}: 7bit|", "{H}: 8bit|", "{H}: binary|", "{H}:|"]);
    let whole = [
        format!("{named}|{{body}}"),
        "Content-Type: application/pdf; name=x.pdf||{body}".into(),
        "Content-Disposition: attachment; filename=x.exe||{body}".into(),
        format!("{named}{{H}}: 7bit||{{body}}"),
    ];
    let forms = forms.into_iter().chain(whole.into_iter().map(Form::template));
    forms.map(|form| form.only(&[Encoding::Base64])).collect()
}
