// SPDX-License-Identifier: GPL-3.0-or-later
//! One connection to the admin server, once it is open: its requests and their answers, in HTTP/1.1.

use super::peer::Peer;
use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1, service::Service as _, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

/// How long a request may take to come, from its connection or from the answer before it.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a request's line and header.
const LONGEST_HEADER: usize = 16 << 10;

/// One connection.
#[derive(Default)]
pub(super) struct Place {
    /// Requests that wait for their answer.
    pub(super) answering: AtomicUsize,
    /// It makes room for another one.
    pub(super) given_up: CancellationToken,
}

/// One connection, until either side ends it.
pub(super) async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Peer,
    site: Router,
    place: Arc<Place>,
    shutdown: CancellationToken,
) {
    let site = TowerToHyperService::new(site);
    let answer = service_fn(move |request: hyper::Request<Incoming>| {
        place.answering.fetch_add(1, Relaxed);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        let (place, answer) = (Arc::clone(&place), site.call(request));
        async move {
            let answer = answer.await;
            place.answering.fetch_sub(1, Relaxed);
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(LONGEST_HEADER)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
