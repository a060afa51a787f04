// SPDX-License-Identifier: GPL-3.0-or-later
//! The HTTP side of the stand-in: connections, routes, faults.
//!
//! Connections are served by hyper itself rather than by `axum::serve`, because a fault can be "no answer at all": a
//! service that fails closes its connection. Aborting [`serve`] closes the listener and all connections with it, and so
//! does a file that kills the scanner; then the listener comes back by itself.

use super::{
    drift::Drift,
    rules::Assessment,
    scans::{Answer, Busy, Progress, Scans, Upload},
    settings::{Asked, Fault, FaultPlan, Shape},
    shapes::{self, Generation},
    uploads::Origin,
};
use axum::{
    Extension, Json, Router,
    extract::{DefaultBodyLimit, Multipart, Query, Request, State, multipart::MultipartError},
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::{get, post, put},
};
use bytes::Bytes;
use hyper::service::Service as _;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{convert::Infallible, future::pending, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

type Server = Arc<Scans>;

/// What ids begin with that are strings.
const TEXT_ID: &str = "scan-";

/// Between two tries at a port that somebody else has.
const PORT_PAUSE: Duration = Duration::from_millis(50);

/// Why a connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("down, as wished")]
struct Down;

/// What an answer carries that must not be sent: its connection is closed instead.
#[derive(Clone, Copy)]
struct HungUp;

/// Serves until it is dropped. A file that kills the scanner closes everything for a while.
pub(super) async fn serve(
    mut listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    scans: Server,
) {
    loop {
        serve_until_crash(listener, tls.as_ref(), &scans).await;
        scans.restart();
        tokio::time::sleep(scans.settings().restart).await;
        listener = bound(address).await;
    }
}

async fn serve_until_crash(listener: TcpListener, tls: Option<&TlsAcceptor>, scans: &Server) {
    let mut connections = JoinSet::new();
    let routes = routes(Arc::clone(scans));
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(accept(stream, tls.cloned(), routes.clone(), Arc::clone(scans)));
            },
            Some(_) = connections.join_next() => (),
            () = scans.crashed() => break,
        }
    }
    drop(listener);
    connections.shutdown().await;
}

/// The port may be somebody's for a moment, whose connection got it by chance.
async fn bound(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => tracing::debug!(%error, "the port is not free yet"),
        }
        tokio::time::sleep(PORT_PAUSE).await;
    }
}

async fn accept(stream: TcpStream, tls: Option<TlsAcceptor>, routes: Router, scans: Server) {
    stream.set_nodelay(true).ok();
    let Some(tls) = tls else { return connection(stream, routes, scans).await };
    match tls.accept(stream).await {
        Ok(stream) => connection(stream, routes, scans).await,
        Err(error) => tracing::debug!(%error, "no TLS"),
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    routes: Router,
    scans: Server,
) {
    let routes = TowerToHyperService::new(routes);
    let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        let path = request.uri().path();
        let api = path.starts_with("/api/");
        let scan = api && (path.ends_with("/check") || path.ends_with("/checkAsync"));
        let origin = Origin::of_query(request.uri().query());
        let asked = if scan { Asked::Scan(origin.clone()) } else { Asked::Other };
        let fault = if api { scans.meet(&asked) } else { Fault::None };
        request.extensions_mut().insert(fault);
        request.extensions_mut().insert(origin);
        let answer = routes.call(request);
        async move {
            if fault == Fault::Down {
                return Err(Down);
            }
            let answer = answer.await.map_err(|never: Infallible| match never {})?;
            if answer.extensions().get::<HungUp>().is_some() { Err(Down) } else { Ok(answer) }
        }
    });
    let served =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}

fn routes(scans: Server) -> Router {
    let api = |generation| {
        Router::new()
            .route("/check", post(check))
            .route("/checkAsync", post(check_later))
            .route("/getAsyncResults", get(result))
            .route("/info", get(info))
            .route("/status", get(status))
            .route("/queueHistory", get(history))
            .route("/sampleHistory", get(history))
            .route("/deniedHistory", get(history))
            .layer(axum::middleware::from_fn_with_state(Arc::clone(&scans), gate))
            .layer(Extension(generation))
    };
    Router::new()
        .nest("/api/v1", api(Generation::V1))
        .nest("/api", api(Generation::Old))
        .route("/", get(page))
        .route("/stand-in/settings", put(set).get(settings))
        .route("/stand-in/fault", put(plan))
        .route("/stand-in/uploads", get(uploads))
        .route("/stand-in/elsewhere", get(elsewhere).post(elsewhere))
        .layer(DefaultBodyLimit::disable())
        .with_state(scans)
}

/// Lets through whoever may come in, to what the served generation has, unless it hangs.
async fn gate(
    State(scans): State<Server>,
    Extension(generation): Extension<Generation>,
    Extension(fault): Extension<Fault>,
    request: Request,
    next: axum::middleware::Next,
) -> Response {
    let served = match scans.settings().shape {
        Shape::Both => true,
        Shape::Old => generation == Generation::Old,
        Shape::V1 => generation == Generation::V1,
    };
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let settings = scans.settings();
    match fault {
        _ if settings.authorization.is_some() && settings.authorization.as_deref() != given => {
            StatusCode::UNAUTHORIZED.into_response()
        }
        _ if !served => StatusCode::NOT_FOUND.into_response(),
        Fault::Hang => pending().await,
        _ => next.run(request).await,
    }
}

async fn check(
    State(scans): State<Server>,
    Extension(generation): Extension<Generation>,
    Extension(fault): Extension<Fault>,
    Extension(origin): Extension<Origin>,
    form: Multipart,
) -> Response {
    let upload = match only_file(origin, form).await {
        Ok(upload) => upload,
        Err(why) => return failure(StatusCode::BAD_REQUEST, &why),
    };
    if let Some(refusal) = refusal(&scans, fault) {
        return refusal;
    }
    match scans.check(upload.clone()).await {
        Err(Busy) => busy(&scans),
        Ok(Answer::Assessed(answer)) => spoiled(fault, &scans, generation, &upload, answer.as_ref()),
        Ok(Answer::Refused) => failure(StatusCode::INTERNAL_SERVER_ERROR, "internal error"),
        Ok(Answer::Error) => Json(Drift::ErrorAlone.apply(json!([]))).into_response(),
        Ok(Answer::HungUp) => {
            let mut response = StatusCode::OK.into_response();
            response.extensions_mut().insert(HungUp);
            response
        }
    }
}

async fn check_later(
    State(scans): State<Server>,
    Extension(fault): Extension<Fault>,
    Extension(origin): Extension<Origin>,
    form: Multipart,
) -> Response {
    if !scans.settings().asynchronous {
        return StatusCode::NOT_FOUND.into_response();
    }
    let upload = match only_file(origin, form).await {
        Ok(upload) => upload,
        Err(why) => return failure(StatusCode::BAD_REQUEST, &why),
    };
    match refusal(&scans, fault) {
        Some(refusal) => refusal,
        None => {
            let id = scans.check_later(upload);
            let text = scans.settings().drift == Some(Drift::TextIds);
            let id = if text { format!("{TEXT_ID}{id}").into() } else { Value::from(id) };
            Json(json!({ "id": id })).into_response()
        }
    }
}

#[derive(Deserialize)]
struct Ask {
    id: Option<String>,
}

async fn result(
    State(scans): State<Server>,
    Extension(generation): Extension<Generation>,
    Query(ask): Query<Ask>,
) -> Response {
    let id = ask.id.and_then(|id| id.strip_prefix(TEXT_ID).unwrap_or(&id).parse().ok());
    let answer = match id.and_then(|id| scans.result(id)) {
        None => {
            return failure(
                StatusCode::BAD_REQUEST,
                "no id specified, or id invalid or not present in cache",
            );
        }
        Some(Progress::Waiting) => json!({ "status": "Waiting for execution" }),
        Some(Progress::Scanning) => json!({ "status": "Currently being scanned" }),
        Some(Progress::Done(upload, Answer::Assessed(answer))) => json!({
            "status": "Sample analysis complete",
            "result": findings(&scans, generation, &upload, answer.as_ref()),
        }),
        Some(Progress::Done(..)) => json!({ "status": "Sample analysis failed" }),
    };
    Json(answer).into_response()
}

async fn info(State(scans): State<Server>, Extension(generation): Extension<Generation>) -> Json<Value> {
    Json(shapes::info(generation, &scans.settings()))
}

async fn status(State(scans): State<Server>, Extension(generation): Extension<Generation>) -> Json<Value> {
    Json(shapes::status(generation, scans.counters()))
}

async fn history() -> Json<Value> {
    Json(json!({}))
}

async fn page() -> Html<&'static str> {
    Html("<!doctype html><title>stand-in</title><p>A stand-in for THOR Thunderstorm. It is no scanner.\n")
}

async fn settings(State(scans): State<Server>) -> Response {
    Json(scans.settings()).into_response()
}

async fn set(
    State(scans): State<Server>,
    Json(patch): Json<serde_json::Map<String, Value>>,
) -> Result<Response, (StatusCode, String)> {
    let settings =
        scans.settings().patched(patch).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    scans.set(settings.clone());
    Ok(Json(settings).into_response())
}

async fn plan(State(scans): State<Server>, Json(plan): Json<FaultPlan>) -> StatusCode {
    scans.plan(plan);
    StatusCode::NO_CONTENT
}

async fn uploads(State(scans): State<Server>) -> Json<Value> {
    Json(scans.uploads().to_json())
}

/// Bytes of an answer with [`Fault::Huge`].
const HUGE: usize = 15 << 20;

/// Where [`Fault::Redirect`] leads: a client that follows takes every sample for clean.
async fn elsewhere() -> Json<Value> {
    Json(json!([]))
}

/// The one part of a form, named `file`.
async fn only_file(origin: Origin, mut form: Multipart) -> Result<Upload, String> {
    let broken = |error: MultipartError| error.body_text();
    let mut file = None;
    while let Some(part) = form.next_field().await.map_err(broken)? {
        if part.name() != Some("file") || file.is_some() {
            return Err("expected exactly one part, named file".to_owned());
        }
        let name = part.file_name().unwrap_or_default().to_owned();
        let bytes = part.bytes().await.map_err(broken)?;
        file = Some(Upload { origin: origin.clone(), name, bytes });
    }
    file.ok_or_else(|| "no file".to_owned())
}

/// The answer instead of a scan, where the fault asks for one.
fn refusal(scans: &Scans, fault: Fault) -> Option<Response> {
    match fault {
        Fault::Status(code) => {
            let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Some(failure(code, "as wished"))
        }
        Fault::Busy503 => Some(busy(scans)),
        Fault::Redirect => {
            let to = [(header::LOCATION, "/stand-in/elsewhere")];
            Some((StatusCode::TEMPORARY_REDIRECT, to).into_response())
        }
        _ => None,
    }
}

fn busy(scans: &Scans) -> Response {
    scans.deny();
    let mut headers = HeaderMap::new();
    if let Some(seconds) = scans.settings().retry_after {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    let body = Json(json!({ "message": "Too many simultaneous requests, retry later" }));
    (StatusCode::SERVICE_UNAVAILABLE, headers, body).into_response()
}

fn failure(code: StatusCode, message: &str) -> Response {
    (code, Json(json!({ "message": message }))).into_response()
}

fn findings(scans: &Scans, generation: Generation, upload: &Upload, answer: Option<&Assessment>) -> Value {
    let settings = scans.settings();
    let usual = shapes::findings(generation, &upload.name, &upload.bytes, answer, settings.max_reasons);
    match settings.drift {
        Some(drift) => drift.apply(usual),
        None => usual,
    }
}

/// The answer to a scan, as the fault distorts it.
fn spoiled(
    fault: Fault,
    scans: &Scans,
    generation: Generation,
    upload: &Upload,
    answer: Option<&Assessment>,
) -> Response {
    let honest = findings(scans, generation, upload, answer);
    match fault {
        Fault::Html => {
            Html("<!doctype html><title>Sign in</title><form method=post></form>\n").into_response()
        }
        Fault::NotAnArray => Json(json!({ "findings": honest })).into_response(),
        Fault::TruncatedJson => {
            let text = honest.to_string();
            let half = text[..text.floor_char_boundary(text.len() / 2)].to_owned();
            ([(header::CONTENT_TYPE, "application/json")], half).into_response()
        }
        Fault::Huge => {
            let text = format!("[{}0]", "0,".repeat(HUGE / 2));
            ([(header::CONTENT_TYPE, "application/json")], text).into_response()
        }
        Fault::WrongHash => {
            let cut = Upload { bytes: Bytes::from_static(b"other bytes"), ..upload.clone() };
            let weak = Assessment { level: "Notice", score: 40, matches: Vec::new() };
            Json(findings(scans, generation, &cut, Some(answer.unwrap_or(&weak)))).into_response()
        }
        _ => Json(honest).into_response(),
    }
}
