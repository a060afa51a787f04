// SPDX-License-Identifier: GPL-3.0-or-later
//! Rare transfer encodings, declared and in plain text.

use super::{
    armour::{binhex, gzip, uu_lines, uuencode, yenc},
    message::{Case, Encoding, Entity, Form, TOP},
    payload::{base64, wrapped},
};

/// Forms that need no second encoding.
fn form<E: Into<Entity>>(label: &str, make: impl Fn(&Case) -> E + 'static) -> Form {
    Form::new(label, make).only(&[Encoding::Base64])
}

/// A part whose transfer encoding is `name`.
fn declared(name: &str, label: &str, body: impl Fn(&[u8]) -> Vec<u8> + 'static) -> Form {
    let field = format!("Content-Transfer-Encoding: {name}\r\n\r\n");
    form(&format!("{name}, {label}"), move |case: &Case| {
        [case.fields.as_bytes(), field.as_bytes(), &body(&case.payload)].concat()
    })
}

pub fn declared_forms() -> Vec<Form> {
    let mut forms = Vec::new();
    for name in ["x-uuencode", "uuencode", "uue", "x-uue", "x-uu", "X-UUEncode"] {
        forms.push(declared(name, "whole", |bytes| uuencode(bytes).into()));
    }
    forms
        .push(declared("x-uuencode", "no end", |bytes| format!("begin 644 x\r\n{}", uu_lines(bytes)).into()));
    forms.push(declared("uuencode", "no begin", |bytes| format!("{}`\r\nend\r\n", uu_lines(bytes)).into()));
    forms.push(declared("uue", "no begin, no end", |bytes| uu_lines(bytes).into()));
    forms.push(declared("x-uuencode", "text before", |bytes| {
        format!("Hello\r\n\r\n{}", uuencode(bytes)).into()
    }));
    forms
        .push(declared("x-uuencode", "text after", |bytes| format!("{}\r\nBye\r\n", uuencode(bytes)).into()));
    forms.push(declared("x-uuencode", "blanks for zero", |bytes| uuencode(bytes).replace('`', " ").into()));
    forms.push(declared("x-uuencode", "blanks cut off", |bytes| {
        let text = uuencode(bytes).replace('`', " ");
        text.lines().map(|line| format!("{}\r\n", line.trim_end())).collect::<String>().into()
    }));
    forms.push(declared("x-uuencode (x)", "whole", |bytes| uuencode(bytes).into()));
    for name in ["x-yencode", "yenc", "x-yenc"] {
        forms.push(declared(name, "yEnc", yenc));
    }
    for name in ["binhex", "mac-binhex40", "x-binhex", "x-mac-binhex40"] {
        forms.push(declared(name, "BinHex", |bytes| binhex(bytes).into()));
    }
    for name in ["gzip64", "x-gzip64"] {
        forms.push(declared(name, "gzip", |bytes| wrapped(&base64(&gzip(bytes)), 76).into()));
    }
    forms.into_iter().map(Form::agreed).collect()
}

/// `top`, then a text with `armoured` in it.
fn inline(label: &str, top: &'static str, armoured: impl Fn(&[u8]) -> Vec<u8> + 'static) -> Form {
    let make = move |case: &Case| {
        let text =
            [b"Hello,\r\nthe file:\r\n\r\n", &armoured(&case.payload)[..], b"\r\nRegards\r\n"].concat();
        [top.as_bytes(), b"\r\n", &text].concat()
    };
    let alone = top.is_empty();
    form(label, move |case: &Case| {
        let bytes = make(case);
        if !alone {
            return bytes.into();
        }
        let top = TOP.replace("MIME-Version: 1.0\r\n", "");
        Entity { top: true, ..[top.as_bytes(), &bytes].concat().into() }
    })
    .agreed()
}

pub fn in_text() -> Vec<Form> {
    let plain = "Content-Type: text/plain; charset=us-ascii\r\n";
    let mut forms = Vec::new();
    for (label, top) in
        [("without a type", ""), ("in plain text", plain), ("in a part without a type", "X-Y: z\r\n")]
    {
        forms.push(inline(&format!("uuencode {label}"), top, |bytes| uuencode(bytes).into()));
        forms.push(inline(&format!("yEnc {label}"), top, yenc));
        forms.push(inline(&format!("BinHex {label}"), top, |bytes| binhex(bytes).into()));
    }
    for (label, begin) in
        [("five digits", "begin 100644 x.exe"), ("a long name", "begin 644 a file whose name has blanks.exe")]
    {
        forms.push(inline(label, "", move |bytes| uuencode(bytes).replace("begin 644 x.exe", begin).into()));
    }
    forms.push(inline("no end", plain, |bytes| format!("begin 644 x.exe\r\n{}", uu_lines(bytes)).into()));
    forms.push(inline("end at once", plain, |bytes| {
        format!("begin 644 x.exe\r\n{}end\r\n", uu_lines(bytes)).into()
    }));
    forms.push(inline("the second of two", plain, |bytes| {
        [uuencode(b"innocent"), uuencode(bytes)].concat().into()
    }));
    forms.push(inline("a decoy begin", plain, |bytes| {
        format!("begin to read:\r\n{}", uuencode(bytes)).into()
    }));
    forms.push(inline("lines of one byte", plain, |bytes| {
        let lines: String = bytes.iter().map(|byte| uu_lines(&[*byte])).collect();
        format!("begin 644 x.exe\r\n{lines}`\r\nend\r\n").into()
    }));
    forms
}
