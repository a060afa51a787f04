// SPDX-License-Identifier: GPL-3.0-or-later
//! The server as its clients meet it, over real sockets.

mod api;
mod audit;
mod document;
mod pages;
mod table;
mod tls;

use super::{
    fuzzing::hub,
    settings,
    status::{Status, Subject},
    *,
};
use crate::{hub::memory::MemoryHub, telemetry::Entry};
use futures_util::{FutureExt, future::BoxFuture};
use std::sync::{
    Mutex as Lock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

const PATIENCE: Duration = Duration::from_secs(10);

/// Counts how often it is asked.
#[derive(Default)]
struct Asked(AtomicU64);

impl Subject for Asked {
    fn status(&self) -> BoxFuture<'_, Status> {
        let at_ms = 1 + self.0.fetch_add(1, Ordering::Relaxed);
        async move { Status { at_ms, ..Status::default() } }.boxed()
    }
}

/// Keeps what it is told, unless its disk is full.
#[derive(Default)]
struct Notebook {
    entries: Lock<Vec<Entry>>,
    full: AtomicBool,
}

impl Journal for Notebook {
    fn write(&self, entry: Entry) -> BoxFuture<'_, bool> {
        let full = self.full.load(Ordering::Relaxed);
        if !full {
            self.entries.lock().unwrap().push(entry);
        }
        async move { !full }.boxed()
    }
}

impl Notebook {
    /// The value of a field in each entry.
    fn all(&self, field: &str) -> Vec<String> {
        let entries = self.entries.lock().unwrap();
        let value = |entry: &Entry| entry.fields.iter().find(|(name, _)| *name == field).unwrap().1.clone();
        entries.iter().map(value).collect()
    }
}

/// A server, with a folder for its files.
struct Server {
    folder: TempDir,
    address: Option<SocketAddr>,
    notebook: Arc<Notebook>,
    hub: Arc<MemoryHub>,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
}

impl Server {
    /// With these settings, `FOLDER` in them being its folder; `files` are put there.
    async fn start(settings: &str, files: &[(&str, &str)]) -> Self {
        Self::with(settings, files, |backend| backend).await
    }

    async fn with(settings: &str, files: &[(&str, &str)], change: impl Fn(Backend) -> Backend) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let settings = settings.replace("FOLDER", folder.path().to_str().unwrap());
        let admin = Admin::bind(&toml::from_str(&settings).unwrap(), Vec::new()).await.unwrap().unwrap();
        let (address, hub) = (admin.address(), hub());
        let (notebook, shutdown) = (Arc::<Notebook>::default(), CancellationToken::new());
        let site = Site {
            registry: Arc::default(),
            ready: Arc::new(|| Ok(())),
            subject: Arc::<Asked>::default(),
            backend: change(Backend { hub: Some(hub.clone()), ..Backend::default() }),
            journal: Some(notebook.clone()),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(admin.serve(site, shutdown.clone()));
        Self { folder, address, notebook, hub, shutdown, tasks }
    }

    /// On loopback and at a socket, with the token `read-token-1234567` and others.
    async fn usual() -> Self {
        let settings = "listen = '127.0.0.1:0'\nsocket = 'FOLDER/admin.sock'\ntokens_file = 'FOLDER/tokens'";
        Self::start(settings, &[("tokens", &tokens())]).await
    }

    fn address(&self) -> SocketAddr {
        self.address.unwrap()
    }

    async fn socket(&self) -> UnixStream {
        UnixStream::connect(self.folder.path().join("admin.sock")).await.unwrap()
    }

    /// A request over the socket, and its answer's status and body.
    async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, serde_json::Value) {
        let request = asked(method, path, "localhost", &[], body);
        let answer = talk(self.socket().await, &request).await;
        let (_, text) = answer.split_once("\r\n\r\n").unwrap_or_default();
        (status(&answer), serde_json::from_str(text).unwrap_or_default())
    }

    async fn end(mut self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.tasks.join_next()).await.unwrap();
    }
}

/// A token of each scope: its scope, its name and `-1234567890`.
fn tokens() -> String {
    let line = |scope: &str| {
        let token = format!("{scope}-1234567890");
        format!("{scope}-token {scope} {}\n", crate::digest::Digest::of(token.as_bytes()))
    };
    ["metrics", "read", "operator"].map(line).concat()
}

/// A request with all that a change needs, and these header fields.
fn asked(method: &str, path: &str, host: &str, fields: &[(&str, &str)], body: &str) -> String {
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    if method == "POST" {
        let length = body.len();
        request += &format!(
            "content-type: application/json\r\nthundergate-change: yes\r\ncontent-length: {length}\r\n"
        );
    }
    for (name, value) in fields {
        request += &format!("{name}: {value}\r\n");
    }
    request + "\r\n" + body
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    let conversation = async {
        let _ = stream.write_all(request.as_bytes()).await; // it may have been refused already
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await; // a connection may be reset
        String::from_utf8(answer).unwrap()
    };
    tokio::time::timeout(PATIENCE, conversation).await.unwrap()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

async fn fetch(address: SocketAddr, path: &str) -> String {
    request(address, &format!("GET {path}"), "127.0.0.1").await
}

async fn request(address: SocketAddr, what: &str, host: &str) -> String {
    raw(address, &format!("{what} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await
}

async fn raw(address: SocketAddr, request: &str) -> String {
    talk(TcpStream::connect(address).await.unwrap(), request).await
}
