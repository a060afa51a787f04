// SPDX-License-Identifier: GPL-3.0-or-later
//! The MTA's side: sockets, the milter protocol, replies. Nothing outside this folder names indymilter.

mod callbacks;
mod connection;
mod listen;
mod listener;
mod reply;
mod session;
mod stream;

pub use listen::{Listen, SocketMode};
pub(crate) use listener::Acceptor;
pub use listener::Passed;

use crate::{inspect::inspector::Gate, mail::permits::Permits};
use connection::Link;
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

/// Serves MTAs, each connection by the gate of its begin, until `drain`, then finishes the messages that are open, until
/// `leave` at the latest. What is cut off then is answered by the MTA's own default action; nothing of it was accepted.
pub(crate) async fn serve(
    acceptor: Acceptor,
    gates: watch::Receiver<Arc<Gate>>,
    connections: Arc<Permits>,
    drain: CancellationToken,
    leave: CancellationToken,
) {
    let (open, close) = (TaskTracker::new(), CancellationToken::new());
    let mut acceptor = acceptor.until(drain.clone());
    let mut running = JoinSet::new();
    let accept = async {
        loop {
            // One more waits in the kernel until another closes.
            let permit =
                Arc::clone(connections.free()).acquire_owned().await.expect("nobody closes the semaphore");
            let stream = acceptor.accept().await;
            let session = Session::new(Arc::clone(&gates.borrow()), open.clone());
            let close = close.clone();
            running.spawn(async move {
                converse(stream, session, close).await;
                drop(permit);
            });
            while running.try_join_next().is_some() {}
        }
    };
    tokio::select! {
        () = accept => {}
        () = drained(&open, drain, &leave) => {}
    }
    close.cancel();
    tokio::select! {
        () = async { while running.join_next().await.is_some() {} } => {}
        () = async { leave.cancelled().await; tokio::time::sleep(LAST_WORDS).await } => {}
    }
}

/// One connection, until its end or, between two commands, until `close`. indymilter serves it alone, so that its
/// callbacks and its stream can know of each other.
async fn converse(stream: Stream, session: Session, close: CancellationToken) {
    let (link, ended) = (Link::new(session), CancellationToken::new());
    let only = Only { stream: Some(Mended::new(stream, link.clone())), ended: ended.clone() };
    let config = indymilter::Config { max_connections: 1, actions: callbacks::ACTIONS, ..Default::default() };
    let over = async {
        tokio::select! {
            () = ended.cancelled() => {}
            () = close.cancelled() => {}
        }
    };
    // It ends without an error, since `Only` has none.
    let _ = indymilter::run(only, callbacks::callbacks(link), config, over).await;
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
