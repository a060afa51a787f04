// SPDX-License-Identifier: GPL-3.0-or-later
//! The MTA's packets on their way to indymilter 0.3, mended where it does not take them as libmilter does:
//!
//! * Sendmail spells an IPv6 client `IPv6:2001:db8::1` in CONNECT; indymilter would end the session. The tag is removed.
//! * indymilter keeps the macros of MAIL until others come for it, so a message without any would inherit the SMTP AUTH
//!   identity of the one before. An empty `{auth_authen}` is put behind every message's end.
//! * After QUIT_NC another client would be taken for the one before. The session ends there; the MTA connects again.
//!
//! And spared what costs indymilter much and tells it nothing:
//!
//! * Header fields that need no reply, and the data of bodies, go straight to the session. indymilter would have each field
//!   go from one task to another and back, and would copy each chunk twice. It gets one byte for a chunk, so that its
//!   callback replies.
//! * Macros that nobody asks for are left out, so that those that are kept are few.
//!
//! And bounded: a packet that is longer than any that an MTA has reason to send ends the connection, unread, with a line in
//! the log. indymilter would read up to 1 MiB of each and keep all the macros in it.
//!
//! Left to indymilter are negotiation, the states of a session, macros, replies, and the actions at the end of a message.
//! This file goes when indymilter takes Sendmail's spelling, forgets macros with their message, and hands header fields and
//! chunks to a callback that borrows them and answers without a task between.
//!
//! Everything else passes as it is, nonsense of that length too. What goes to the session keeps its place among the callbacks: indymilter
//! reads on only when it is done with all that it was given, and it is given nothing behind.

use super::connection::Link;
use bytes::{Buf, Bytes, BytesMut};
use indymilter::ProtoOpts;
use memchr::memchr;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

/// Length and command of a packet.
const HEAD: usize = 5;
/// Data of all packets but header fields and chunks. SMTP's lines have a few thousand bytes at most, and so have all
/// macros of a stage together.
const LONGEST_COMMAND: usize = BLOCK - HEAD;
/// Macros for MAIL: an empty `{auth_authen}`.
const NOBODY: &[u8] = b"\0\0\0\x11DM{auth_authen}\0\0";
/// A chunk whose data the session has.
const TAKEN: &[u8] = b"\0\0\0\x02B\0";
/// The end of a message whose last chunk the session has, and [`NOBODY`].
const TAKEN_END: &[u8] = b"\0\0\0\x01E\0\0\0\x11DM{auth_authen}\0\0";
/// Stages whose macros are of no use.
const UNUSED_MACROS: &[u8] = b"HRLNB";
/// Macros that are of use: the MTA's name, which one it is, the queue id, who logged in.
const USED_MACROS: [&[u8]; 6] = [b"j", b"{j}", b"{daemon_name}", b"i", b"{i}", b"{auth_authen}"];
/// Stands for macros of which none is of use: those of the message before are forgotten all the same.
const NO_MACROS: &[u8] = b"{}\0\0";
/// No chunk is longer, or indymilter ends the session.
pub(super) const LONGEST_CHUNK: usize = (1 << 20) - 1;
/// What is read at once. All commands of a usual message up to its body come in one read.
const BLOCK: usize = 16 << 10;

/// A connection whose packets are mended while they are read.
pub(crate) struct Mended<S> {
    inner: S,
    link: Link,
    /// What was read and is not handed on. It takes no memory while nothing comes.
    block: BytesMut,
    /// Bytes that go to the reader before any others.
    ahead: Bytes,
    next: Next,
    /// Behind a QUIT_NC.
    over: bool,
}

/// What becomes of the bytes to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// A packet begins.
    Packet,
    /// So many pass as they are; behind them, if they end a message, [`NOBODY`].
    Pass { left: usize, ends_message: bool },
    /// So many are left out.
    Skip { left: usize },
    /// So many of a chunk go to the session; it comes with the end of the message or alone.
    Take { left: usize, length: usize, ends_message: bool },
}

/// Why nothing more is handed on.
enum Stop {
    /// There is no room, or the reader must be done with what it has first.
    Full,
    /// More must come.
    Empty,
}

impl<S: AsyncRead + Unpin> Mended<S> {
    /// Mends what comes from `inner`, for the session behind `link`.
    pub(super) fn new(inner: S, link: Link) -> Self {
        let (block, ahead) = (BytesMut::new(), Bytes::new());
        Self { inner, link, block, ahead, next: Next::Packet, over: false }
    }

    /// Hands on what can be.
    fn hand_on(&mut self, out: &mut ReadBuf<'_>) -> Stop {
        let before = out.filled().len();
        loop {
            if self.over || out.remaining() == 0 {
                return Stop::Full;
            }
            if self.ahead.has_remaining() {
                move_bytes(&mut self.ahead, usize::MAX, out);
                continue;
            }
            match self.next {
                Next::Packet => {
                    let idle = out.filled().len() == before;
                    if let Err(stop) = self.begin(idle) {
                        return stop;
                    }
                }
                _ if self.block.is_empty() => return Stop::Empty,
                Next::Pass { left, .. } => {
                    let moved = move_bytes(&mut self.block, left, out);
                    self.went_on(moved);
                }
                Next::Skip { left } => {
                    let count = left.min(self.block.len());
                    self.block.advance(count);
                    self.went_on(count);
                }
                Next::Take { left, .. } => {
                    let chunk = self.block.split_to(left.min(self.block.len()));
                    self.link.lock().session.body(&chunk);
                    self.went_on(chunk.len());
                }
            }
        }
    }

    /// So many of the bytes to come are dealt with.
    fn went_on(&mut self, count: usize) {
        let (Next::Pass { left, .. } | Next::Skip { left } | Next::Take { left, .. }) = &mut self.next else {
            return;
        };
        *left -= count;
        if *left > 0 {
            return;
        }
        match std::mem::replace(&mut self.next, Next::Packet) {
            Next::Pass { ends_message: true, .. } => self.ahead = Bytes::from_static(NOBODY),
            Next::Take { ends_message: true, .. } => self.ahead = Bytes::from_static(TAKEN_END),
            Next::Take { length, .. } => {
                self.link.lock().taken = Some(length);
                self.ahead = Bytes::from_static(TAKEN);
            }
            _ => (),
        }
    }

    /// Begins the next packet. `idle`: the reader is done with all that it was given.
    fn begin(&mut self, idle: bool) -> Result<(), Stop> {
        let Some(&[a, b, c, d, command]) = self.block.first_chunk::<HEAD>() else { return Err(Stop::Empty) };
        let data = (u32::from_be_bytes([a, b, c, d]) as usize).saturating_sub(1);
        let length = HEAD + data;
        if data > longest(command) {
            return Err(self.refuse(command, data));
        }
        let ends_message = matches!(command, b'E' | b'A');
        self.next = Next::Pass { left: length, ends_message };
        match command {
            // No packet has no command. indymilter will end the session, with the byte behind it, too.
            _ if [a, b, c, d] == [0; 4] => self.next = Next::Pass { left: HEAD, ends_message: false },
            b'C' => {
                self.whole(length)?;
                self.ahead = without_ipv6_tag(self.block.split_to(length)).freeze();
                self.next = Next::Packet;
            }
            b'D' if data > 0 => {
                self.whole(HEAD + 1)?;
                if UNUSED_MACROS.contains(&self.block[HEAD]) {
                    self.next = Next::Skip { left: length };
                    return Ok(());
                }
                self.whole(length)?;
                self.ahead = only_used(self.block.split_to(length)).into();
                self.next = Next::Packet;
            }
            b'K' => self.over = true,
            b'L' if length <= BLOCK => {
                self.only_if(idle)?;
                self.whole(length)?;
                if self.takes_field(length) {
                    self.block.advance(length);
                    self.next = Next::Packet;
                }
            }
            b'B' | b'E' if (1..=LONGEST_CHUNK).contains(&data) => {
                self.only_if(idle)?;
                if let Some(collector) = self.link.lock().session.open_body() {
                    // For all of it at once, however small the pieces in which it comes.
                    let _ = collector.room(data);
                    self.block.advance(HEAD);
                    self.next = Next::Take { left: data, length: data, ends_message };
                }
            }
            _ => (),
        }
        Ok(())
    }

    /// Ends the connection.
    fn refuse(&mut self, command: u8, data: usize) -> Stop {
        self.over = true;
        tracing::warn!(
            event = "packet_too_long",
            packet.command = %command.escape_ascii(),
            packet.size_bytes = data,
            "An MTA sent a packet longer than any should be: its connection is closed"
        );
        Stop::Full
    }

    /// Waits until a packet, or so much of it, has come.
    fn whole(&mut self, length: usize) -> Result<(), Stop> {
        self.later_unless(self.block.len() >= length, Stop::Empty)
    }

    /// Waits until the reader is done with all that it was given.
    fn only_if(&mut self, idle: bool) -> Result<(), Stop> {
        self.later_unless(idle, Stop::Full)
    }

    fn later_unless(&mut self, now: bool, stop: Stop) -> Result<(), Stop> {
        if now {
            return Ok(());
        }
        self.next = Next::Packet;
        Err(stop)
    }

    /// Gives a header field to the session, which is in the block: name, NUL, value, NUL. False where indymilter must see it.
    fn takes_field(&mut self, length: usize) -> bool {
        let mut connection = self.link.lock();
        if !connection.options.contains(ProtoOpts::NOREPLY_HEADER) || !connection.session.is_in_header() {
            return false;
        }
        let data = &self.block[HEAD..length];
        let Some(name) = memchr(0, data) else { return false };
        let Some(value) = memchr(0, &data[name + 1..]) else { return false };
        connection.session.header(&data[..name], &data[name + 1..][..value]);
        true
    }

    /// Reads the rest of a long packet to where it is wanted; none where it is wanted nowhere.
    fn poll_direct(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Option<Poll<io::Result<usize>>> {
        let inner = Pin::new(&mut self.inner);
        let read = match self.next {
            Next::Pass { left, .. } if left.min(out.remaining()) >= BLOCK => {
                let mut part = ReadBuf::new(out.initialize_unfilled_to(left.min(out.remaining())));
                let read = inner.poll_read(cx, &mut part).map_ok(|()| part.filled().len());
                if let Poll::Ready(Ok(count)) = read {
                    out.advance(count);
                }
                read
            }
            Next::Take { left, .. } if left >= BLOCK => {
                let mut connection = self.link.lock();
                let collector = connection.session.open_body()?;
                let read = poll_read_buf(inner, cx, &mut collector.room(left)?);
                if let Poll::Ready(Ok(count)) = read {
                    collector.filled(count);
                }
                read
            }
            _ => return None,
        };
        if let Poll::Ready(Ok(count)) = read {
            self.went_on(count);
        }
        Some(read)
    }

    /// Reads a block.
    fn poll_block(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.block.reserve(BLOCK);
        let read = poll_read_buf(Pin::new(&mut self.inner), cx, &mut self.block);
        if read.is_pending() {
            // It may take long until more comes.
            self.block = BytesMut::from(&self.block[..]);
        }
        read
    }
}

/// Moves bytes, at most so many; says how many.
fn move_bytes(from: &mut impl Buf, most: usize, to: &mut ReadBuf<'_>) -> usize {
    let bytes = from.chunk();
    let count = bytes.len().min(most).min(to.remaining());
    to.put_slice(&bytes[..count]);
    from.advance(count);
    count
}

/// How much data a packet may have.
fn longest(command: u8) -> usize {
    match command {
        b'L' | b'B' | b'E' => LONGEST_CHUNK,
        _ => LONGEST_COMMAND,
    }
}

/// The macros' packet without those that nobody asks for. Its data is a stage, then a name, NUL, a value, NUL for each.
fn only_used(packet: BytesMut) -> Vec<u8> {
    let Some(macros) = packet[HEAD + 1..].strip_suffix(b"\0") else {
        return packet.to_vec(); // Nonsense, or none; indymilter passes over it.
    };
    let mut used = packet[..HEAD + 1].to_vec();
    let mut texts = macros.split(|byte| *byte == 0);
    while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
        if USED_MACROS.contains(&name) {
            [name, b"\0", value, b"\0"].iter().for_each(|text| used.extend_from_slice(text));
        }
    }
    if used.len() == HEAD + 1 {
        used.extend_from_slice(NO_MACROS);
    }
    let length = u32::try_from(used.len() - 4).expect("it is hardly longer than it was");
    used[..4].copy_from_slice(&length.to_be_bytes());
    used
}

/// CONNECT's data is a host name, NUL, a family, a port of two bytes, an address, NUL.
fn without_ipv6_tag(mut packet: BytesMut) -> BytesMut {
    let Some(name_end) = packet[HEAD..].iter().position(|byte| *byte == 0) else { return packet };
    let family = HEAD + name_end + 1;
    let address = family + 3;
    let tagged = packet.get(address..address + 5).is_some_and(|tag| tag.eq_ignore_ascii_case(b"IPv6:"));
    if packet.get(family) == Some(&b'6') && tagged {
        let rest = packet.split_off(address + 5);
        packet.truncate(address);
        packet.extend_from_slice(&rest);
        let length = u32::try_from(packet.len() - 4).expect("it is no longer than it was");
        packet[..4].copy_from_slice(&length.to_be_bytes());
    }
    packet
}

impl<S: AsyncRead + Unpin> AsyncRead for Mended<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = out.filled().len();
        loop {
            let stop = this.hand_on(out);
            if matches!(stop, Stop::Full) || out.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
            let read = if this.block.is_empty() { this.poll_direct(cx, out) } else { None };
            let Poll::Ready(count) = read.unwrap_or_else(|| this.poll_block(cx))? else {
                return if this.link.is_given_up(cx) { Poll::Ready(Ok(())) } else { Poll::Pending };
            };
            this.link.hear();
            if count == 0 {
                // It ends here. What is left is no packet.
                move_bytes(&mut this.block, usize::MAX, out);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Mended<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
