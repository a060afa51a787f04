// SPDX-License-Identifier: GPL-3.0-or-later
//! Collects a message while the MTA sends it: header fields and body become one buffer again, the message as the MTA
//! received it.
//!
//! Two limits: `limits.message_bytes` for one message, and `limits.memory_bytes` for all messages in flight. Past
//! either the bytes collected so far are given up at once and the reason is kept; the policy decides on it.

use crate::mail::{forged::Forged, permits::Permits, repeated};
use bytes::{BufMut, Bytes, buf::Limit};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// The memory that messages in flight may use together.
#[derive(Clone, Debug)]
pub struct Memory {
    kibibytes: Arc<Permits>,
}

/// A share of [`Memory`]; given back when dropped.
#[derive(Debug)]
pub struct Share {
    permit: OwnedSemaphorePermit,
    bytes: usize,
}

/// A message being received.
#[derive(Debug)]
pub struct Collector {
    buffer: Vec<u8>,
    share: Share,
    limit: usize,
    expected: usize,
    received: u64,
    /// Bytes of the header with its empty line; 0 while it is not over.
    header: usize,
    lost: Option<Lost>,
}

/// Why a message was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It is larger than `limits.message_bytes`.
    Oversize,
    /// There is no memory for it now.
    Overload,
}

/// A message that has arrived.
#[derive(Debug)]
pub struct Message {
    /// Header, empty line, body; or why they were not kept.
    pub bytes: Result<Bytes, Lost>,
    /// How large it is, kept or not.
    pub size: u64,
    /// The memory it occupies.
    pub share: Share,
    /// What it brought that only we may write.
    pub forged: Forged,
}

impl Memory {
    /// As much as `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self { kibibytes: Arc::new(Permits::new(kibibytes(limit))) }
    }

    /// As much as `limit` bytes from now on; what messages have beyond that they keep.
    pub fn resize(&self, limit: u64) {
        self.kibibytes.resize(kibibytes(limit));
    }

    /// An empty share.
    pub fn share(&self) -> Share {
        let permit = Arc::clone(self.kibibytes.free()).try_acquire_many_owned(0);
        Share { permit: permit.expect("nobody closes the semaphore, and nothing is always there"), bytes: 0 }
    }
}

fn kibibytes(bytes: u64) -> usize {
    usize::try_from(bytes / 1024).unwrap_or(usize::MAX)
}

impl Share {
    /// Takes `bytes` more. False where there is not so much; the share stays as it was.
    #[must_use]
    pub fn take(&mut self, bytes: usize) -> bool {
        let wanted = self.bytes.saturating_add(bytes);
        let missing = wanted.div_ceil(1024).saturating_sub(self.permit.num_permits());
        let Ok(missing) = u32::try_from(missing) else { return false };
        match Arc::clone(self.permit.semaphore()).try_acquire_many_owned(missing) {
            Ok(more) => {
                self.permit.merge(more);
                self.bytes = wanted;
                true
            }
            Err(_) => false,
        }
    }

    fn give_back(&mut self) {
        drop(self.permit.split(self.permit.num_permits()));
        self.bytes = 0;
    }
}

impl Collector {
    /// For a message of at most `limit` bytes, of which the client declared `declared`.
    pub fn new(memory: &Memory, limit: usize, declared: Option<usize>) -> Self {
        // Header fields that the MTA adds are not in the declared size.
        let expected = declared.map_or(0, |size| size.saturating_add(4096)).min(limit);
        Self {
            buffer: Vec::new(),
            share: memory.share(),
            limit,
            expected,
            received: 0,
            header: 0,
            lost: None,
        }
    }

    /// Adds a header field. `value` is as the MTA gave it: with its leading blank, folded by LF.
    pub fn header(&mut self, name: &[u8], value: &[u8]) {
        for piece in [name, b":", value, b"\r\n"] {
            self.push(piece);
        }
    }

    /// Ends the header.
    pub fn end_of_header(&mut self) {
        self.push(b"\r\n");
        self.header = self.buffer.len();
    }

    /// Adds a piece of the body.
    pub fn body(&mut self, chunk: &[u8]) {
        self.push(chunk);
    }

    /// Room at the end of the body for `bytes`, to be filled; none where they need not be kept.
    pub fn room(&mut self, bytes: usize) -> Option<Limit<&mut Vec<u8>>> {
        self.ensure_room(bytes);
        self.lost.is_none().then(|| (&mut self.buffer).limit(bytes))
    }

    /// So many bytes were written to the [room](Self::room) for them.
    pub fn filled(&mut self, bytes: usize) {
        self.received += bytes as u64;
    }

    /// True where the message is not kept: no more of it is needed.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// Counts bytes that are kept beside the message, such as its recipients.
    pub(crate) fn count_beside(&mut self, bytes: usize) {
        if self.lost.is_none() && !self.share.take(bytes) {
            self.lose(Lost::Overload);
        }
    }

    /// All of it has arrived.
    pub fn finish(self) -> Message {
        let bytes = match self.lost {
            Some(lost) => Err(lost),
            None => Ok(Bytes::from(self.buffer)),
        };
        Message { bytes, size: self.received, share: self.share, forged: Forged::default() }
    }

    /// The same, of an MTA that sends the whole message in place of its body: see [`repeated`].
    pub fn finish_whole(self) -> Message {
        let header = self.header;
        let message = self.finish();
        let Ok(bytes) = message.bytes else { return message };
        let bytes = repeated::once(bytes, header);
        Message { size: bytes.len() as u64, bytes: Ok(bytes), ..message }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.received += bytes.len() as u64;
        self.ensure_room(bytes.len());
        if self.lost.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Has room for so many bytes more, unless the message is lost.
    fn ensure_room(&mut self, bytes: usize) {
        let needed = self.buffer.len() + bytes;
        if self.lost.is_some() {
        } else if needed > self.limit {
            self.lose(Lost::Oversize);
        } else if needed > self.buffer.capacity() && !self.make_room(needed) {
            self.lose(Lost::Overload);
        }
    }

    fn make_room(&mut self, needed: usize) -> bool {
        // A declared size costs nothing to declare, so it counts for no more than a multiple of what has come. MTAs send
        // a body once they have all of it: its first chunk makes room for 4 MiB.
        let declared = self.expected.min(needed.saturating_mul(64));
        let grown = if declared >= needed { declared } else { self.buffer.capacity() * 2 };
        let roomy = grown.clamp(needed, self.limit).max(4096);
        if !self.share.take(roomy - self.buffer.capacity()) {
            return false;
        }
        self.buffer.reserve_exact(roomy - self.buffer.len());
        true
    }

    fn lose(&mut self, why: Lost) {
        self.lost = Some(why);
        self.buffer = Vec::new();
        self.share.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collector(memory: &Memory, limit: usize) -> Collector {
        Collector::new(memory, limit, None)
    }

    #[test]
    fn the_message_is_rebuilt_as_it_was() {
        let mut message = collector(&Memory::new(1 << 20), 1000);
        message.header(b"Subject", b" a\n\tb");
        message.end_of_header();
        message.body(b"text\r\n");
        assert_eq!(message.finish().bytes.unwrap(), "Subject: a\n\tb\r\n\r\ntext\r\n");
    }

    #[test]
    fn an_oversize_message_gives_its_memory_back_at_once() {
        let memory = Memory::new(1 << 20);
        let mut message = collector(&memory, 10_000);
        message.body(&[0; 9_000]);
        assert!(!message.is_lost());
        message.body(&[0; 9_000]);
        assert!(message.is_lost());
        assert_eq!(memory.kibibytes.free().available_permits(), 1024);
        let message = message.finish();
        assert_eq!((message.bytes, message.size), (Err(Lost::Oversize), 18_000));
    }

    #[test]
    fn a_body_can_be_written_to_its_place() {
        let mut message = collector(&Memory::new(1 << 20), 8);
        message.room(3).unwrap().put_slice(b"abc");
        message.filled(3);
        message.body(b"de");
        assert!(message.room(4).is_none(), "it would be too long");
        assert_eq!(message.finish().bytes, Err(Lost::Oversize));
    }

    #[test]
    fn a_declared_size_makes_room_once_the_body_comes() {
        let memory = Memory::new(64 << 20);
        let taken = || (64 << 10) - memory.kibibytes.free().available_permits();
        let mut message = Collector::new(&memory, 50 << 20, Some(3 << 20));
        message.header(b"Subject", b" a");
        assert_eq!(taken(), 4);
        message.body(&[0; 65_535]);
        assert_eq!(taken(), (3 << 10) + 4);
    }

    #[test]
    fn messages_in_flight_share_their_memory() {
        let memory = Memory::new(64 << 10);
        let mut first = collector(&memory, 1 << 20);
        first.body(&[0; 40 << 10]);
        let mut second = collector(&memory, 1 << 20);
        second.body(&[0; 40 << 10]);
        assert_eq!(second.finish().bytes, Err(Lost::Overload));
        drop(first);
        let mut third = collector(&memory, 1 << 20);
        third.body(&[0; 40 << 10]);
        assert!(!third.is_lost());
    }
}
