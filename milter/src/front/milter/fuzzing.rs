// SPDX-License-Identifier: GPL-3.0-or-later
//! Bytes as whoever connects may send them, read as indymilter reads them. Built for tests and for fuzzing only.

use super::{
    connection::Link,
    session::Session,
    stream::{LONGEST_CHUNK, Mended},
};
use crate::{command::assembly::Assembly, config::Config, inspect::inspector::Gate};
use indymilter::ProtoOpts;
use prometheus_client::registry::Registry;
use std::{
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, BufReader, ReadBuf},
    runtime::{Builder, Runtime},
};
use tokio_util::task::TaskTracker;

/// The first byte says whether header fields are answered; the others are what comes. In whatever pieces that is, the same
/// is seen of it, and no packet is longer than it may be.
pub fn packets(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    let options = if first % 2 == 0 { ProtoOpts::NOREPLY_HEADER } else { ProtoOpts::empty() };
    let whole = seen(bytes, usize::MAX, options);
    for size in [1, 37] {
        assert_eq!(seen(bytes, size, options), whole, "in pieces of {size}");
    }
    assert!(whole.packets.iter().all(|(_, length)| *length <= LONGEST_CHUNK), "{:?}", whole.packets);
}

/// What was made of some bytes.
#[derive(Debug, PartialEq)]
pub(super) struct Seen {
    /// What indymilter sees: commands, and how much data each has.
    pub(super) packets: Vec<(u8, usize)>,
    /// The messages that were collected.
    pub(super) messages: Vec<Vec<u8>>,
}

/// Reads as indymilter does and calls the session as its callbacks do.
pub(super) fn seen(bytes: &[u8], size: usize, options: ProtoOpts) -> Seen {
    let link = link();
    link.lock().options = options;
    let mut stream = BufReader::new(Mended::new(Pieces { bytes, size }, link.clone()));
    let mut seen = Seen { packets: Vec::new(), messages: Vec::new() };
    runtime().block_on(async {
        while let Ok(length @ 1..) = stream.read_u32().await {
            assert!(length as usize <= LONGEST_CHUNK + 1, "{length} bytes are to be read");
            let mut data = vec![0; length as usize];
            if stream.read_exact(&mut data).await.is_err() {
                break;
            }
            seen.packets.push((data[0], data.len() - 1));
            seen.messages.extend(called(&link, data[0], &data[1..]));
        }
    });
    seen
}

/// What the callback for a packet does; a message that has ended.
fn called(link: &Link, command: u8, data: &[u8]) -> Option<Vec<u8>> {
    let mut connection = link.lock();
    let taken = connection.taken.take();
    let session = &mut connection.session;
    match command {
        b'M' => session.mail([data].into_iter(), None),
        b'R' => session.rcpt(data),
        b'L' => {
            let mut parts = data.split(|byte| *byte == 0);
            session.header(parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        }
        b'N' => session.end_of_header(),
        b'A' => session.abort(),
        b'B' | b'E' if taken.is_none() => session.body(data),
        _ => (),
    }
    let ended = if command == b'E' { session.end_of_message(b"1") } else { None };
    ended.and_then(|message| message.bytes())
}

/// A session without a message.
pub(super) fn link() -> Link {
    static GATE: OnceLock<Arc<Gate>> = OnceLock::new();
    let gate = GATE.get_or_init(|| {
        let config = Config::from_toml("farm.instances = [{ url = \"http://127.0.0.1:1\" }]");
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = config.expect("a configuration");
        runtime().block_on(Assembly::new(&config, &mut Registry::default())).expect("a gate").gate
    });
    Link::new(Session::new(Arc::clone(gate), TaskTracker::new()))
}

pub(super) fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

/// Bytes that arrive in pieces.
pub(super) struct Pieces<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) size: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = self.size.min(self.bytes.len()).min(out.remaining());
        let (piece, rest) = self.bytes.split_at(count);
        out.put_slice(piece);
        self.bytes = rest;
        Poll::Ready(Ok(()))
    }
}
