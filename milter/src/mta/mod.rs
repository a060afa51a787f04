// SPDX-License-Identifier: GPL-3.0-or-later
//! The MTA's side: sockets, the milter protocol, replies. Nothing outside this folder names indymilter.

mod callbacks;
mod listener;
mod reply;
mod stream;

pub use listener::Acceptor;

use crate::inspect::Gate;
use std::{io, sync::Arc, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// After `leave`, how long callbacks may take to notice before they are abandoned.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Serves MTAs until `drain`, then finishes the messages that are open, until `leave` at the latest. What is cut off
/// then is answered by the MTA's own default action; nothing of it was accepted.
pub async fn serve(
    acceptor: Acceptor,
    gate: Arc<Gate>,
    connections: usize,
    drain: CancellationToken,
    leave: CancellationToken,
) -> io::Result<()> {
    let open = TaskTracker::new();
    let config = indymilter::Config {
        max_connections: connections,
        actions: callbacks::ACTIONS,
        ..Default::default()
    };
    let acceptor = acceptor.until(drain.clone());
    let milter = indymilter::run(
        acceptor,
        callbacks::callbacks(gate, open.clone()),
        config,
        drained(open, drain, leave.clone()),
    );
    tokio::select! {
        served = milter => served,
        () = async { leave.cancelled().await; tokio::time::sleep(LAST_WORDS).await } => Ok(()),
    }
}

async fn drained(open: TaskTracker, drain: CancellationToken, leave: CancellationToken) {
    drain.cancelled().await;
    open.close();
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    tracing::info!(messages.open = open.len(), "draining: no new messages, those that are open are finished");
    tokio::select! {
        () = open.wait() => {}
        () = leave.cancelled() => tracing::warn!(messages.open = open.len(), "leaving with messages open, their MTAs will defer them"),
    }
}
