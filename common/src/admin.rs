// SPDX-License-Identifier: GPL-3.0-or-later
//! The admin HTTP server: `/live` says that the process runs, `/ready` whether it can do its work (503 with the reason
//! where it cannot), `/metrics` what it counts, in the format that is asked for. `/` is a page for people, which asks
//! `/status`. Below [`PREFIX`] is the API. The server stays up while the process drains.
//!
//! | module | owns |
//! |---|---|
//! | [`access`] | who asks, and who may; [`tokens`] and [`peer`] know them, [`tls`] shows who we are |
//! | [`connections`] | how many at a time and how slowly; [`doors`] where they come in, [`conversation`] what each is |
//! | `api` | the API's order of questions: who, what, how, whether it is written down |
//! | [`audit`] | what is written down |
//! | [`backend`] | what is done; `order` is what is to be done, `retold` and `refusal` are answers |
//! | [`status`], [`hub_view`], `summary`, `page` | how a program is, for people |

mod access;
mod api;
pub mod audit;
pub mod backend;
mod connections;
mod conversation;
mod doors;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod hub_view;
mod order;
mod page;
mod peer;
mod refusal;
mod retold;
pub mod settings;
pub mod status;
mod summary;
#[cfg(test)]
mod tests;
mod tls;
mod tokens;

pub use access::Access;
pub(crate) use connections::MOST as MOST_CONNECTIONS;

use crate::{
    api::PREFIX,
    config::Fault,
    metrics::exposition::{self, Format},
    reload, sockets,
};
use api::Api;
use audit::{Audit, Journal};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{any, get},
};
use backend::Backend;
use doors::{Door, Removed};
use header::CONTENT_TYPE;
use prometheus_client::registry::Registry;
use status::Subject;
use std::{
    io,
    net::SocketAddr,
    os::unix,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::Mutex,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// So long is a status given to whoever asks: many pages are no more work for the hub than one.
const FRESH: Duration = Duration::from_secs(1);

/// Of a socket that systemd does not make: whoever is in the program's group may open it.
const SOCKET_MODE: u32 = 0o660;

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
    /// The socket cannot be made, or the one that was passed on cannot be used.
    #[error("cannot listen on {} (admin.socket)", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file of tokens, the certificate or its key cannot be used any more.
    #[error("{0}")]
    File(Fault),
}

/// A bound admin server.
pub struct Admin {
    doors: Vec<Door>,
    address: Option<SocketAddr>,
    sockets: Vec<PathBuf>,
    access: Arc<Access>,
}

/// What a server shows and does.
pub struct Site {
    /// For `/metrics`.
    pub registry: Arc<Registry>,
    /// For `/ready`.
    pub ready: Ready,
    /// For the page.
    pub subject: Arc<dyn Subject>,
    /// For the API.
    pub backend: Backend,
    /// Where the audit writes; without one nothing that is audited is done.
    pub journal: Option<Arc<dyn Journal>>,
}

struct Shown {
    registry: Arc<Registry>,
    ready: Ready,
    subject: Arc<dyn Subject>,
    status: Mutex<Option<(Instant, String)>>,
}

impl Admin {
    /// Binds `config.listen` and `config.socket`, beside the sockets that were `passed` on; none where there is nothing
    /// to listen at.
    ///
    /// # Errors
    ///
    /// [`AdminError`].
    pub async fn bind(
        config: &settings::Admin,
        passed: Vec<unix::net::UnixListener>,
    ) -> Result<Option<Self>, AdminError> {
        let mut doors = Vec::new();
        let mut sockets = Vec::new();
        for socket in passed {
            let path = path_of(&socket);
            doors.push(
                adopted(socket, None).map_err(|source| AdminError::Socket { path: path.clone(), source })?,
            );
            sockets.push(path);
        }
        if let Some(path) = config.socket.clone().filter(|path| !sockets.contains(path)) {
            let bound = sockets::bind_unix(&path, SOCKET_MODE)
                .and_then(|socket| adopted(socket, Some(Removed(path.clone()))));
            doors.push(bound.map_err(|source| AdminError::Socket { path: path.clone(), source })?);
            sockets.push(path);
        }
        let mut bound = None;
        if let Some(address) = config.listen {
            let failed = |source| AdminError::Listen { address, source };
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            bound = Some(listener.local_addr().map_err(failed)?);
            doors.push(Door::Tcp(listener));
        }
        if doors.is_empty() {
            return Ok(None);
        }
        let access = Arc::new(Access::new(config, bound)?);
        Ok(Some(Self { doors, address: bound, sockets, access }))
    }

    /// Where it listens, if anywhere on the network.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The sockets where it listens, with commas between them.
    pub fn socket_names(&self) -> String {
        self.sockets.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(",")
    }

    /// For reading its files again while it runs.
    pub fn access(&self) -> Arc<Access> {
        Arc::clone(&self.access)
    }

    /// Answers until `shutdown`, and waits for changes that are under way then.
    pub async fn serve(self, site: Site, shutdown: CancellationToken) {
        let (router, api) = routes(&self.access, site);
        let mut serving = JoinSet::new();
        for door in self.doors {
            let (access, router) = (Arc::clone(&self.access), router.clone());
            serving.spawn(connections::serve(door, access, router, shutdown.clone()));
        }
        while serving.join_next().await.is_some() {}
        api.end().await;
    }
}

fn adopted(socket: unix::net::UnixListener, file: Option<Removed>) -> io::Result<Door> {
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket).map(|listener| Door::Unix { listener, _file: file })
}

fn path_of(socket: &unix::net::UnixListener) -> PathBuf {
    let address = socket.local_addr().ok();
    address.as_ref().and_then(|address| address.as_pathname()).unwrap_or(Path::new("")).to_owned()
}

/// All that is answered.
fn routes(access: &Arc<Access>, site: Site) -> (Router, Arc<Api>) {
    let Site { registry, ready, subject, backend, journal } = site;
    let api = Arc::new(Api::new(Arc::clone(access), backend, Audit::new(journal)));
    let below =
        Router::new().route(&format!("{PREFIX}/{{*path}}"), any(api::handle)).with_state(Arc::clone(&api));
    let router = Router::new()
        .route("/", get(page::page))
        .route("/status", get(status_of))
        .route("/metrics", get(metrics))
        .route_layer(middleware::from_fn_with_state(Arc::clone(access), access::guard))
        .route("/live", get(|| async { "live\n" }))
        .route("/ready", get(readiness))
        .with_state(Arc::new(Shown { registry, ready, subject, status: Mutex::default() }))
        .merge(below)
        .layer(middleware::from_fn(connections::unambiguous))
        .layer(middleware::map_response(async |answer| hardened(answer)));
    (router, api)
}

async fn readiness(State(site): State<Arc<Shown>>) -> Response {
    match (site.ready)() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn status_of(State(site): State<Arc<Shown>>) -> Response {
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

async fn metrics(State(site): State<Arc<Shown>>, headers: HeaderMap) -> Response {
    let format = Format::accepted(headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()));
    let text = exposition::write(&site.registry, (site.ready)().is_ok(), format);
    ([(CONTENT_TYPE, format.media_type())], text).into_response()
}
