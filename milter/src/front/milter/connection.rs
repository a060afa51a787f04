// SPDX-License-Identifier: GPL-3.0-or-later
//! What the stream of a connection and its callbacks share.

use super::session::Session;
use indymilter::ProtoOpts;
use std::sync::{Arc, Mutex, MutexGuard};

/// A connection's state, held at both ends of indymilter.
#[derive(Clone)]
pub(crate) struct Link(Arc<Mutex<Connection>>);

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
        Self(Arc::new(Mutex::new(Connection { session, options, skipping: false, taken: None })))
    }

    /// Nobody holds it for long, and hardly ever two at a time: the stream is read after the callbacks are done.
    pub(super) fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().expect("nothing panics while it holds the connection")
    }
}
