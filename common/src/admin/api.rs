// SPDX-License-Identifier: GPL-3.0-or-later
//! The API over HTTP: [`Endpoint::ALL`] is the one table of what there is, and nothing behind it is reached but through
//! [`Api::answer`], which asks in this order:
//!
//! 1. Does a page of another site ask? (403)
//! 2. Who asks? A stranger is told nothing, not even which endpoints there are. (401)
//! 3. Is there such an endpoint, with this method? (404, 405) Is the caller's scope enough? (403)
//! 4. Is the body JSON (415), is it short enough (413), does it come in time (408)? A change also has a header that no form
//!    can send, and passes no network in the clear. (403)
//! 5. Does it make sense? (400)
//! 6. Where it is a change or personal: is it written down? (503)
//! 7. Then it is done, a few at a time. What changes something goes on where its caller hangs up, until the drain's end.

use super::{
    access::{Access, Asker, Caller},
    audit::{Audit, Deed},
    backend::Backend,
    order::Order,
    peer::Peer,
    refusal::Refusal,
};
use crate::api::{CHANGE_HEADER, Endpoint, LARGEST_REQUEST, PREFIX, Scope, check::Wanted};
use axum::{
    body::Body,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN},
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a body may take to come.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// Orders that are carried out at the same time.
const AT_A_TIME: usize = 8;

/// How long an order may wait for the others.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long changes that are under way may still take at the end.
const LAST_CHANGES: Duration = Duration::from_secs(5);

/// The API of one server.
pub(super) struct Api {
    access: Arc<Access>,
    backend: Arc<Backend>,
    audit: Audit,
    room: Arc<Semaphore>,
    changes: TaskTracker,
    leave: CancellationToken,
}

impl Api {
    pub(super) fn new(access: Arc<Access>, backend: Backend, audit: Audit) -> Self {
        Self {
            access,
            backend: Arc::new(backend),
            audit,
            room: Arc::new(Semaphore::new(AT_A_TIME)),
            changes: TaskTracker::new(),
            leave: CancellationToken::new(),
        }
    }

    /// Waits for changes that are under way; those that take too long are left where they are.
    pub(super) async fn end(&self) {
        self.changes.close();
        if timeout(LAST_CHANGES, self.changes.wait()).await.is_err() {
            tracing::warn!(
                changes = self.changes.len(),
                "Changes that an operator asked for are left half done"
            );
        }
        self.leave.cancel();
        self.changes.wait().await;
    }

    async fn answer(&self, peer: &Peer, parts: Parts, body: Body) -> Result<Response, Refusal> {
        let headers = &parts.headers;
        if comes_from_another_site(headers) {
            return Err(Refusal::forbidden("a page of another site asks, which gets nothing here"));
        }
        let caller = match self.access.asker(peer, headers) {
            Asker::Known(caller) => caller,
            Asker::Stranger => return Err(Refusal::unknown(STRANGER)),
            Asker::Impostor => {
                return Err(Refusal::unknown("this token is none that admin.tokens_file names"));
            }
        };
        let endpoint: &'static Endpoint = endpoint(&parts)?;
        may(&caller, endpoint.scope)?;
        self.backend.offers(endpoint)?;
        let body = match endpoint.method {
            "POST" => self.taken(endpoint, peer, headers, body).await?,
            _ => Vec::new(),
        };
        let order = Order::read(endpoint, &body)?;
        if let Order::Check(Wanted { scan: true }) = order {
            may(&caller, Scope::Operator)?;
        }
        if let Some(action) = endpoint.audited {
            let deed = Deed { action, what: order.what(), reason: order.reason() };
            if !self.audit.notes(&caller, peer, &deed).await {
                return Err(Refusal::unavailable(UNWRITTEN));
            }
        }
        let answer = match endpoint.changes() {
            true => self.change(endpoint, order, body).await?,
            false => self.tell(endpoint, order, body).await?,
        };
        Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], answer).into_response())
    }

    /// The body of a request that may have one.
    async fn taken(
        &self,
        endpoint: &Endpoint,
        peer: &Peer,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Vec<u8>, Refusal> {
        if !is_json(headers) {
            let why = "a POST here needs the header `content-type: application/json`";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
        }
        if endpoint.changes() {
            if !headers.contains_key(CHANGE_HEADER) {
                let why = format!("a change needs the header `{CHANGE_HEADER}`, with any value");
                return Err(Refusal::forbidden(why));
            }
            if !peer.is_private() {
                return Err(Refusal::forbidden(IN_THE_CLEAR));
            }
        }
        let late = |_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time");
        timeout(BODY_PATIENCE, bounded(headers, body)).await.map_err(late)?
    }

    async fn tell(&self, endpoint: &Endpoint, order: Order, question: Vec<u8>) -> Result<String, Refusal> {
        let _room = place(Arc::clone(&self.room)).await?;
        self.backend.answer(endpoint, order, question).await
    }

    /// In a task of its own: it is not left half done where the caller hangs up.
    async fn change(
        &self,
        endpoint: &'static Endpoint,
        order: Order,
        question: Vec<u8>,
    ) -> Result<String, Refusal> {
        let (backend, room, leave) = (Arc::clone(&self.backend), Arc::clone(&self.room), self.leave.clone());
        let change = async move {
            let _room = place(room).await?;
            backend.answer(endpoint, order, question).await
        };
        let done = self.changes.spawn(async move { leave.run_until_cancelled(change).await }).await;
        let cut_off = || Refusal::unavailable("the program ended before it was done");
        done.ok().flatten().ok_or_else(cut_off)?
    }
}

const STRANGER: &str =
    "this needs a token that admin.tokens_file names, or the admin socket of this machine: api.md says how";

const UNWRITTEN: &str =
    "nothing was done: it could not be written to the log, whose disk is full or which nobody reads";

const IN_THE_CLEAR: &str =
    "changes are taken over the admin socket, from this machine, or with TLS (admin.cert_file)";

/// Answers a request to the API.
pub(super) async fn handle(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some(peer) = parts.extensions.get::<Peer>().cloned() else {
        return Refusal::unknown(STRANGER).into_response();
    };
    let headers = parts.headers.clone();
    match api.answer(&peer, parts, body).await {
        Ok(response) => response,
        Err(refusal) => {
            if matches!(refusal.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
                let asker = api.access.asker(&peer, &headers);
                let known = if let Asker::Known(caller) = &asker { Some(caller) } else { None };
                api.audit.refused(known, &peer, refusal.status.as_u16());
            }
            refusal.into_response()
        }
    }
}

/// A place among the orders that are carried out.
async fn place(room: Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Refusal> {
    let busy = |_| Refusal::unavailable("this program is busy with what others ask: try it again");
    let place = timeout(PATIENCE, room.acquire_owned()).await.map_err(busy)?;
    Ok(place.expect("the semaphore is never closed"))
}

fn may(caller: &Caller, needed: Scope) -> Result<(), Refusal> {
    if caller.scope >= needed {
        return Ok(());
    }
    let (who, scope) = (&caller.who, caller.scope);
    Err(Refusal::forbidden(format!("{who} has the scope {scope}, and this needs the scope {needed}")))
}

/// The endpoint with the path and the method of a request.
fn endpoint(parts: &Parts) -> Result<&'static Endpoint, Refusal> {
    const ALL: &[Endpoint] = &Endpoint::ALL;
    let path = parts.uri.path().strip_prefix(PREFIX).unwrap_or_default();
    let mut here = ALL.iter().filter(|endpoint| endpoint.path == path).peekable();
    let allowed = here.peek().ok_or_else(Refusal::nothing_there)?.method;
    here.find(|endpoint| parts.method == endpoint.method).ok_or_else(|| Refusal::method(allowed))
}

/// Whether a browser says that a page asks which is not ours. Only browsers send these fields, and no page can change them.
fn comes_from_another_site(headers: &HeaderMap) -> bool {
    let text =
        |value: Option<&HeaderValue>| value.map(|value| value.to_str().unwrap_or("?").to_ascii_lowercase());
    if text(headers.get("sec-fetch-site")).is_some_and(|site| site != "same-origin" && site != "none") {
        return true;
    }
    let Some(origin) = text(headers.get(ORIGIN)) else { return false };
    let host = text(headers.get(HOST)).unwrap_or_default();
    origin.split_once("://").is_none_or(|(_, authority)| authority != host)
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    media_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// A body of at most [`LARGEST_REQUEST`] bytes. One that says that it is longer is not read at all.
async fn bounded(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Refusal> {
    let too_large = || {
        let why = format!("a request may have {} KiB", LARGEST_REQUEST >> 10);
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, why)
    };
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > LARGEST_REQUEST as u64) {
        return Err(too_large());
    }
    let (mut pieces, mut whole) = (body.into_data_stream(), Vec::new());
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| Refusal::bad("the body broke off"))?;
        if whole.len() + piece.len() > LARGEST_REQUEST {
            return Err(too_large());
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        admin::{audit::Journal, fuzzing::hub, settings},
        hub::{Hub, memory::MemoryHub},
        telemetry::Entry,
    };
    use futures_util::{FutureExt, future::BoxFuture};

    const AWHILE: Duration = Duration::from_millis(50);

    struct Patient;

    impl Journal for Patient {
        fn write(&self, _: Entry) -> BoxFuture<'_, bool> {
            async { true }.boxed()
        }
    }

    fn api() -> (Arc<Api>, Arc<MemoryHub>) {
        let (hub, access) = (hub(), Access::new(&settings::Admin::default(), None).unwrap());
        let backend = Backend { hub: Some(hub.clone()), ..Backend::default() };
        (Arc::new(Api::new(Arc::new(access), backend, Audit::new(Some(Arc::new(Patient))))), hub)
    }

    async fn bump(api: &Arc<Api>) -> u16 {
        let request = Request::post("/api/v1/generation/bump")
            .header(CONTENT_TYPE, "application/json")
            .header(CHANGE_HEADER, "1")
            .extension(Peer::User("anna".into()));
        handle(State(Arc::clone(api)), request.body(Body::from("{}")).unwrap()).await.status().as_u16()
    }

    /// All places of those who ask at the same time.
    async fn crowd(api: &Api) -> OwnedSemaphorePermit {
        Arc::clone(&api.room).acquire_many_owned(AT_A_TIME as u32).await.unwrap()
    }

    #[tokio::test]
    async fn a_change_goes_on_where_its_caller_hangs_up() {
        let (api, hub) = api();
        let others = crowd(&api).await;
        assert!(timeout(AWHILE, bump(&api)).await.is_err(), "the caller hangs up");
        assert_eq!((api.changes.len(), hub.generation().bumped_at), (1, 0));
        drop(others);
        api.end().await;
        assert!(api.changes.is_empty() && hub.generation().bumped_at > 0);
    }

    #[tokio::test]
    async fn no_change_outlives_the_server() {
        let (api, hub) = api();
        let _others = crowd(&api).await;
        let (status, ()) = tokio::join!(bump(&api), async {
            tokio::time::sleep(AWHILE).await;
            api.leave.cancel();
        });
        assert_eq!((status, api.changes.is_empty(), hub.generation().bumped_at), (503, true, 0));
    }

    #[test]
    fn only_pages_of_our_own_ask() {
        let comes = |host: &str, fields: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            for (name, value) in fields {
                headers.insert(*name, value.parse().unwrap());
            }
            comes_from_another_site(&headers)
        };
        let origin = |origin| [("origin", origin)];
        assert!(!comes("mx1:9101", &[]));
        for own in ["http://mx1:9101", "https://MX1:9101"] {
            assert!(!comes("mx1:9101", &origin(own)), "{own}");
        }
        assert!(!comes("[::1]:9101", &origin("http://[::1]:9101")));
        for other in ["http://mx1", "http://mx1:9102", "http://mx1:9101.evil.example", "null", "mx1:9101", ""]
        {
            assert!(comes("mx1:9101", &origin(other)), "{other}");
        }
        for (site, other) in
            [("same-origin", false), ("none", false), ("same-site", true), ("cross-site", true), ("x", true)]
        {
            assert_eq!(comes("mx1:9101", &[("sec-fetch-site", site)]), other, "{site}");
        }
        // Both say so.
        assert!(comes("mx1", &[("origin", "http://mx1"), ("sec-fetch-site", "cross-site")]));
    }
}
