// SPDX-License-Identifier: GPL-3.0-or-later
//! What the stream of a connection and its callbacks share.

use super::session::Session;
use futures_util::task::AtomicWaker;
use indymilter::ProtoOpts;
use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicBool, Ordering::Relaxed},
};
use std::task::Context;

/// A connection's state, held at both ends of indymilter.
#[derive(Clone)]
pub(crate) struct Link(Arc<Shared>);

struct Shared {
    connection: Mutex<Connection>,
    heard: AtomicBool,
    given_up: AtomicBool,
    /// Who reads, while nothing comes.
    reader: AtomicWaker,
}

/// A session and what was negotiated for it.
pub(super) struct Connection {
    /// The session.
    pub session: Session,
    /// What was negotiated.
    pub options: ProtoOpts,
    /// The MTA was told to skip the rest of the body.
    pub skipping: bool,
    /// The stream has taken a chunk of so many bytes; what its callback will get stands for it.
    pub taken: Option<usize>,
}

impl Link {
    /// Nothing is negotiated yet.
    pub(super) fn new(session: Session) -> Self {
        let options = ProtoOpts::empty();
        let connection = Mutex::new(Connection { session, options, skipping: false, taken: None });
        let (heard, given_up) = (AtomicBool::new(true), AtomicBool::new(false));
        Self(Arc::new(Shared { connection, heard, given_up, reader: AtomicWaker::new() }))
    }

    /// Something has come, or the MTA has to wait for us.
    pub(super) fn hear(&self) {
        self.0.heard.store(true, Relaxed);
    }

    /// Whether something has come since this was asked last.
    pub(super) fn was_heard(&self) -> bool {
        self.0.heard.swap(false, Relaxed)
    }

    /// Whoever reads comes to the end, though the MTA has ended nothing.
    pub(super) fn give_up(&self) {
        self.0.given_up.store(true, Relaxed);
        self.0.reader.wake();
    }

    /// Whether it is given up; if not, `cx` is woken when it is.
    pub(super) fn is_given_up(&self, cx: &Context<'_>) -> bool {
        self.0.reader.register(cx.waker());
        self.0.given_up.load(Relaxed)
    }

    /// Nobody holds it for long, and hardly ever two at a time: the stream is read after the callbacks are done.
    pub(super) fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.connection.lock().expect("nothing panics while it holds the connection")
    }
}
