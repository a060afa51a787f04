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
//! * Macros that nobody asks for are left out.
//!
//! Everything else passes as it is, nonsense too. What goes to the session keeps its place among the callbacks: indymilter
//! reads on only when it is done with all that it was given, and it is given nothing behind.

use super::connection::Link;
use bytes::{Buf, Bytes, BytesMut};
use indymilter::ProtoOpts;
use memchr::memchr;
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
/// A chunk whose data the session has.
const TAKEN: &[u8] = b"\0\0\0\x02B\0";
/// The end of a message whose last chunk the session has, and [`NOBODY`].
const TAKEN_END: &[u8] = b"\0\0\0\x01E\0\0\0\x11DM{auth_authen}\0\0";
/// Stages whose macros are of no use.
const UNUSED_MACROS: &[u8] = b"HRLNB";
/// No chunk is longer, or indymilter ends the session.
const LONGEST_CHUNK: usize = (1 << 20) - 1;
/// What is read at once. All commands of a usual message up to its body come in one read.
const BLOCK: usize = 16 << 10;

/// A connection whose packets are mended while they are read.
pub struct Mended<S> {
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
    pub fn new(inner: S, link: Link) -> Self {
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
        let ends_message = matches!(command, b'E' | b'A');
        self.next = Next::Pass { left: length, ends_message };
        match command {
            // No packet has no command. indymilter will end the session, with the byte behind it, too.
            _ if [a, b, c, d] == [0; 4] => self.next = Next::Pass { left: HEAD, ends_message: false },
            b'C' if length <= LONGEST_CONNECT => {
                self.whole(length)?;
                self.ahead = without_ipv6_tag(self.block.split_to(length)).freeze();
                self.next = Next::Packet;
            }
            b'D' if data > 0 => {
                self.whole(HEAD + 1)?;
                if UNUSED_MACROS.contains(&self.block[HEAD]) {
                    self.next = Next::Skip { left: length };
                }
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
            if ready!(read.unwrap_or_else(|| this.poll_block(cx)))? == 0 {
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
mod tests {
    use super::*;
    use crate::{assembly::Assembly, config::Config, inspect::Gate, session::Session};
    use prometheus_client::registry::Registry;
    use proptest::prelude::*;
    use std::sync::{Arc, OnceLock};
    use tokio::{
        io::{AsyncReadExt, BufReader},
        runtime::{Builder, Runtime},
    };
    use tokio_util::task::TaskTracker;

    fn packet(command: u8, data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len() + 1).unwrap();
        [&length.to_be_bytes(), [command].as_slice(), data].concat()
    }

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().unwrap()
    }

    /// A session without a message.
    fn link() -> Link {
        static GATE: OnceLock<Arc<Gate>> = OnceLock::new();
        let gate = GATE.get_or_init(|| {
            let config = Config::from_toml("farm.instances = [{ url = \"http://127.0.0.1:1\" }]").unwrap();
            let _ = rustls::crypto::ring::default_provider().install_default();
            runtime().block_on(Assembly::new(&config, &mut Registry::default())).unwrap().gate
        });
        Link::new(Session::new(Arc::clone(gate), TaskTracker::new()))
    }

    /// What comes out when `bytes` arrive in pieces of `size`.
    fn mended(bytes: &[u8], size: usize) -> Vec<u8> {
        let mut pieces = Mended::new(Pieces { bytes: bytes.to_vec(), size }, link());
        let mut out = Vec::new();
        runtime().block_on(pieces.read_to_end(&mut out)).unwrap();
        out
    }

    /// Reads as indymilter does, calls the session as its callbacks do, and says what it saw beside the body that was
    /// collected.
    fn seen(bytes: &[u8], size: usize, options: ProtoOpts) -> (Vec<(u8, usize)>, Vec<u8>) {
        let link = link();
        link.lock().options = options;
        let mut stream = BufReader::new(Mended::new(Pieces { bytes: bytes.to_vec(), size }, link.clone()));
        let mut packets = Vec::new();
        let mut message = Vec::new();
        runtime().block_on(async {
            while let Ok(length) = stream.read_u32().await {
                let mut data = vec![0; length as usize];
                stream.read_exact(&mut data).await.unwrap();
                packets.push((data[0], data.len() - 1));
                let mut connection = link.lock();
                let taken = connection.taken.take();
                let session = &mut connection.session;
                match data[0] {
                    b'M' => session.mail([&data[1..]].into_iter(), None),
                    b'L' => {
                        let mut parts = data[1..].split(|byte| *byte == 0);
                        session.header(parts.next().unwrap(), parts.next().unwrap());
                    }
                    b'N' => session.end_of_header(),
                    b'B' | b'E' if taken.is_none() => session.body(&data[1..]),
                    _ => (),
                }
                if data[0] == b'E' {
                    message = session.end_of_message(b"1").unwrap().bytes();
                }
            }
        });
        (packets, message)
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

    #[test]
    fn macros_that_nobody_asks_for_are_left_out() {
        let [rcpt, end] = [packet(b'D', b"R{rcpt_addr}\0a@b.example\0"), packet(b'D', b"Ei\x001\0")];
        for size in [1, 1000] {
            assert_eq!(
                mended(&[&rcpt[..], &end, &rcpt, &rcpt, &end].concat(), size),
                [&end[..], &end].concat()
            );
        }
    }

    /// Two messages whose MTA waits for no reply at all: what is taken must find its place all the same.
    #[test]
    fn what_the_session_gets_keeps_its_place() {
        let message = |n: u8| {
            let field = packet(b'L', &[b"X", &[b'0' + n][..], b"\0 v\0"].concat());
            let body = packet(b'B', &vec![b'a' + n; 40_000]);
            [packet(b'M', b"<a@x.example>\0"), field, packet(b'N', b""), body, packet(b'E', b"end")].concat()
        };
        let expected = |n: u8| {
            let body = String::from_utf8(vec![b'a' + n; 40_000]).unwrap();
            format!("X{n}: v\r\n\r\n{body}end").into_bytes()
        };
        for size in [1000, 100_000] {
            for (options, header) in [(ProtoOpts::NOREPLY_HEADER, 0), (ProtoOpts::empty(), 1)] {
                let (packets, last) = seen(&[message(0), message(1)].concat(), size, options);
                let fields = packets.iter().filter(|(command, _)| *command == b'L').count();
                assert_eq!((fields, last), (2 * header, expected(1)));
                let bodies: Vec<_> = packets.iter().filter(|(command, _)| b"BE".contains(command)).collect();
                assert_eq!(bodies, [&(b'B', 1), &(b'E', 0), &(b'B', 1), &(b'E', 0)]);
            }
        }
    }

    proptest! {
        #[test]
        fn nonsense_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), size in 1_usize..50) {
            mended(&bytes, size);
        }

        #[test]
        fn bodies_without_a_message_pass_as_they_are(bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..5), size in 1_usize..50) {
            let bytes: Vec<u8> = bodies.iter().flat_map(|body| packet(b'B', body)).collect();
            prop_assert_eq!(mended(&bytes, size), bytes);
        }

        #[test]
        fn a_message_is_collected_whatever_pieces_it_comes_in(
            chunks in prop::collection::vec(0_usize..70_000, 0..4),
            size in prop::sample::select(vec![7, 100, 5_000, 20_000, 1 << 20]),
        ) {
            let mut bytes = [packet(b'M', b"<a@x.example>\0"), packet(b'L', b"A\0 b\0"), packet(b'N', b"")].concat();
            let mut body = Vec::new();
            for (n, length) in chunks.into_iter().enumerate() {
                let chunk: Vec<u8> = (0..length).map(|at| (at % 251) as u8 ^ n as u8).collect();
                bytes.extend(packet(b'B', &chunk));
                body.extend(chunk);
            }
            bytes.extend(packet(b'E', b""));
            let (_, message) = seen(&bytes, size, ProtoOpts::NOREPLY_HEADER);
            prop_assert_eq!(message, [b"A: b\r\n\r\n", &body[..]].concat());
        }
    }
}
