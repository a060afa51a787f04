// SPDX-License-Identifier: GPL-3.0-or-later
//! What single parsers find, for comparison.

use super::message::Variant;
use mail_parser::{Message, MessageParser, PartType};
use std::{
    io::{Read, Write},
    panic::{self, AssertUnwindSafe},
    process::{Command, Stdio},
};
use thundergate_common::digest::Digest;

/// True where mail-parser alone finds what is planted, decoded or as it stands in the message. It panics at some
/// messages, and finds nothing there.
pub fn mail_parser_finds(variant: &Variant) -> bool {
    let find = || {
        let parsed = MessageParser::default().parse(&variant.message);
        parsed.is_some_and(|message| holds(&message, &variant.planted))
    };
    panic::catch_unwind(AssertUnwindSafe(find)).unwrap_or(false)
}

fn holds(message: &Message<'_>, planted: &[u8]) -> bool {
    message.parts.iter().any(|part| {
        let body = part.raw_body_offset() as usize..part.raw_end_offset() as usize;
        let nested = if let PartType::Message(inner) = &part.body { holds(inner, planted) } else { false };
        nested || part.contents() == planted || message.raw_message.get(body) == Some(planted)
    })
}

/// How many variants of each group Python's email package finds, and its version; none without Python.
pub fn python_finds(groups: &[Vec<Variant>]) -> Option<(String, Vec<usize>)> {
    let version =
        Command::new("python3").args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).output();
    let version = String::from_utf8(version.ok()?.stdout).ok()?.trim().to_owned();
    let mut python = Command::new("python3")
        .args(["-c", include_str!("digests.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut input = python.stdin.take()?;
    for variant in groups.iter().flatten() {
        input.write_all(&(variant.message.len() as u32).to_be_bytes()).ok()?;
        input.write_all(&variant.message).ok()?;
    }
    drop(input); // it answers when it has read all
    let mut answers = String::new();
    python.stdout.take()?.read_to_string(&mut answers).ok()?;
    assert!(python.wait().is_ok_and(|status| status.success()), "{answers}");
    let mut answers = answers.lines();
    let mut found = |variant: &Variant| {
        let digest = Digest::of(&variant.planted).to_string();
        answers.next().expect("a line for each message").contains(&digest)
    };
    let counts = groups.iter().map(|group| group.iter().filter(|variant| found(variant)).count()).collect();
    Some((version, counts))
}
