// SPDX-License-Identifier: GPL-3.0-or-later
//! The MTA's packets on their way to indymilter 0.3, mended where it does not take them as libmilter does:
//!
//! * Sendmail spells an IPv6 client `IPv6:2001:db8::1` in CONNECT; indymilter would end the session. The tag is removed.
//! * indymilter keeps the macros of MAIL until others come for it, so a message without any would inherit the SMTP AUTH
//!   identity of the one before. An empty `{auth_authen}` is put behind every message's end.
//! * After QUIT_NC another client would be taken for the one before. The session ends there; the MTA connects again.
//!
//! Everything else passes as it is, nonsense too.

use bytes::{Buf, Bytes, BytesMut};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

/// Length and command of a packet.
const HEAD: usize = 5;
/// A CONNECT that is longer is nonsense: a host name has at most 255 bytes, an address 46.
const LONGEST_CONNECT: usize = 4096;
/// Macros for MAIL: an empty `{auth_authen}`.
const NOBODY: &[u8] = b"\0\0\0\x11DM{auth_authen}\0\0";
/// What is read at once. All commands of a usual message up to its body come in one read.
const BLOCK: usize = 16 << 10;

/// A connection whose packets are mended while they are read.
#[derive(Debug)]
pub struct Mended<S> {
    inner: S,
    /// What was read and is not handed on. It takes no memory while nothing comes.
    block: BytesMut,
    /// Bytes that go to the reader before any others.
    ahead: Bytes,
    /// So many bytes pass as they are.
    passing: usize,
    /// Behind them, [`NOBODY`].
    ends_message: bool,
    /// Behind a QUIT_NC.
    over: bool,
}

impl<S: AsyncRead + Unpin> Mended<S> {
    /// Mends what comes from `inner`.
    pub fn new(inner: S) -> Self {
        let (block, ahead) = (BytesMut::new(), Bytes::new());
        Self { inner, block, ahead, passing: 0, ends_message: false, over: false }
    }

    /// Hands on what can be.
    fn hand_on(&mut self, out: &mut ReadBuf<'_>) {
        while out.remaining() > 0 {
            if self.ahead.has_remaining() {
                move_bytes(&mut self.ahead, usize::MAX, out);
            } else if self.passing > 0 {
                let moved = move_bytes(&mut self.block, self.passing, out);
                self.pass(moved);
                if moved == 0 {
                    return;
                }
            } else if self.over || !self.begin() {
                return;
            }
        }
    }

    /// So many of the passing bytes have passed.
    fn pass(&mut self, count: usize) {
        self.passing -= count;
        if self.passing == 0 && self.ends_message {
            (self.ahead, self.ends_message) = (Bytes::from_static(NOBODY), false);
        }
    }

    /// Begins the next packet. False where not enough of it has come to tell what becomes of it.
    fn begin(&mut self) -> bool {
        let Some(&[a, b, c, d, command]) = self.block.first_chunk::<HEAD>() else { return false };
        let data = (u32::from_be_bytes([a, b, c, d]) as usize).saturating_sub(1);
        let length = HEAD + data;
        match command {
            // No packet has no command. indymilter will end the session, with the byte behind it, too.
            _ if [a, b, c, d] == [0; 4] => self.passing = HEAD,
            b'C' if length <= LONGEST_CONNECT => {
                if self.block.len() < length {
                    return false;
                }
                self.ahead = without_ipv6_tag(self.block.split_to(length)).freeze();
            }
            b'K' => self.over = true,
            _ => (self.passing, self.ends_message) = (length, matches!(command, b'E' | b'A')),
        }
        true
    }

    /// Reads the rest of a long packet to where it is wanted.
    fn poll_direct(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wanted = self.passing.min(out.remaining());
        let mut part = ReadBuf::new(out.initialize_unfilled_to(wanted));
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut part))?;
        let count = part.filled().len();
        out.advance(count);
        self.pass(count);
        Poll::Ready(Ok(()))
    }

    /// Reads a block. False at the end.
    fn poll_block(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.block.reserve(BLOCK);
        let read = poll_read_buf(Pin::new(&mut self.inner), cx, &mut self.block);
        if read.is_pending() {
            // It may take long until more comes.
            self.block = BytesMut::from(&self.block[..]);
        }
        Poll::Ready(Ok(ready!(read)? > 0))
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
            this.hand_on(out);
            if out.filled().len() > before || this.over || out.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            if this.passing.min(out.remaining()) >= BLOCK {
                return this.poll_direct(cx, out);
            }
            if !ready!(this.poll_block(cx))? {
                // What is left is no packet.
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
