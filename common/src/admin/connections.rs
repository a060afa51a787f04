// SPDX-License-Identifier: GPL-3.0-or-later
//! The admin server's connections. Each takes a descriptor of those that mail needs too, so they are few, and none stays
//! that does nothing: a request must have come [soon](super::conversation) after the connection or the answer before it. Where all
//! places are taken, the oldest connection that waits for no answer makes room for a new one: idle ones never keep a probe
//! away.
//!
//! A handshake of TLS is made in the connection's place, too, where it is given up as any other that does nothing.
//!
//! HTTP/1.1 only, and each request names one host: what a proxy and this server could read differently is refused.

use super::{access::Access, conversation::Place, doors::Door};
use axum::{
    Router,
    extract::Request,
    http::{StatusCode, Version, header::HOST},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Connections to `admin.listen` at the same time.
const FROM_AFAR: usize = 52;

/// Connections to the admin socket: it has places of its own, which nobody on the network can take.
const LOCAL: usize = 12;

/// All of them.
pub(crate) const MOST: usize = FROM_AFAR + LOCAL;

/// How long a request that is under way at the end may still take.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// How long to pause after a failed accept.
const PAUSE: Duration = Duration::from_millis(250);

/// The connections there are, the oldest first.
struct Places {
    taken: VecDeque<Arc<Place>>,
    most: usize,
}

/// Answers with `site` whoever comes by `door`, until `shutdown`.
pub(super) async fn serve(door: Door, access: Arc<Access>, site: Router, shutdown: CancellationToken) {
    let most = if door.is_local() { LOCAL } else { FROM_AFAR };
    let (mut places, mut running, mut failing) = (Places::new(most), JoinSet::new(), false);
    while let Some(accepted) = shutdown.run_until_cancelled(door.accept()).await {
        while running.try_join_next().is_some() {}
        match accepted {
            Ok(visitor) => {
                failing = false;
                // Where all are answered just now, nobody more is heard.
                if let Some(place) = places.take() {
                    let (acceptor, given_up) = (access.acceptor(), place.given_up.clone());
                    let conversation = visitor.converse(acceptor, site.clone(), place, shutdown.clone());
                    running.spawn(async move {
                        let _ = given_up.run_until_cancelled(conversation).await;
                    });
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
    drop(door);
    let rest = async { while running.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST_ANSWERS, rest).await;
}

impl Places {
    fn new(most: usize) -> Self {
        Self { taken: VecDeque::new(), most }
    }

    /// A place, perhaps another connection's; none where all of them wait for an answer.
    fn take(&mut self) -> Option<Arc<Place>> {
        self.taken.retain(|place| Arc::strong_count(place) > 1);
        if self.taken.len() >= self.most {
            let idle = self.taken.iter().position(|place| place.answering.load(Relaxed) == 0)?;
            self.taken.remove(idle)?.given_up.cancel();
        }
        let place = Arc::<Place>::default();
        self.taken.push_back(Arc::clone(&place));
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
        let mut places = Places::new(MOST);
        let taken: Vec<_> = (0..MOST).map(|_| places.take().unwrap()).collect();
        taken[0].answering.store(1, Relaxed);
        let more = places.take().unwrap();
        let given_up: Vec<_> = taken.iter().map(|place| place.given_up.is_cancelled()).collect();
        assert!(given_up[1] && given_up.iter().filter(|given_up| **given_up).count() == 1, "{given_up:?}");
        assert_eq!(places.taken.len(), MOST);
        taken.iter().chain([&more]).for_each(|place| place.answering.store(1, Relaxed));
        assert!(places.take().is_none(), "all of them wait for an answer");
        drop(taken);
        assert!(places.take().is_some() && places.taken.len() == 2);
    }
}
