// SPDX-License-Identifier: GPL-3.0-or-later
//! Messages behind something else: mailboxes (mbox, RFC 4155), of which each message follows a line `From `; Apple's
//! `.emlx`, which begins with a number; and web archives (MHT) that Word opens as documents, behind blank lines, behind
//! `%PDF`, or behind any text.

use super::{Enclosed, Opened, Readers};
use crate::{body, bytewise::without_leading_blanks, value::contains_ignoring_case};
use bytes::Bytes;
use memchr::{memchr, memchr_iter, memmem, memrchr};

const KIND: &str = "mailbox";
const VERSION: &[u8] = b"mime-version";
/// Digits of the number before a message.
const DIGITS: usize = 10;

/// What stands before a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// A line of a mailbox.
    From,
    /// The length of the message.
    Length,
    Blanks,
    /// Something that begins like a file of another kind, or any text.
    Other,
}

/// True where `start` begins with what stands before a message.
pub(super) fn is_one(start: &[u8]) -> bool {
    first(start).is_some()
}

/// The same, of what is nothing but messages.
pub(super) fn is_mailbox(start: &[u8]) -> bool {
    matches!(first(start), Some((Before::From | Before::Length, _)))
}

/// Opens `bytes`.
pub(super) fn open(bytes: &Bytes, limit: u64, opened: &mut Opened) {
    let Some((before, start)) = first(bytes) else { return };
    match before {
        Before::From => open_mailbox(bytes, start, limit, opened),
        Before::Length => {
            push(bytes.slice(start..end_by_length(bytes, start)), Readers::OfFiles, limit, opened)
        }
        Before::Blanks => push(bytes.slice(start..), Readers::OfFiles, limit, opened),
        Before::Other if memmem::find(&bytes[start..], b"\n--").is_none() => (),
        Before::Other => push(bytes.slice(start..), Readers::OfDocuments, limit, opened),
    }
}

/// Where the header of the first message starts, and what stands before it.
fn first(bytes: &[u8]) -> Option<(Before, usize)> {
    let text = without_leading_blanks(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
    let at = bytes.len() - text.len();
    let start = &bytes[..bytes.len().min(at + body::START)];
    let text = &start[at..];
    // Of blanks that go on and on nobody knows yet what they end with.
    if at > 0 && body::is_message(text) || at >= body::START && text.is_empty() {
        return Some((Before::Blanks, at));
    }
    let next = at + memchr(b'\n', text)? + 1;
    if text.starts_with(b"From ") && is_field(&start[next..]) {
        return Some((Before::From, next));
    }
    let line = &start[at..next];
    let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if (1..=DIGITS).contains(&digits) && line[digits..].trim_ascii().is_empty() && is_field(&start[next..]) {
        return Some((Before::Length, next));
    }
    let at = embedded(start)?;
    let multipart = || contains_ignoring_case(&start[at..], b"multipart/");
    (start.starts_with(b"%PDF") || multipart()).then_some((Before::Other, at))
}

/// True where `text` begins with a field.
fn is_field(text: &[u8]) -> bool {
    let name =
        text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')).count();
    name > 0 && text.get(name) == Some(&b':')
}

/// Where a header begins inside `start` that has the field without which Word takes nothing for a web archive.
fn embedded(start: &[u8]) -> Option<usize> {
    let is_version = |colon: &usize| {
        let name = colon.checked_sub(VERSION.len());
        name.is_some_and(|at| {
            start[at..*colon].eq_ignore_ascii_case(VERSION) && (at == 0 || start[at - 1] == b'\n')
        })
    };
    let mut at = memchr_iter(b':', start).find(is_version)? - VERSION.len();
    // The fields before it belong to it.
    while at > 0 {
        let line = memrchr(b'\n', &start[..at - 1]).map_or(0, |end| end + 1);
        let folded = matches!(start[line], b' ' | b'\t') && !start[line..at].trim_ascii().is_empty();
        if !folded && !is_field(&start[line..at]) {
            break;
        }
        at = line;
    }
    (at > 0).then_some(at)
}

/// Where the message ends that starts at `start` and has its length before it; everything, where nothing that Apple writes
/// follows there.
fn end_by_length(bytes: &[u8], start: usize) -> usize {
    let digits = bytes[..start].trim_ascii();
    let length = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<usize>().ok());
    let end = length.and_then(|length| start.checked_add(length)).filter(|end| *end < bytes.len());
    end.filter(|&end| bytes[end..].trim_ascii_start().starts_with(b"<?xml")).unwrap_or(bytes.len())
}

/// Takes the messages of a mailbox, the first of which has its header at `start`.
fn open_mailbox(bytes: &Bytes, mut start: usize, limit: u64, opened: &mut Opened) {
    let mut further = memmem::find_iter(&bytes[..], b"\nFrom ").filter_map(|at| {
        let next = at + 1 + memchr(b'\n', &bytes[at + 1..])? + 1;
        is_field(&bytes[next..]).then_some((at + 1, next))
    });
    while !opened.over_limit {
        let next = further.find(|(at, _)| *at >= start);
        let end = next.map_or(bytes.len(), |(end, _)| end);
        push(bytes.slice(start..end), Readers::OfFiles, limit, opened);
        let Some((_, header)) = next else { return };
        start = header;
    }
}

fn push(content: Bytes, readers: Readers, limit: u64, opened: &mut Opened) {
    opened.kind = KIND;
    let media_type = "message/rfc822".into();
    opened.push(Enclosed { media_type, content, message: true, readers, names: Vec::new() }, limit);
}

#[cfg(test)]
mod tests {
    use super::{super::MAX_FILES, *};

    const MESSAGE: &str =
        "Subject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nhi\n--b--\n";

    /// The messages in `text`, and who reads them.
    fn messages(text: impl Into<Bytes>) -> (Readers, Vec<String>) {
        let opened = super::super::open(&text.into(), 1 << 20);
        let all = |file: &Enclosed| file.message && file.readers == opened.files[0].readers;
        assert!(opened.files.iter().all(all) && opened.files.is_empty() == opened.kind.is_empty());
        let readers = opened.files.first().map_or(Readers::All, |file| file.readers);
        (readers, opened.files.iter().map(|file| String::from_utf8_lossy(&file.content).into()).collect())
    }

    #[test]
    fn every_message_of_a_mailbox_comes_out() {
        let plain = "Subject: y\n\nFrom here on\nit is From a text\n\n";
        let text =
            format!("From a@b Mon Jun  1\n{plain}From a@b Mon Jun  1\n{MESSAGE}\nFrom a@b Mon\n{plain}");
        let expected = vec![plain.to_owned(), format!("{MESSAGE}\n"), plain.to_owned()];
        assert_eq!(messages(text.clone()), (Readers::OfFiles, expected.clone()));
        assert_eq!(messages(format!("\u{feff}\r\n{text}")), (Readers::OfFiles, expected));
        assert_eq!(messages("From now on, nothing\nis a message.\n"), (Readers::All, vec![]));
    }

    #[test]
    fn a_number_may_stand_before_a_message() {
        let plist = "<?xml version=\"1.0\"?><plist/>\n";
        for line in [format!("{}\n", MESSAGE.len()), format!("{}      \r\n", MESSAGE.len())] {
            assert_eq!(
                messages(format!("{line}{MESSAGE}{plist}")),
                (Readers::OfFiles, vec![MESSAGE.to_owned()])
            );
        }
        let lie = format!("10\n{MESSAGE}{plist}");
        assert_eq!(messages(lie), (Readers::OfFiles, vec![format!("{MESSAGE}{plist}")]));
        assert_eq!(messages("2026\nwas a year\n"), (Readers::All, vec![]));
    }

    #[test]
    fn word_finds_a_web_archive_behind_anything() {
        for blank in ["\r\n \r\n\r\n", "\u{feff}\n", " ", &"\r\n".repeat(10_000)] {
            assert_eq!(
                messages(format!("{blank}{MESSAGE}")),
                (Readers::OfFiles, vec![MESSAGE.to_owned()]),
                "{blank:?}"
            );
        }
        let folded = MESSAGE.replace("x\nMIME-Version", "x\n y\nmime-version");
        for before in
            ["%PDF-1.7\n1 0 obj\n<</Type/Catalog>>\nendobj\n", "Dear all,\n\n", "no: field\nno field\n"]
        {
            assert_eq!(
                messages(format!("{before}{folded}")),
                (Readers::OfDocuments, vec![folded.clone()]),
                "{before:?}"
            );
        }
        for other in [
            "%PDF-1.7\n1 0 obj\n<</Type/Catalog>>\nendobj\n".to_owned(),
            "It has\nMIME-Version: 1.0\n\nbut no parts.".to_owned(),
            format!("It has\n {}", MESSAGE.replace('\n', "\n ")),
            MESSAGE.to_owned(),
        ] {
            assert_eq!(messages(other.clone()), (Readers::All, vec![]), "{other:?}");
        }
    }

    #[test]
    fn more_messages_than_anybody_sends_are_too_many() {
        let text = "From a\nA: b\n\n".repeat(MAX_FILES + 1);
        assert!(super::super::open(&text.into(), 1 << 20).over_limit);
    }
}
