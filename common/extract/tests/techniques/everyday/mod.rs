// SPDX-License-Identifier: GPL-3.0-or-later
//! Messages as people and programs send them every day: their samples are known, and nothing about them is ambiguous.

mod bounces;
mod clients;
mod innocent;
mod keys;
mod opened;
mod programs;
mod quirks;
mod signed;
mod texts;

use super::{
    BUDGET,
    payload::{Kind, base64, quoted_printable, wrapped},
};
use bytes::Bytes;
use thundergate_extract::{Bodies, extract};

/// What one sample is.
#[derive(Clone, Copy)]
pub enum Holds {
    /// This text, with CRLF.
    Text(&'static str),
    /// The same, with the files it names.
    Sent(&'static str),
    /// These bytes.
    Bytes(&'static [u8]),
    /// What `{document}` and its like stand for.
    Document,
    /// What `{picture}` stands for.
    Picture,
}

/// A message and the names and contents of its samples, in order; an empty name is none.
pub type Everyday = (&'static str, &'static str, &'static [(&'static str, Holds)]);

/// `text` as it is sent, with the files it names.
fn sent(text: &str) -> String {
    let (document, picture) = (Kind::Document.bytes(1), Kind::Archive.bytes(2));
    text.trim_start_matches('\n')
        .replace('\n', "\r\n")
        .replace("{document}", &wrapped(&base64(&document), 76))
        .replace("{document72}", &wrapped(&base64(&document), 72))
        .replace("{document in one line}", &base64(&document))
        .replace("{quoted document}", &quoted_printable(&document))
        .replace("{picture folded}", &wrapped(&base64(&picture), 74).replace("\r\n", "\r\n "))
        .replace("{picture}", &wrapped(&base64(&picture), 76))
}

fn bytes(holds: Holds) -> Vec<u8> {
    match holds {
        Holds::Text(text) => text.replace('\n', "\r\n").into_bytes(),
        Holds::Bytes(bytes) => bytes.to_vec(),
        Holds::Sent(text) => sent(text).into_bytes(),
        Holds::Document => Kind::Document.bytes(1),
        Holds::Picture => Kind::Archive.bytes(2),
    }
}

fn check((name, text, expected): &Everyday) -> Result<(), String> {
    let message = Bytes::from(sent(text));
    let found = extract(&message, Bodies::Html, &BUDGET);
    let samples: Vec<_> = found
        .parts
        .iter()
        .map(|part| (part.name.clone().unwrap_or_default(), part.content.bytes().to_vec()))
        .collect();
    let expected: Vec<_> = expected.iter().map(|&(name, holds)| (name.to_owned(), bytes(holds))).collect();
    if samples != expected {
        let shown = |samples: &[(String, Vec<u8>)]| {
            let start = |bytes: &[u8]| bytes[..bytes.len().min(60)].escape_ascii().to_string();
            let list =
                samples.iter().map(|(name, bytes)| format!("{name:?} {} {}", bytes.len(), start(bytes)));
            list.collect::<Vec<_>>().join("\n    ")
        };
        return Err(format!(
            "{name}: {:?}\n    {}\n  instead of\n    {}",
            found.ambiguities,
            shown(&samples),
            shown(&expected)
        ));
    }
    if !found.ambiguities.is_empty() || found.malformed.is_some() {
        return Err(format!("{name}: {:?} {:?}", found.ambiguities, found.malformed));
    }
    Ok(())
}

#[test]
fn everyday_messages_are_neither_ambiguous_nor_malformed() {
    let groups = [
        programs::MESSAGES,
        clients::MESSAGES,
        bounces::MESSAGES,
        quirks::MESSAGES,
        signed::MESSAGES,
        texts::MESSAGES,
        innocent::MESSAGES,
        opened::MESSAGES,
    ];
    let all: Vec<_> = groups.concat();
    let wrong: Vec<_> = all.iter().filter_map(|message| check(message).err()).collect();
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), all.len(), wrong.join("\n"));
}

#[test]
fn everyday_messages_cost_one_reading_with_any_line_end() {
    for (name, text, expected) in
        [clients::MESSAGES, programs::MESSAGES, quirks::MESSAGES, texts::MESSAGES].concat()
    {
        let message = Bytes::from(sent(text).replace("\r\n", "\n"));
        let found = extract(&message, Bodies::Html, &BUDGET);
        assert_eq!(found.parts.len(), expected.len(), "{name}");
        assert!(found.ambiguities.is_empty(), "{name}: {:?}", found.ambiguities);
    }
}

#[test]
fn keys_and_certificates_are_not_ambiguous() {
    let doubts = |text: &&str| {
        let found = extract(&Bytes::from(sent(text)), Bodies::Html, &BUDGET);
        let fine = found.ambiguities.is_empty() && found.malformed.is_none();
        (!fine).then(|| format!("{:?} {:?} {text}", found.ambiguities, found.malformed))
    };
    let wrong: Vec<_> = keys::MESSAGES.iter().filter_map(doubts).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
