// SPDX-License-Identifier: GPL-3.0-or-later
//! Delimiters, what stands around them, and what claims to be a multipart.

use super::message::{Case, Encoding, Entity, Form, Shape, TOP, agreed, forms};

const MIXED: &str = "Content-Type: multipart/mixed; boundary=aa||";

/// Forms below a multipart's header with the boundary `aa`.
fn mixed(bodies: &[&str]) -> Vec<Form> {
    bodies.iter().map(|body| Form::template(format!("{MIXED}{body}"))).collect()
}

fn base64_only(forms: Vec<Form>) -> impl Iterator<Item = Form> {
    forms.into_iter().map(|form| form.only(&[Encoding::Base64]))
}

pub fn prefixes() -> Vec<Form> {
    let mut forms = mixed(&[
        "--aa|{text}|--aaX|{leaf}|--aa--|",
        "--aaX|{text}|--aaX|{leaf}|--aaX--|",
        "--aa|{text}|--aa X|{leaf}|--aa--|",
        "--aa|{text}|--aa\x0bX|{leaf}|--aa--|",
        "--aa|{text}|--aa\x0b|{leaf}|--aa--|",
        "--aa|{text}|--aa\x0c|{leaf}|--aa--|",
        "--aa|{text}|--aa-|{leaf}|--aa--|",
        "--aa|{text}|--aa--X|{leaf}|--aa--|",
        "--aa|{text}|--aa\0|{leaf}|--aa--|",
        "--aa|{text}|--aa;|{leaf}|--aa--|",
        "--aa|{text}|--aa(x)|{leaf}|--aa--|",
        "--aa|{text}|--AA|{leaf}|--aa--|",
        "--aa|{text}|---aa|{leaf}|--aa--|",
        "--aa|{text}|-aa|{leaf}|--aa--|",
        "--aa|{text}|aa|{leaf}|--aa--|",
        "--aa|{text}|----aa|{leaf}|--aa--|",
        "--aa|{text}|-- aa|{leaf}|--aa--|",
        "--aa|{text}|--\"aa\"|{leaf}|--aa--|",
        "--aa|{text}|\u{2013}aa|{leaf}|--aa--|",
        "--a|{text}|--a|{leaf}|--a--|",
    ]);
    for length in [70, 71, 78, 200, 998, 2048, 2049, 5000] {
        let boundary = "x".repeat(length);
        let form = |text: String| Form::template(text);
        forms.push(
            form(format!(
                "Content-Type: multipart/mixed; boundary={boundary}||--{boundary}|{{leaf}}|--{boundary}--|"
            ))
            .agreed(),
        );
        let longer = format!(
            "Content-Type: multipart/mixed; boundary={boundary}||--{boundary}Y|{{leaf}}|--{boundary}--|"
        );
        forms.push(form(longer));
    }
    forms.extend(agreed(&[
        "Content-Type: multipart/mixed; boundary=aa||--aa |{leaf}|--aa--|",
        "Content-Type: multipart/mixed; boundary=aa||--aa\t|{leaf}|--aa-- |",
    ]));
    forms
}

pub fn overlaps() -> Vec<Form> {
    let nested = |outer: &str, inner: &str, rest: &str| {
        Form::template(format!(
            "Content-Type: multipart/mixed; boundary=\"{outer}\"||--{outer}|{{text}}|--{outer}|\
             Content-Type: multipart/mixed; boundary=\"{inner}\"||--{inner}|{rest}"
        ))
    };
    vec![
        nested("aa", "aa", "{leaf}|--aa--|--aa--|").agreed(),
        nested("aa", "aa", "{text}|--aa|{leaf}|--aa--|").agreed(),
        nested("aa", "aa", "{text}|--aa--||--aa|{leaf}|--aa--|").agreed(),
        nested("aa", "aaa", "{leaf}|--aaa--||--aa--|").agreed(),
        nested("aa", "aa-x", "{text}|--aa-x|{leaf}|--aa-x--||--aa--|").agreed(),
        nested("aaa", "aa", "{leaf}|--aa--||--aaa--|").agreed(),
        nested("aa--", "aa", "{leaf}|--aa--|--aa----|"),
        nested("aa--", "aa", "{text}|--aa--|{leaf}|--aa--|--aa----|"),
        nested("aa", "aa--", "{text}|--aa--|{leaf}|--aa----||--aa--|"),
        nested("aa", "aa--", "{leaf}|--aa----||--aa--|"),
        nested("aa", "--aa", "{text}|----aa|{leaf}|----aa--||--aa--|").agreed(),
        nested("aa", "AA", "{text}|--AA|{leaf}|--AA--||--aa--|").agreed(),
        nested("aa", "bb", "{text}|--aa|{leaf}|--bb--|--aa--|"),
        nested("aa", "bb", "{text}|--aa--|--bb|{leaf}|--bb--|--aa--|"),
        nested("aa", "bb", "{text}|--bb--|--bb|{leaf}|--bb--|--aa--|"),
        Form::template(format!("{MIXED}--aa|X-Foo: bar|--aa|{{leaf}}|--aa--|")).agreed(),
        Form::template(format!("{MIXED}--aa|--aa|--aa|{{leaf}}|--aa--|")).agreed(),
        Form::template(format!("{MIXED}--aa||--aa--|{{leaf}}|--aa--|")),
        Form::template(format!("{MIXED}--aa--|{{leaf}}|--aa--|")),
        Form::template(format!("{MIXED}--aa--|--aa|{{leaf}}|--aa--|")),
        inside_base64("--aa", "the outer delimiter inside the data", false),
        inside_base64("--bb", "a delimiter that nobody opened inside the data", true),
        inside_base64("--", "two hyphens inside the data", true),
        inside_base64("--aa--", "the closing delimiter inside the data", false),
    ]
}

/// A delimiter line amid base64, for readers who do not take it for one.
fn inside_base64(line: &'static str, label: &str, outer: bool) -> Form {
    let make = move |case: &Case| {
        let body = case.inner_body();
        let (start, end) = body.split_at(38);
        let leaf = case.with_body(format!("{start}\r\n{line}\r\n{end}").as_bytes());
        let boundary = if outer { "aa" } else { "zz" };
        let header = format!("Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n--{boundary}\r\n");
        [header.as_bytes(), &leaf, format!("\r\n--{boundary}--").as_bytes()].concat()
    };
    Form::new(label, make).only(&[Encoding::Base64])
}

pub fn delimiters() -> Vec<Form> {
    let open = "Content-Type: multipart/mixed; boundary=bb||--bb|";
    let unclosed = vec![
        Form::template(format!("{MIXED}--aa|{{text}}|--aa|{{leaf}}")).agreed(),
        Form::template(format!("{MIXED}--aa|{{leaf}}")).agreed(),
        Form::template(format!("{MIXED}--aa|{open}{{leaf}}|--aa--|")).agreed(),
        Form::template(format!("{MIXED}--aa|{open}{{text}}|--bb|{{leaf}}|--aa--|")).agreed(),
        Form::template(format!("{MIXED}--aa|{open}{{leaf}}|--bb--|")).agreed(),
        Form::template(format!("{MIXED}--aa|{open}{{leaf}}")).agreed(),
        Form::template(format!("{MIXED}--aa|{open}{{text}}|--aa|{{leaf}}")).agreed(),
        Form::template(format!("{MIXED}--aa|{{text}}\n--aa\n{{leaf}}\n--aa--|")).agreed(),
    ];
    let odd = mixed(&[
        "--aa|{text}| --aa|{leaf}|--aa--|",
        "--aa|{text}|\t--aa|{leaf}|--aa--|",
        "--aa|{text}|\r--aa|{leaf}|--aa--|",
        "--aa|{text}| \r--aa|{leaf}|--aa--|",
        "--aa|{text}\r--aa\r{leaf}|--aa--|",
        "--aa|{text}\n\r--aa|{leaf}|--aa--|",
        "--aa|{text}\n\r--aa\n\r{leaf}|--aa--|",
        "--aa|{text}|--aa\r{leaf}|--aa--|",
        "--aa|{text}|--aa {leaf}|--aa--|",
        "--aa|{text}|--aa; {leaf}|--aa--|",
        "--aa|{text} --aa|{leaf}|--aa--|",
        "--aa|{text} xxx--aa|{leaf}|--aa--|",
        "--aa|{text}|\0--aa|{leaf}|--aa--|",
        "--aa|{text}|\x0b--aa|{leaf}|--aa--|",
        "--aa|{text}|> --aa|{leaf}|--aa--|",
        "--aa|{text}|--aa\r\r\n{leaf}|--aa--|",
        "--aa|{text}|--aa\r|{leaf}|--aa--|",
        "--aa{leaf}|--aa--|",
        "--aa|{text}|--a|a|{leaf}|--aa--|",
    ]);
    // A blank line after the delimiter: a part without fields, which looks encoded.
    let bare = mixed(&[
        "--aa|{text}|--aa||{leaf}|--aa--|",
        "--aa||{leaf}|--aa--|",
        "--aa|{text}|--aa| |{leaf}|--aa--|",
    ]);
    let header = base64_only(mixed(&[
        "--aa|{text}|--aa\rContent-Transfer-Encoding: base64||{body}|--aa--|",
        "--aa|{text}|--aa||{body}|--aa--|",
    ]));
    unclosed.into_iter().chain(odd).chain(bare).chain(header.map(Form::nameless)).collect()
}

pub fn gaps() -> Vec<Form> {
    let whole = mixed(&[
        "{leaf}|--aa|{text}|--aa--|",
        "|{leaf}|--aa|{text}|--aa--|",
        "This is MIME.|{leaf}|--aa|{text}|--aa--|",
        "--aa|{text}|--aa--|{leaf}|",
        "--aa|{text}|--aa--||{leaf}|",
        "--aa|{text}|--aa--|The end.||{leaf}|",
        "--aa|{text}|--aa--|--aa|{leaf}|--aa--|",
        "--aa|{text}|--aa--|--bb|{leaf}|--bb--|",
        "--aa|{text}|--aa--||--aa|{leaf}",
        "--bb|{leaf}|--bb--|--aa|{text}|--aa--|",
    ]);
    let data = base64_only(mixed(&[
        "{body}|--aa|{text}|--aa--|",
        "|{body}|--aa|{text}|--aa--|",
        "See:||{body}|--aa|{text}|--aa--|",
        "--aa|{text}|--aa--|{body}|",
        "--aa|{text}|--aa--||{body}|",
        "--aa|{text}|--aa--|Regards||{body}|",
    ]));
    whole.into_iter().chain(data.map(Form::nameless)).collect()
}

pub fn types() -> Vec<Form> {
    let parts = "||--aa|{text}|--aa|{leaf}|--aa--|";
    let types = [
        "multipart/",
        "multipart",
        "multiparts/mixed",
        "x-multipart/mixed",
        "ultipart/mixed",
        "singlepart/mixed",
        "=?us-ascii?Q?multipart/mixed?=",
        "\"multipart/mixed\"",
        "'multipart/mixed'",
        "multipart\\mixed",
        "multipart.mixed",
        "multi\0part/mixed",
        "\0multipart/mixed",
        "multipart/mixed\0",
        "text/plain",
        "application/octet-stream",
        "message/mixed",
        "mixed",
        "/mixed",
        "multipart//mixed",
        "text/plain, multipart/mixed",
        "multipart/mixed, text/plain",
        "text/plain multipart/mixed",
        "message/partial",
        "\u{a0}multipart/mixed",
        "*/*",
        "multipart/*",
        "",
        "message/rfc822",
    ];
    let known = [
        "multipart/alternative",
        "multipart/related",
        "MULTIPART/MIXED",
        "multipart/x-zip",
        "multipart/invalid",
        "multipart/encrypted",
        "multipart/form-data",
        "multipart/parallel",
    ];
    let form = |media_type: &str| Form::template(format!("Content-Type: {media_type}; boundary=aa{parts}"));
    let mut all: Vec<_> = types.into_iter().map(form).collect();
    all.extend(known.into_iter().map(|media_type| form(media_type).agreed()));
    all.extend(forms(&[
        "Content-Type: text/plain|Content-Type: multipart/mixed; boundary=aa||--aa|{text}|--aa|{leaf}|--aa--|",
        "Content-type:: multipart/mixed; boundary=aa||--aa|{text}|--aa|{leaf}|--aa--|",
        "Content-type multipart/mixed; boundary=aa||--aa|{text}|--aa|{leaf}|--aa--|",
        "Content-type=multipart/mixed; boundary=aa||--aa|{text}|--aa|{leaf}|--aa--|",
        "X-Foo: bar||--aa|{text}|--aa|{leaf}|--aa--|",
        "|--aa|{text}|--aa|{leaf}|--aa--|",
        "Content-Type: multipart/mixed||--aa|{text}|--aa|{leaf}|--aa--|",
        "Content-Type: multipart/mixed; boundary=bb||--aa|{text}|--aa|{leaf}|--aa--|",
    ]));
    // A multipart that is none.
    for header in [
        "multipart/mixed; boundary=aa",
        "multipart/mixed",
        "multipart/alternative; boundary=\"\"",
        "multipart/mixed; name=x.exe; boundary=aa",
    ] {
        let fields = "Content-Disposition: attachment; filename=x.exe|{H}: {n}||{body}";
        all.push(Form::template(format!("Content-Type: {header}|{fields}")));
    }
    all
}

pub fn decoys() -> Vec<Form> {
    let inner = "||--aa|{text}|--aa|{leaf}|--aa--|";
    let headers = [
        "Content-Type(meow): multipart/mixed; boundary=aa",
        "Content-Type (meow): multipart/mixed; boundary=aa",
        "(meow)Content-Type: multipart/mixed; boundary=aa",
        "Content-(meow)Type: multipart/mixed; boundary=aa",
        "Content-Type: text/plain|Content-Type(meow): multipart/mixed; boundary=aa",
        "Content-Type: multipart/mixed; boundary=bb|Content-Type(x): multipart/mixed; boundary=aa",
        "Content-Type: multipart/mixed|Content-Disposition: attachment; boundary=\"aa\"",
        "Content-Type: multipart/mixed|Content-Disposition: attachment; boundary*=''aa",
        "Content-Type: multipart/mixed; boundary=bb|Content-Disposition: attachment; boundary=\"aa\"",
        "Content-Type: text/plain|Content-Disposition: attachment; boundary=aa",
        "Content-Disposition: attachment; boundary=aa|Content-Type: multipart/mixed",
        "Content-Disposition: inline; boundary=bb|Content-Type: multipart/mixed; boundary=aa",
        "X-Content-Type: multipart/mixed; boundary=aa",
        "Content-Types: multipart/mixed; boundary=aa",
        "Content-Typ: multipart/mixed; boundary=aa",
        "Content_Type: multipart/mixed; boundary=aa",
        "Content Type: multipart/mixed; boundary=aa",
        "\"Content-Type\": multipart/mixed; boundary=aa",
    ];
    headers.into_iter().map(|header| Form::template(format!("{header}{inner}"))).collect()
}

pub fn hidden() -> Vec<Form> {
    let inner = "||--aa|{text}|--aa|{leaf}|--aa--|";
    let headers = [
        "X-Foo:bar\rContent-type: multipart/mixed; boundary=aa",
        "X-Foo :bar\n Content-type: multipart/mixed; boundary=aa",
        "X-Foo :bar\n Content-type: multipart/mixed;\n boundary=aa",
        "X-Foo: bar| Content-Type: multipart/mixed; boundary=aa",
        "X-Foo: bar|\tContent-Type: multipart/mixed; boundary=aa",
        "X-Foo: bar\0Content-Type: multipart/mixed; boundary=aa",
        "X-Foo: bar\x0bContent-Type: multipart/mixed; boundary=aa",
        "junk| Content-Type: multipart/mixed; boundary=aa",
        "junk| x: y|Content-Type: multipart/mixed; boundary=aa",
        " Content-Type: multipart/mixed; boundary=aa",
        "Content-Type: text/plain;\r x=y\rContent-Type: multipart/mixed; boundary=aa",
        "Content-Type: text/plain\rContent-Type: multipart/mixed; boundary=aa",
        "\rContent-Type: multipart/mixed; boundary=aa",
        "\nContent-Type: multipart/mixed; boundary=aa",
        "|Content-Type: multipart/mixed; boundary=aa",
        " |Content-Type: multipart/mixed; boundary=aa",
        "X-Foo: bar| |Content-Type: multipart/mixed; boundary=aa",
        ": x|Content-Type: multipart/mixed; boundary=aa",
        "--x|Content-Type: multipart/mixed; boundary=aa",
        "From x|Content-Type: multipart/mixed; boundary=aa",
        "Content-Type:\rmultipart/mixed; boundary=aa",
        "Content-Type: multipart/mixed;\rboundary=aa",
        "Content-Type: multipart/mixed;|boundary=aa",
    ];
    headers.into_iter().map(|header| Form::template(format!("{header}{inner}"))).collect()
}

pub fn deep() -> Vec<Form> {
    let nested = |count: usize| {
        let make = move |case: &Case| {
            let open: String = (0..count)
                .map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n"))
                .collect();
            let close: String = (0..count).rev().map(|n| format!("\r\n--b{n}--\r\n")).collect();
            case.fill(&format!("{open}{{leaf}}{close}"))
        };
        Form::new(format!("{count} multiparts"), make).agreed()
    };
    let messages = |count: usize| {
        let make = move |case: &Case| {
            let open = "Content-Type: message/rfc822\r\n\r\nSubject: x\r\n".repeat(count);
            case.fill(&format!(
                "{open}{{leaf}}{}",
                if case.encoding == Encoding::QuotedPrintable { "=" } else { "" }
            ))
        };
        Form::new(format!("{count} messages"), make).agreed()
    };
    let wide = |count: usize| {
        let make = move |case: &Case| {
            let parts = "--aa\r\nContent-Type: text/plain\r\n\r\nHello\r\n".repeat(count);
            let entity = case.fill(&format!("{MIXED}{parts}--aa|{{leaf}}|--aa--"));
            let bytes = [TOP.as_bytes(), &entity, b"\r\n"].concat();
            debug_assert!(case.shape != Shape::Single || !bytes.is_empty());
            Entity { top: true, ..bytes.into() }
        };
        Form::new(format!("{count} parts before it"), make).agreed()
    };
    vec![nested(2), nested(20), nested(45), messages(2), messages(20), messages(45), wide(100), wide(900)]
}
