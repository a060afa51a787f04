// SPDX-License-Identifier: GPL-3.0-or-later
//! Hidden parts that are covered up once more: against a scanner that reads a message without its structure, and only
//! where something looks odd.

use super::{
    message::{Case, Encoding, Entity, Form},
    payload::{base64, wrapped},
};

const MIXED: &str = "Content-Type: multipart/mixed; boundary=aa||";

pub fn parts() -> Vec<Form> {
    let mut all = Vec::new();
    // Delimiters that only some see, in parts that nobody takes for a text.
    for cover in ["{file}", "{encoded}"] {
        for delimiter in [
            "| --aa|",
            "|\t--aa|",
            "\r--aa\r",
            "|--aaX|",
            "|--aa X|",
            " xxx--aa|",
            "|\x0b--aa|",
            "|\0--aa|",
            "|--AA|",
            "|---aa|",
            "\n\r--aa\n\r",
        ] {
            all.push(Form::template(format!("{MIXED}--aa|{cover}{delimiter}{{leaf}}|--aa--|")));
        }
    }
    // The boundary that is nearly met is neither the outermost nor the innermost.
    let levels = "--aa|Content-Type: multipart/mixed; boundary=bb||--bb|Content-Type: multipart/mixed; boundary=cc||--cc|";
    for cover in ["{text}", "{file}", "{encoded}"] {
        all.push(Form::template(format!("{MIXED}{levels}{cover}|--bbX|{{leaf}}|--cc--|--bb--|--aa--|")));
    }
    all
}

/// What a reader meets who takes `--aaX` for a delimiter.
fn behind(case: &Case, body: &[u8]) -> Vec<u8> {
    let start = case.fill(&format!("{MIXED}--aa|{{text}}|--aaX|{{fields}}{{H}}: {{n}}||"));
    [&start[..], body, b"\r\n--aa--"].concat()
}

/// Every byte as an escape.
fn escaped(bytes: &[u8]) -> String {
    let line = |bytes: &[u8]| bytes.iter().map(|byte| format!("={byte:02X}")).collect::<String>();
    bytes.chunks(20).map(line).collect::<Vec<_>>().join("=\r\n")
}

pub fn bodies() -> Vec<Form> {
    let base64_only =
        |label: &str, make: fn(&Case) -> Vec<u8>| Form::new(label, make).only(&[Encoding::Base64]);
    let quoted =
        |label: &str, make: fn(&Case) -> Entity| Form::new(label, make).only(&[Encoding::QuotedPrintable]);
    let mut all = vec![
        base64_only("junk before the data", |case| {
            let body = format!("{}\r\n{}", "!.!.!.!.".repeat(700), case.inner_body());
            behind(case, body.as_bytes())
        }),
        base64_only("two hyphens after some lines", |case| {
            behind(case, wrapped(&base64(&case.payload), 600).replace("\r\n", "\r\n--\r\n").as_bytes())
        }),
        base64_only("a field after each line", |case| {
            behind(case, wrapped(&base64(&case.payload), 60).replace("\r\n", "\r\n!:\r\n").as_bytes())
        }),
        base64_only("blank lines before and between", |case| {
            let body = wrapped(&base64(&case.payload), 20).replace("\r\n", "\r\n\r\n");
            let start = case.fill(&format!("{{fields}}|{}{{H}}: {{n}}||", "Dear reader,||".repeat(12)));
            [&start[..], body.as_bytes()].concat()
        }),
    ];
    all.push(quoted("no escape at first", |case| {
        let text = "A plain beginning, as many files have. ".repeat(150);
        let body = wrapped(&text, 39).replace("\r\n", "=\r\n") + "=\r\n";
        let planted = [text.as_bytes(), &case.payload].concat();
        let body = body + &escaped(&case.payload);
        Entity { planted: Some(planted), ..behind(case, body.as_bytes()).into() }
    }));
    all.push(quoted("a line that begins with hyphens", |case| {
        let planted = [b"\xff\0MZ--", &case.payload[..]].concat();
        let body = format!("=FF=00MZ=\r\n--=\r\n{}", escaped(&case.payload));
        Entity { planted: Some(planted), ..behind(case, body.as_bytes()).into() }
    }));
    all
}
