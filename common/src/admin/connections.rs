// SPDX-License-Identifier: GPL-3.0-or-later
//! The admin server's connections. Each takes a descriptor of those that mail needs too, so they are few, and none stays
//! that does nothing: a request must have come [`HEADER_TIMEOUT`] after the connection or the answer before it. Where all
//! places are taken, the oldest connection that waits for no answer makes room for a new one: idle ones never keep a probe
//! away.
//!
//! HTTP/1.1 only, and each request names one host: what a proxy and this server could read differently is refused.

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{StatusCode, Version, header::HOST},
    middleware::Next,
    response::{IntoResponse, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::Service as _, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// Connections at the same time.
pub(crate) const MOST: usize = 64;

/// How long a request may take to come, from its connection or from the answer before it.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a request's line and header.
const LONGEST_HEADER: usize = 16 << 10;

/// How long a request that is under way at the end may still take.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// How long to pause after a failed accept.
const PAUSE: Duration = Duration::from_millis(250);

/// The connections there are, the oldest first.
#[derive(Default)]
struct Places(VecDeque<Arc<Place>>);

/// One connection.
#[derive(Default)]
pub(super) struct Place {
    /// Requests that wait for their answer.
    answering: AtomicUsize,
    /// It makes room for another one.
    given_up: CancellationToken,
}

/// Answers with `site` until `shutdown`.
pub(super) async fn serve(listener: TcpListener, site: Router, shutdown: CancellationToken) {
    let (mut places, mut running, mut failing) = (Places::default(), JoinSet::new(), false);
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        while running.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                failing = false;
                // Where all are answered just now, nobody more is heard.
                if let Some(place) = places.take() {
                    running.spawn(converse(stream, site.clone(), place, shutdown.clone()));
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "The admin server cannot accept connections now");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    let rest = async { while running.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST_ANSWERS, rest).await;
}

/// One connection, until either side ends it.
pub(super) async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    site: Router,
    place: Arc<Place>,
    shutdown: CancellationToken,
) {
    let site = TowerToHyperService::new(site);
    let answer = {
        let place = Arc::clone(&place);
        service_fn(move |request: hyper::Request<Incoming>| {
            place.answering.fetch_add(1, Relaxed);
            let (place, answer) = (Arc::clone(&place), site.call(request.map(Body::new)));
            async move {
                let answer = answer.await;
                place.answering.fetch_sub(1, Relaxed);
                answer
            }
        })
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(LONGEST_HEADER)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = place.given_up.cancelled() => {}
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

impl Places {
    /// A place, perhaps another connection's; none where all of them wait for an answer.
    fn take(&mut self) -> Option<Arc<Place>> {
        self.0.retain(|place| Arc::strong_count(place) > 1);
        if self.0.len() >= MOST {
            let idle = self.0.iter().position(|place| place.answering.load(Relaxed) == 0)?;
            self.0.remove(idle)?.given_up.cancel();
        }
        let place = Arc::<Place>::default();
        self.0.push_back(Arc::clone(&place));
        Some(place)
    }
}

/// Answers only what everybody reads in the same way.
pub(super) async fn unambiguous(request: Request, next: Next) -> Response {
    let one_host = request.headers().get_all(HOST).iter().count() == 1;
    if request.version() == Version::HTTP_11 && one_host {
        return next.run(request).await;
    }
    (StatusCode::BAD_REQUEST, "HTTP/1.1 with one Host field, please\n").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_idle_connection_makes_room() {
        let mut places = Places::default();
        let taken: Vec<_> = (0..MOST).map(|_| places.take().unwrap()).collect();
        taken[0].answering.store(1, Relaxed);
        let more = places.take().unwrap();
        let given_up: Vec<_> = taken.iter().map(|place| place.given_up.is_cancelled()).collect();
        assert!(given_up[1] && given_up.iter().filter(|given_up| **given_up).count() == 1, "{given_up:?}");
        assert_eq!(places.0.len(), MOST);
        taken.iter().chain([&more]).for_each(|place| place.answering.store(1, Relaxed));
        assert!(places.take().is_none(), "all of them wait for an answer");
        drop(taken);
        assert!(places.take().is_some() && places.0.len() == 2);
    }
}
