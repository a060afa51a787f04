// SPDX-License-Identifier: GPL-3.0-or-later
//! The admin HTTP server: `/live` says that the process runs, `/ready` whether it can do its work (503 with the reason
//! where it cannot), `/metrics` what it counts, in the format that is asked for. It stays up while the process drains.

use crate::{
    config,
    metrics::exposition::{self, Format},
};
use axum::{
    Router,
    extract::State,
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::registry::Registry;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long a request that is under way at the end may still take.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Says whether the process can do its work, or why not. Asked for each request: keep it quick.
pub type Ready = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The address is taken, or not this machine's.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (admin.listen)")]
pub struct AdminError {
    address: SocketAddr,
    source: io::Error,
}

/// A bound admin server.
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

struct Site {
    registry: Arc<Registry>,
    ready: Ready,
}

impl Admin {
    /// Binds `config.listen`; none where that is empty.
    ///
    /// # Errors
    ///
    /// [`AdminError`].
    pub async fn bind(config: &config::Admin) -> Result<Option<Self>, AdminError> {
        let Some(address) = config.listen else { return Ok(None) };
        let failed = |source| AdminError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Some(Self { listener, address }))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown`.
    pub async fn serve(self, registry: Arc<Registry>, ready: Ready, shutdown: CancellationToken) {
        let site = Router::new()
            .route("/live", get(|| async { "live\n" }))
            .route("/ready", get(readiness))
            .route("/metrics", get(metrics))
            .with_state(Arc::new(Site { registry, ready }));
        let server =
            axum::serve(self.listener, site).with_graceful_shutdown(shutdown.clone().cancelled_owned());
        let too_late = async {
            shutdown.cancelled().await;
            tokio::time::sleep(LAST_ANSWERS).await;
        };
        tokio::select! {
            result = server => if let Err(error) = result {
                tracing::error!(%error, "The admin server failed");
            },
            () = too_late => {}
        }
    }
}

async fn readiness(State(site): State<Arc<Site>>) -> Response {
    match (site.ready)() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn metrics(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    let format = Format::accepted(headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()));
    let text = exposition::write(&site.registry, (site.ready)().is_ok(), format);
    ([(CONTENT_TYPE, format.media_type())], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::counter::Counter;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        task::JoinSet,
    };

    async fn fetch(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn it_tells_life_readiness_and_metrics_until_it_is_shut_down() {
        let config = config::Admin { listen: Some("127.0.0.1:0".parse().unwrap()) };
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
        tasks.spawn(admin.serve(Arc::new(registry), ready, shutdown.clone()));

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
        assert!(fetch(address, "/").await.starts_with("HTTP/1.1 404 "));

        let _idle = TcpStream::connect(address).await.unwrap();
        shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(10), tasks.join_next()).await.unwrap();
    }

    #[tokio::test]
    async fn an_empty_address_means_no_server() {
        assert!(Admin::bind(&config::Admin { listen: None }).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = other.local_addr().unwrap();
        let error = Admin::bind(&config::Admin { listen: Some(address) }).await.err().unwrap();
        assert_eq!(error.to_string(), format!("cannot listen on {address} (admin.listen)"));
    }
}
