// SPDX-License-Identifier: GPL-3.0-or-later
//! What whoever reaches the admin server can send. Built for tests and for fuzzing only.

use super::{
    access::Access,
    connections, site,
    status::{Status, Subject},
};
use futures_util::{FutureExt, future::BoxFuture};
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    runtime::Builder,
};
use tokio_util::sync::CancellationToken;

/// Stands in every answer that only those get who may ask.
const SECRET: &str = "known_to_few";

/// How long all answers may take.
const PATIENCE: Duration = Duration::from_secs(5);

struct Nobody;

impl Subject for Nobody {
    fn status(&self) -> BoxFuture<'_, Status> {
        async { Status { hub_error: Some(SECRET.to_owned()), ..Status::default() } }.boxed()
    }
}

/// A connection that sends `data` and ends: it is answered in HTTP/1.1 or not at all, without an error of ours, and without
/// the token tells nothing but life and readiness.
pub fn requests(data: &[u8]) {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let answers = runtime.block_on(async {
        let (mut client, server) = duplex(1 << 16);
        let shutdown = CancellationToken::new();
        let ask = async {
            let _ = client.write_all(data).await; // it may be over before
            let _ = client.shutdown().await;
            let mut answers = Vec::new();
            let _ = client.read_to_end(&mut answers).await;
            answers
        };
        let answer = connections::converse(server, protected(), Arc::default(), shutdown.clone());
        let both = async { tokio::join!(ask, answer).0 };
        tokio::time::timeout(PATIENCE, both).await.expect("a connection ends with its client")
    });
    let answers = String::from_utf8_lossy(&answers);
    assert!(answers.is_empty() || answers.starts_with("HTTP/1.1 "), "{answers}");
    assert!(!answers.contains("HTTP/1.1 50"), "{answers}");
    assert!(!answers.contains(SECRET), "{answers}");
}

/// A site with a token that nobody knows.
fn protected() -> axum::Router {
    let mut registry = Registry::default();
    registry.register(SECRET, "A metric", Gauge::<i64>::default());
    let token = "0d9f8e7c6b5a49382716051423324150";
    let address = ([127, 0, 0, 1], 9101).into();
    let access = Arc::new(Access::new(Some(token.into()), address));
    site(access, Arc::new(registry), Arc::new(|| Ok(())), Arc::new(Nobody))
}
