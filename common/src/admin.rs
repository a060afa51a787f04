// SPDX-License-Identifier: GPL-3.0-or-later
//! The admin HTTP server: `/live` says that the process runs, `/ready` whether it can do its work (503 with the reason
//! where it cannot), `/metrics` what it counts, in the format that is asked for. `/` is a page for people, which asks `/status`. It
//! only tells and changes nothing, and stays up while the process drains.
//!
//! `/live` and `/ready` answer everybody who can reach them; [`access`] says who may ask for the rest, [`connections`] how
//! many at a time and how slowly.

mod access;
mod connections;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod hub_view;
mod page;
pub mod settings;
pub mod status;
mod summary;

pub(crate) use connections::MOST as MOST_CONNECTIONS;

use crate::{
    config::Fault,
    metrics::exposition::{self, Format},
    reload,
};
use access::Access;
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use header::CONTENT_TYPE;
use prometheus_client::registry::Registry;
use status::Subject;
use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, sync::Mutex};
use tokio_util::sync::CancellationToken;

/// So long is a status given to whoever asks: many pages are no more work for the hub than one.
const FRESH: Duration = Duration::from_secs(1);

/// Says whether the process can do its work, or why not. Asked for each request: keep it quick.
pub type Ready = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Why there is no admin server.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {address} (admin.listen)")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// `admin.token_file` cannot be used any more.
    #[error("{}", .0.message)]
    Token(Fault),
}

/// A bound admin server.
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    access: Arc<Access>,
}

struct Site {
    registry: Arc<Registry>,
    ready: Ready,
    subject: Arc<dyn Subject>,
    status: Mutex<Option<(Instant, String)>>,
}

impl Admin {
    /// Binds `config.listen`; none where that is empty.
    ///
    /// # Errors
    ///
    /// [`AdminError`].
    pub async fn bind(config: &settings::Admin) -> Result<Option<Self>, AdminError> {
        let Some(address) = config.listen else { return Ok(None) };
        let failed = |source| AdminError::Listen { address, source };
        let token = config.token().map_err(AdminError::Token)?;
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let access = Arc::new(Access::new(token, address));
        Ok(Some(Self { listener, address, access }))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown`.
    pub async fn serve(
        self,
        registry: Arc<Registry>,
        ready: Ready,
        subject: Arc<dyn Subject>,
        shutdown: CancellationToken,
    ) {
        connections::serve(self.listener, site(self.access, registry, ready, subject), shutdown).await;
    }
}

/// All that is answered.
fn site(access: Arc<Access>, registry: Arc<Registry>, ready: Ready, subject: Arc<dyn Subject>) -> Router {
    Router::new()
        .route("/", get(page::page))
        .route("/status", get(status_of))
        .route("/metrics", get(metrics))
        .route_layer(middleware::from_fn_with_state(access, access::guard))
        .route("/live", get(|| async { "live\n" }))
        .route("/ready", get(readiness))
        .layer(middleware::from_fn(connections::unambiguous))
        .layer(middleware::map_response(async |answer| hardened(answer)))
        .with_state(Arc::new(Site { registry, ready, subject, status: Mutex::default() }))
}

async fn readiness(State(site): State<Arc<Site>>) -> Response {
    match (site.ready)() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn status_of(State(site): State<Arc<Site>>) -> Response {
    let mut known = site.status.lock().await;
    let fresh = known.take_if(|(at, _)| at.elapsed() < FRESH);
    let (at, text) = match fresh {
        Some(fresh) => fresh,
        None => {
            let mut status = site.subject.status().await;
            status.not_ready = (site.ready)().err();
            status.config_refused = reload::refused();
            status.remarks = summary::remarks(&status);
            let text = serde_json::to_string(&status).expect("texts and numbers always serialise");
            (Instant::now(), text)
        }
    };
    *known = Some((at, text.clone()));
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}

/// No answer is kept, guessed at, or of use to other sites.
fn hardened(mut answer: Response) -> Response {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

async fn metrics(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    let format = Format::accepted(headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()));
    let text = exposition::write(&site.registry, (site.ready)().is_ok(), format);
    ([(CONTENT_TYPE, format.media_type())], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, future::BoxFuture};
    use prometheus_client::metrics::counter::Counter;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        task::JoinSet,
    };

    /// Counts how often it is asked.
    #[derive(Default)]
    struct Asked(std::sync::atomic::AtomicU64);

    impl Subject for Asked {
        fn status(&self) -> BoxFuture<'_, status::Status> {
            let at_ms = 1 + self.0.fetch_add(1, Ordering::Relaxed);
            async move { status::Status { at_ms, ..status::Status::default() } }.boxed()
        }
    }

    async fn fetch(address: SocketAddr, path: &str) -> String {
        request(address, &format!("GET {path}"), "127.0.0.1").await
    }

    async fn request(address: SocketAddr, what: &str, host: &str) -> String {
        raw(address, &format!("{what} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await
    }

    async fn raw(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await; // a connection may be reset
        answer
    }

    #[tokio::test]
    async fn it_tells_life_readiness_and_metrics_until_it_is_shut_down() {
        let config = settings::Admin { listen: Some("127.0.0.1:0".parse().unwrap()), token_file: None };
        let admin = Admin::bind(&config).await.unwrap().unwrap();
        let address = admin.address();
        let mut registry = Registry::default();
        let messages = Counter::<u64>::default();
        registry.register("messages", "Messages decided", messages.clone());
        messages.inc();
        let (up, shutdown) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
        let told = up.clone();
        let ready: Ready =
            Arc::new(
                move || {
                    if told.load(Ordering::Relaxed) { Ok(()) } else { Err("hub unreachable".to_owned()) }
                },
            );
        let mut tasks = JoinSet::new();
        let subject = Arc::<Asked>::default();
        tasks.spawn(admin.serve(Arc::new(registry), ready, subject, shutdown.clone()));

        assert!(fetch(address, "/live").await.starts_with("HTTP/1.1 200 "));
        let answer = fetch(address, "/ready").await;
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("hub unreachable"), "{answer}");
        up.store(true, Ordering::Relaxed);
        assert!(fetch(address, "/ready").await.starts_with("HTTP/1.1 200 "));
        let answer = fetch(address, "/metrics").await;
        assert!(answer.contains(Format::Prometheus.media_type()), "{answer}");
        assert!(
            answer.contains("messages_total 1\n") && answer.contains("thundergate_ready 1\n"),
            "{answer}"
        );
        assert!(fetch(address, "/nothing").await.starts_with("HTTP/1.1 404 "));

        let answer = fetch(address, "/").await;
        assert!(answer.contains("content-security-policy: default-src 'none';"), "{answer}");
        assert!(answer.contains("cache-control: no-store") && answer.contains("nosniff"), "{answer}");
        // Whoever asks at the same time gets the same.
        for _ in 0..2 {
            assert!(fetch(address, "/status").await.contains("\"at_ms\":1,"));
        }
        for path in ["/", "/status", "/metrics"] {
            assert!(request(address, &format!("HEAD {path}"), "[::1]").await.ends_with("\r\n\r\n"));
            assert!(
                request(address, &format!("POST {path}"), "localhost").await.starts_with("HTTP/1.1 405 ")
            );
            assert!(
                request(address, &format!("GET {path}"), "evil.example").await.starts_with("HTTP/1.1 403 ")
            );
        }
        assert!(request(address, "GET /live", "evil.example").await.starts_with("HTTP/1.1 200 "));
        for ambiguous in [
            "GET /live HTTP/1.0\r\nHost: localhost\r\n\r\n",
            "GET /live HTTP/1.1\r\nConnection: close\r\n\r\n",
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\nhost: localhost\r\nConnection: close\r\n\r\n",
        ] {
            let answer = raw(address, ambiguous).await;
            assert!(answer.contains(" 400 "), "{ambiguous:?} {answer}");
        }
        let h2 = raw(address, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        assert!(h2.is_empty() || h2.contains(" 400 "), "{h2:?}");

        let _idle = TcpStream::connect(address).await.unwrap();
        shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(10), tasks.join_next()).await.unwrap();
    }

    #[tokio::test]
    async fn an_empty_address_means_no_server() {
        assert!(Admin::bind(&settings::Admin { listen: None, token_file: None }).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = other.local_addr().unwrap();
        let error =
            Admin::bind(&settings::Admin { listen: Some(address), token_file: None }).await.err().unwrap();
        assert_eq!(error.to_string(), format!("cannot listen on {address} (admin.listen)"));
    }
}
