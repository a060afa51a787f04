// SPDX-License-Identifier: GPL-3.0-or-later
//! A Thunderstorm server that answers what a test tells it to, and remembers what it was sent.

use axum::{
    Router,
    body::Body,
    extract::{FromRequest, Multipart, Request, State},
    http::{Response, header::CONTENT_LENGTH},
};
use bytes::Bytes;
use serde_json::json;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use thundergate_common::{
    config,
    digest::Digest,
    sample::{NameHint, Sample, SampleKey},
};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};

/// One upload as it arrived.
#[derive(Clone, Debug)]
pub struct Upload {
    pub path: String,
    pub query: String,
    pub length: Option<usize>,
    pub part: String,
    pub name: String,
    pub kind: String,
    pub bytes: Bytes,
}

pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    /// The connection ends in the middle of the answer.
    hangs_up: bool,
}

type Answer = Box<dyn Fn(&Upload) -> Reply + Send + Sync>;

struct Site {
    /// `/api` or `/api/v1`.
    api: &'static str,
    answer: Mutex<Answer>,
    info: Mutex<Reply>,
    results: Mutex<Vec<Reply>>,
    uploads: Mutex<Vec<Upload>>,
    own: Mutex<Vec<Upload>>,
    infos: AtomicUsize,
    hangs: AtomicBool,
    frozen: AtomicBool,
    /// An upload is answered only with one of these.
    gate: Semaphore,
}

pub struct Stub {
    pub url: String,
    site: Arc<Site>,
    _server: JoinSet<()>,
}

impl Upload {
    /// Whether the worker sent it to learn of the scanner, not of the sample.
    pub fn is_own(&self) -> bool {
        self.query.contains("source=thundergate-")
    }
}

impl Reply {
    pub fn new(status: u16, body: impl ToString) -> Self {
        Self { status, headers: Vec::new(), body: body.to_string(), hangs_up: false }
    }

    /// No answer: the connection is closed, as a scanner does that has just died.
    pub fn hang_up() -> Self {
        Self { hangs_up: true, ..Self::new(200, "") }
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn response(&self) -> Response<Body> {
        let start = Response::builder().status(self.status);
        let start = self.headers.iter().fold(start, |start, (name, value)| start.header(*name, value));
        let body = if self.hangs_up {
            Body::from_stream(futures_util::stream::once(async { Err::<Bytes, _>("on request") }))
        } else {
            self.body.clone().into()
        };
        start.body(body).unwrap()
    }
}

impl Stub {
    /// A server of THOR 10 that calls everything clean.
    pub async fn start() -> Self {
        Self::start_with("/api").await
    }

    pub async fn start_with(api: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let site = Arc::new(Site {
            api,
            answer: Mutex::new(Box::new(|_| Reply::new(200, "[]"))),
            info: Mutex::new(info("2026/01/01-000000", 4)),
            results: Mutex::default(),
            uploads: Mutex::default(),
            own: Mutex::default(),
            infos: AtomicUsize::new(0),
            hangs: AtomicBool::new(false),
            frozen: AtomicBool::new(false),
            gate: Semaphore::new(1 << 20),
        });
        let router = Router::new().fallback(serve).with_state(Arc::clone(&site));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, site, _server: server }
    }

    pub fn answer(&self, answer: impl Fn(&Upload) -> Reply + Send + Sync + 'static) {
        *self.site.answer.lock().unwrap() = Box::new(answer);
    }

    pub fn info(&self, info: Reply) {
        *self.site.info.lock().unwrap() = info;
    }

    /// From now on `info` is never answered.
    pub fn hang_info(&self) {
        self.site.hangs.store(true, Ordering::Relaxed);
    }

    /// From now on nothing is ever answered, as by a process that was stopped.
    pub fn freeze(&self) {
        self.site.frozen.store(true, Ordering::Relaxed);
    }

    /// What `getAsyncResults` answers, one after the other; the last one again and again.
    pub fn results(&self, results: Vec<Reply>) {
        *self.site.results.lock().unwrap() = results;
    }

    pub fn uploads(&self) -> Vec<Upload> {
        self.site.uploads.lock().unwrap().clone()
    }

    /// What the worker sent to learn of the scanner, not of the sample.
    pub fn own_uploads(&self) -> Vec<Upload> {
        self.site.own.lock().unwrap().clone()
    }

    pub fn infos(&self) -> usize {
        self.site.infos.load(Ordering::Relaxed)
    }

    /// From now on uploads are held until [`Stub::let_pass`].
    pub fn hold(&self) {
        self.site.gate.forget_permits(1 << 20);
    }

    pub fn let_pass(&self, uploads: usize) {
        self.site.gate.add_permits(uploads);
    }
}

pub fn info(signatures: &str, threads: usize) -> Reply {
    let body = json!({"thor_version": "10.7.1", "signature_version": signatures, "threads": threads});
    Reply::new(200, body)
}

/// An alert about the file that was uploaded.
pub fn alert(upload: &Upload) -> Reply {
    let sha256 = Digest::of(&upload.bytes).to_string();
    alert_with(upload, &sha256)
}

pub fn alert_with(upload: &Upload, sha256: &str) -> Reply {
    Reply::new(
        200,
        json!([{"level": "Alert", "module": "Filescan", "message": "Malware file found", "score": 90,
                "context": {"file": upload.name, "sha256": sha256},
                "matches": [{"rulename": "R", "subscore": 90}]}]),
    )
}

async fn serve(State(site): State<Arc<Site>>, request: Request) -> Response<Body> {
    if site.frozen.load(Ordering::Relaxed) {
        return std::future::pending().await;
    }
    let path = request.uri().path().to_owned();
    match path.strip_prefix(site.api) {
        Some("/info") => {
            site.infos.fetch_add(1, Ordering::Relaxed);
            if site.hangs.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            site.info.lock().unwrap().response()
        }
        Some("/check" | "/checkAsync") => {
            let upload = receive(request).await;
            if upload.is_own() {
                site.own.lock().unwrap().push(upload.clone());
                return site.answer.lock().unwrap()(&upload).response();
            }
            site.uploads.lock().unwrap().push(upload.clone());
            site.gate.acquire().await.unwrap().forget();
            site.answer.lock().unwrap()(&upload).response()
        }
        Some("/getAsyncResults") => {
            let mut results = site.results.lock().unwrap();
            if results.len() > 1 { results.remove(0).response() } else { results[0].response() }
        }
        _ => Reply::new(404, "<html>not here</html>").response(),
    }
}

async fn receive(request: Request) -> Upload {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let mut parts = Multipart::from_request(request, &()).await.unwrap();
    let part = parts.next_field().await.unwrap().unwrap();
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let (name, kind) = (text(part.file_name()), text(part.content_type()));
    let upload = Upload {
        path,
        query,
        length,
        part: text(part.name()),
        name,
        kind,
        bytes: part.bytes().await.unwrap(),
    };
    assert!(parts.next_field().await.unwrap().is_none(), "one part only");
    upload
}

pub fn sample(bytes: &[u8]) -> Sample {
    let key = SampleKey { digest: Digest::of(bytes), hint: NameHint::Extension("exe".into()) };
    Sample { key, bytes: Bytes::copy_from_slice(bytes) }
}

/// A `[farm]` of these instances, each a TOML table, that is quick to probe.
pub fn farm(instances: &[String]) -> config::Farm {
    farm_with(instances, "")
}

pub fn farm_with(instances: &[String], keys: &str) -> config::Farm {
    let probe = if keys.contains("probe_interval") { "" } else { "probe_interval = \"50ms\"" };
    toml::from_str(&format!("instances = [{}]\n{probe}\n{keys}", instances.join(", "))).unwrap()
}

pub fn instance(name: &str, url: &str) -> String {
    format!("{{ name = {name:?}, url = {url:?} }}")
}
