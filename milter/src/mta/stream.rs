// SPDX-License-Identifier: GPL-3.0-or-later
//! The MTA's packets on their way to indymilter 0.3, mended where it does not take them as libmilter does:
//!
//! * Sendmail spells an IPv6 client `IPv6:2001:db8::1` in CONNECT; indymilter would end the session. The tag is removed.
//! * indymilter keeps the macros of MAIL until others come for it, so a message without any would inherit the SMTP AUTH
//!   identity of the one before. An empty `{auth_authen}` is put behind every message's end.
//! * After QUIT_NC another client would be taken for the one before. The session ends there; the MTA connects again.
//!
//! Everything else passes as it is, nonsense too.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, BufReader, ReadBuf};

/// Length and command of a packet.
const HEAD: usize = 5;
/// A CONNECT that is longer is nonsense: a host name has at most 255 bytes, an address 46.
const LONGEST_CONNECT: usize = 4096;
/// Macros for MAIL: an empty `{auth_authen}`.
const NOBODY: &[u8] = b"\0\0\0\x11DM{auth_authen}\0\0";

/// A connection whose packets are mended while they are read.
#[derive(Debug)]
pub struct Mended<S> {
    inner: BufReader<S>,
    packet: Packet,
    /// Bytes that go to the reader before any others.
    ahead: Vec<u8>,
}

/// Where in a packet we are.
#[derive(Debug)]
enum Packet {
    /// In its length and command, of which these have come.
    Head(Vec<u8>),
    /// In its data, of which so many bytes pass as they are; behind them, if it ends a message, [`NOBODY`].
    Passing { left: usize, ends_message: bool },
    /// In a CONNECT, which is held back until it is whole.
    Connect { packet: Vec<u8>, length: usize },
    /// Behind a QUIT_NC.
    Over,
}

impl<S: AsyncRead> Mended<S> {
    /// Mends what comes from `inner`.
    pub fn new(inner: S) -> Self {
        Self {
            inner: BufReader::new(inner),
            packet: Packet::Head(Vec::with_capacity(HEAD)),
            ahead: Vec::new(),
        }
    }
}

impl Packet {
    fn begin() -> Self {
        Self::Head(Vec::with_capacity(HEAD))
    }

    /// How many of the bytes to come belong together.
    fn wants(&self) -> usize {
        match self {
            Self::Head(head) => HEAD - head.len(),
            Self::Passing { left, .. } => *left,
            Self::Connect { packet, length } => length - packet.len(),
            Self::Over => 0,
        }
    }

    /// Takes `bytes`, no more than it wants; gives what the reader gets, and what comes next.
    fn take(self, bytes: &[u8]) -> (Vec<u8>, Self) {
        match self {
            Self::Head(mut head) => {
                head.extend_from_slice(bytes);
                after_head(head)
            }
            Self::Passing { left, ends_message } => {
                let next = passing(left - bytes.len(), ends_message);
                let mut out = bytes.to_vec();
                if ends_message && matches!(next, Self::Head(_)) {
                    out.extend_from_slice(NOBODY);
                }
                (out, next)
            }
            Self::Connect { mut packet, length } => {
                packet.extend_from_slice(bytes);
                if packet.len() < length {
                    return (Vec::new(), Self::Connect { packet, length });
                }
                (without_ipv6_tag(packet), Self::begin())
            }
            Self::Over => (Vec::new(), Self::Over),
        }
    }
}

fn after_head(head: Vec<u8>) -> (Vec<u8>, Packet) {
    let Ok([a, b, c, d, command]) = <[u8; HEAD]>::try_from(head.as_slice()) else {
        return (Vec::new(), Packet::Head(head));
    };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length == 0 {
        // No packet has no command. indymilter will end the session, with the byte behind it, too.
        return (head, Packet::begin());
    }
    match command {
        b'C' if length <= LONGEST_CONNECT => {
            (Vec::new(), Packet::Connect { packet: head, length: length + 4 })
        }
        b'K' => (Vec::new(), Packet::Over),
        _ => {
            let ends_message = matches!(command, b'E' | b'A');
            let next = passing(length - 1, ends_message);
            let mut out = head;
            if ends_message && length == 1 {
                out.extend_from_slice(NOBODY);
            }
            (out, next)
        }
    }
}

fn passing(left: usize, ends_message: bool) -> Packet {
    if left == 0 { Packet::begin() } else { Packet::Passing { left, ends_message } }
}

/// CONNECT's data is a host name, NUL, a family, a port of two bytes, an address, NUL.
fn without_ipv6_tag(mut packet: Vec<u8>) -> Vec<u8> {
    let Some(name_end) = packet[HEAD..].iter().position(|byte| *byte == 0) else { return packet };
    let family = HEAD + name_end + 1;
    let address = family + 3;
    let tagged = packet.get(address..address + 5).is_some_and(|tag| tag.eq_ignore_ascii_case(b"IPv6:"));
    if packet.get(family) == Some(&b'6') && tagged {
        packet.drain(address..address + 5);
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
        loop {
            if !this.ahead.is_empty() {
                let count = this.ahead.len().min(out.remaining());
                out.put_slice(&this.ahead[..count]);
                this.ahead.drain(..count);
                return Poll::Ready(Ok(()));
            }
            if matches!(this.packet, Packet::Over) {
                return Poll::Ready(Ok(()));
            }
            let bytes = ready!(Pin::new(&mut this.inner).poll_fill_buf(cx))?;
            if bytes.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let count = bytes.len().min(this.packet.wants());
            // The data of most packets need not stop on its way.
            if let Packet::Passing { left, ends_message: false } = this.packet {
                let count = count.min(out.remaining());
                out.put_slice(&bytes[..count]);
                this.packet = passing(left - count, false);
                Pin::new(&mut this.inner).consume(count);
                return Poll::Ready(Ok(()));
            }
            let packet = std::mem::replace(&mut this.packet, Packet::Over);
            (this.ahead, this.packet) = packet.take(&bytes[..count]);
            Pin::new(&mut this.inner).consume(count);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Mended<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.inner.get_mut()).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.inner.get_mut()).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.inner.get_mut()).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;

    fn packet(command: u8, data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len() + 1).unwrap();
        [&length.to_be_bytes(), [command].as_slice(), data].concat()
    }

    /// What comes out when `bytes` arrive in pieces of `size`.
    fn mended(bytes: &[u8], size: usize) -> Vec<u8> {
        let mut pieces = Mended::new(Pieces { bytes: bytes.to_vec(), size });
        let mut out = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(pieces.read_to_end(&mut out)).unwrap();
        out
    }

    struct Pieces {
        bytes: Vec<u8>,
        size: usize,
    }

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            out: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let count = self.size.min(self.bytes.len()).min(out.remaining());
            out.put_slice(&self.bytes.drain(..count).collect::<Vec<_>>());
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn the_ipv6_tag_of_sendmail_is_removed() {
        let sendmail = packet(b'C', b"host.example\x006\x00\x19IPv6:2001:db8::1\0");
        let bare = packet(b'C', b"host.example\x006\x00\x192001:db8::1\0");
        let v4 = packet(b'C', b"host.example\x004\x00\x19192.0.2.1\0");
        for size in [1, 3, 1000] {
            assert_eq!(mended(&sendmail, size), bare);
            assert_eq!(mended(&bare, size), bare);
            assert_eq!(mended(&v4, size), v4);
        }
    }

    #[test]
    fn nobody_is_logged_in_behind_a_message() {
        for end in [packet(b'E', b""), packet(b'E', b"last"), packet(b'A', b"")] {
            let next = packet(b'M', b"<a@x.example>\0");
            let expected = [end.as_slice(), NOBODY, &next].concat();
            for size in [1, 7, 1000] {
                assert_eq!(mended(&[end.as_slice(), &next].concat(), size), expected);
            }
        }
    }

    #[test]
    fn a_session_ends_at_quit_nc() {
        let quit = [packet(b'H', b"a\0"), packet(b'K', b""), packet(b'H', b"b\0")].concat();
        assert_eq!(mended(&quit, 1000), packet(b'H', b"a\0"));
    }

    proptest! {
        #[test]
        fn nonsense_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), size in 1_usize..50) {
            mended(&bytes, size);
        }

        #[test]
        fn bodies_pass_as_they_are(bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..5), size in 1_usize..50) {
            let bytes: Vec<u8> = bodies.iter().flat_map(|body| packet(b'B', body)).collect();
            prop_assert_eq!(mended(&bytes, size), bytes);
        }
    }
}
