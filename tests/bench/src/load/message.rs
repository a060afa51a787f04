// SPDX-License-Identifier: GPL-3.0-or-later
//! What is sent: a message with places that differ from one copy to the next, each of a fixed width.
//!
//! The places are marked by texts in `@`, which no base64 has, so that they can be found again wherever the message is
//! cut into packets.

use std::fmt::Write as _;
use thundergate_harness::{
    mails::{base64_lines, noise},
    mta::Mail,
};

const BOUNDARY: &str = "=_thundergate_load_boundary";
/// The bytes at the start of an attachment that tell it from all others.
pub const NUMBER_BYTES: usize = 9;

/// A place that differs from one copy of the message to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The MTA's queue id, which stands in the Message-ID too.
    QueueId,
    /// The first bytes of this attachment, in base64.
    Number(usize),
    /// What differs in this attachment's file name.
    Name(usize),
}

impl Slot {
    /// How many bytes it takes.
    pub const fn width(self) -> usize {
        match self {
            Self::QueueId | Self::Name(_) => 10,
            Self::Number(_) => NUMBER_BYTES / 3 * 4,
        }
    }

    fn mark(self) -> String {
        match self {
            Self::QueueId => "@QUEUE-ID@".to_owned(),
            Self::Number(part) => format!("@NUMBER-{part:03}@"),
            Self::Name(part) => format!("@NAME-{part:03}@"),
        }
    }

    fn marked_by(text: &[u8]) -> Option<Self> {
        let part = |from: usize| std::str::from_utf8(text.get(from..from + 3)?).ok()?.parse().ok();
        let slot = match text.get(1..3)? {
            b"QU" => Self::QueueId,
            b"NU" => Self::Number(part(8)?),
            b"NA" => Self::Name(part(6)?),
            _ => return None,
        };
        text.starts_with(slot.mark().as_bytes()).then_some(slot)
    }
}

/// The places in `text`, and where they begin.
pub fn slots(text: &[u8]) -> Vec<(usize, Slot)> {
    let marks = text.iter().enumerate().filter(|(_, byte)| **byte == b'@');
    marks.filter_map(|(at, _)| Some((at, Slot::marked_by(&text[at..])?))).collect()
}

/// How the messages look.
#[derive(Clone, Debug)]
pub struct Look {
    /// Attachments of a message.
    pub attachments: usize,
    /// A short plain text stands before them.
    pub text: bool,
    /// Each has a file name of its own.
    pub distinct_names: bool,
}

/// A message with attachments of `size` bytes, as an MTA has it.
pub fn with_attachments(look: &Look, size: usize) -> Mail {
    let mut message = "From: sender@example.org\r\nTo: recipient@example.net\r\nSubject: load\r\n\
        Date: Sun, 01 Nov 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\n"
        .to_owned();
    message += &format!("Message-ID: <{}@load.example.org>\r\n", Slot::QueueId.mark());
    message += &format!("Content-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\r\n\r\n");
    if look.text {
        message += &format!("--{BOUNDARY}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n");
        message += "Hello,\r\nthe file is attached.\r\n\r\n";
    }
    for part in 0..look.attachments {
        let mark = if look.distinct_names { Slot::Name(part).mark() } else { format!("{part:03}") };
        let name = format!("attachment-{mark}.bin");
        let lines = base64_lines(&noise(size as u64 + part as u64, size));
        let number = Slot::Number(part);
        write!(
            message,
            "--{BOUNDARY}\r\nContent-Type: application/octet-stream; name=\"{name}\"\r\n\
             Content-Disposition: attachment; filename=\"{name}\"\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{}{}\r\n",
            number.mark(),
            &lines[number.width()..],
        )
        .expect("writing to a string cannot fail");
    }
    message += &format!("--{BOUNDARY}--\r\n");
    mail(message.into_bytes())
}

/// A message from a file. Lines end with CRLF, as an MTA has them.
pub fn from_file(bytes: &[u8]) -> Mail {
    let mut message = Vec::with_capacity(bytes.len() + bytes.len() / 32);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(line) => {
                message.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
                message.extend_from_slice(b"\r\n");
            }
            None => message.extend_from_slice(line),
        }
    }
    mail(message)
}

fn mail(message: Vec<u8>) -> Mail {
    Mail { queue_id: Slot::QueueId.mark(), ..Mail::of(message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_found_once_for_each_time_it_stands_there() {
        let look = Look { attachments: 2, text: true, distinct_names: true };
        let found = slots(&with_attachments(&look, 1000).message);
        let slots: Vec<Slot> = found.into_iter().map(|(_, slot)| slot).collect();
        use Slot::{Name, Number, QueueId};
        assert_eq!(slots, [QueueId, Name(0), Name(0), Number(0), Name(1), Name(1), Number(1)]);
    }

    #[test]
    fn a_file_gets_the_line_ends_of_mail() {
        assert_eq!(from_file(b"A: 1\n\nb\r\nc").message, b"A: 1\r\n\r\nb\r\nc");
    }
}
