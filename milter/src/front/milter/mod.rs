// SPDX-License-Identifier: GPL-3.0-or-later
//! The MTA's side: sockets, the milter protocol, replies. Nothing outside this folder names indymilter.

mod callbacks;
mod connection;
mod connections;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod listen;
mod listener;
mod reply;
mod session;
mod stream;

pub(crate) use connections::Connections;
pub use listen::{Listen, SocketMode};
pub(crate) use listener::Acceptor;

use crate::inspect::inspector::Gate;
use connection::Link;
use connections::Open;
use listener::Stream;
use session::Session;
use std::{
    io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use stream::Mended;
use thundergate_common::service;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// After `leave`, how long callbacks may take to notice before they are abandoned.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// So many times `limits.idle` may pass between MAIL and the end of a message: the MTA says nothing while it receives the
/// message from its client, and a large one over a slow line takes its time.
const RECEIVING: u32 = 6;

/// `limits.idle` is measured in so many parts.
const IDLE_PARTS: u32 = 8;

/// Serves MTAs, each connection by the gate of its begin, until `drain`, then finishes the messages that are open, until
/// `leave` at the latest. What is cut off then is answered by the MTA's own default action; nothing of it was accepted.
pub(crate) async fn serve(
    acceptor: Acceptor,
    gates: watch::Receiver<Arc<Gate>>,
    connections: Arc<Connections>,
    drain: CancellationToken,
    leave: CancellationToken,
) {
    let (open, close) = (TaskTracker::new(), CancellationToken::new());
    let mut acceptor = acceptor.until(drain.clone());
    let mut running = JoinSet::new();
    let accept = async {
        loop {
            // One more waits in the kernel until another closes.
            let permit = connections.free().await;
            let stream = acceptor.accept().await;
            let connection = connections.opened(permit);
            let session = Session::new(Arc::clone(&gates.borrow()), open.clone());
            let close = close.clone();
            running.spawn(converse(stream, session, connection, close));
            while running.try_join_next().is_some() {}
        }
    };
    tokio::select! {
        () = accept => {}
        () = connections.watch() => {}
        () = drained(&open, drain, &leave) => {}
    }
    close.cancel();
    tokio::select! {
        () = async { while running.join_next().await.is_some() {} } => {}
        () = async { leave.cancelled().await; tokio::time::sleep(LAST_WORDS).await } => {}
    }
}

/// One connection, until its end or, between two commands, until `close` or until the MTA was silent for too long.
/// indymilter serves it alone, so that its callbacks and its stream can know of each other.
async fn converse(stream: Stream, session: Session, connection: Open, close: CancellationToken) {
    let idle = session.gate().settings.limits.idle;
    let (link, ended) = (Link::new(session), CancellationToken::new());
    let only = Only { stream: Some(Mended::new(stream, link.clone())), ended: ended.clone() };
    let config = indymilter::Config { max_connections: 1, actions: callbacks::ACTIONS, ..Default::default() };
    let watched = link.clone();
    let over = async {
        tokio::select! {
            () = ended.cancelled() => {}
            () = close.cancelled() => {}
            () = silence(&watched, idle) => connection.idled(idle),
        }
    };
    // It ends without an error, since `Only` has none.
    let _ = indymilter::run(only, callbacks::callbacks(link), config, over).await;
    // A task of its reads on, whatever becomes of the session, and with the stream it holds the gate, for whose end the
    // drain waits.
    watched.give_up();
}

/// Ends once nothing has come for `idle`.
async fn silence(link: &Link, idle: Duration) {
    let mut silent = 0;
    loop {
        tokio::time::sleep(idle / IDLE_PARTS).await;
        silent = if link.was_heard() { 0 } else { silent + 1 };
        let patience = if link.lock().session.has_message() { RECEIVING * IDLE_PARTS } else { IDLE_PARTS };
        if silent >= patience {
            return;
        }
    }
}

/// Hands out one connection. Whoever asks for another has come to the end of the first.
struct Only {
    stream: Option<Mended<Stream>>,
    ended: CancellationToken,
}

impl indymilter::Listener for Only {
    type Io = Mended<Stream>;

    fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<io::Result<Self::Io>> {
        match self.stream.take() {
            Some(stream) => Poll::Ready(Ok(stream)),
            None => {
                self.ended.cancel();
                Poll::Pending
            }
        }
    }
}

async fn drained(open: &TaskTracker, drain: CancellationToken, leave: &CancellationToken) {
    drain.cancelled().await;
    open.close();
    service::stopping();
    tracing::info!(messages.open = open.len(), "draining: no new messages, those that are open are finished");
    tokio::select! {
        () = open.wait() => {}
        () = leave.cancelled() => tracing::warn!(messages.open = open.len(), "leaving with messages open, their MTAs will defer them"),
    }
}
