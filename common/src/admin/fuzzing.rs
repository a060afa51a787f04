// SPDX-License-Identifier: GPL-3.0-or-later
//! What whoever reaches the admin server can send. Built for tests and for fuzzing only.

use super::{
    Site,
    access::Access,
    audit::Journal,
    backend::Backend,
    conversation,
    peer::Peer,
    routes,
    status::{Status, Subject},
    tokens::Tokens,
};
use crate::{
    clock::now_ms,
    hub::{Milter, memory::MemoryHub},
    record::{MailRecord, RecordId},
    telemetry::Entry,
};
use axum::Router;
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

/// How often the server has its turn before its client ends.
const TURNS: usize = 100;

struct Nobody;

impl Subject for Nobody {
    fn status(&self) -> BoxFuture<'_, Status> {
        async { Status { hub_error: Some(SECRET.to_owned()), ..Status::default() } }.boxed()
    }
}

/// Writes everything.
struct Patient;

impl Journal for Patient {
    fn write(&self, _: Entry) -> BoxFuture<'_, bool> {
        async { true }.boxed()
    }
}

/// Two connections that send `data` and end, one of a stranger and one of an operator: they are answered in HTTP/1 or not
/// at all, without an error of ours, and the stranger is told nothing but life and readiness.
pub fn requests(data: &[u8]) {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let stranger = Peer::Address { address: ([192, 0, 2, 1], 4711).into(), tls: true };
    for (peer, knows) in [(stranger, false), (Peer::User("anna".into()), true)] {
        let answers = runtime.block_on(conversation(data, peer));
        let answers = String::from_utf8_lossy(&answers);
        assert!(answers.is_empty() || answers.starts_with("HTTP/1."), "{answers}");
        let ours = |line: &str| line.starts_with("HTTP/1.1 50") || line.starts_with("HTTP/1.0 50");
        assert!(!answers.lines().any(ours), "{answers}");
        assert!(knows || !answers.contains(SECRET), "{answers}");
    }
}

async fn conversation(data: &[u8], peer: Peer) -> Vec<u8> {
    let (mut client, server) = duplex(1 << 16);
    let shutdown = CancellationToken::new();
    let ask = async {
        let _ = client.write_all(data).await; // it may be over before
        // Whoever ends gets no answer that is not there yet.
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        let _ = client.shutdown().await;
        let mut answers = Vec::new();
        let _ = client.read_to_end(&mut answers).await;
        answers
    };
    let site = protected().await;
    let answer = conversation::converse(server, peer, site, Arc::default(), shutdown.clone());
    let both = async { tokio::join!(ask, answer).0 };
    tokio::time::timeout(PATIENCE, both).await.expect("a connection ends with its client")
}

/// A site with a token that nobody knows, and a hub that knows something.
async fn protected() -> Router {
    let mut registry = Registry::default();
    registry.register(SECRET, "A metric", Gauge::<i64>::default());
    let tokens = Tokens::only("0d9f8e7c6b5a49382716051423324150");
    let access = Access::with(tokens, None, Some(([127, 0, 0, 1], 9101).into()));
    let hub = hub();
    let mail = MailRecord {
        id: RecordId::at(now_ms()),
        at_ms: now_ms(),
        queue_id: "1".into(),
        cause: SECRET.into(),
        ..MailRecord::default()
    };
    hub.record(&[mail]).await.expect("a hub in memory");
    let site = Site {
        registry: Arc::new(registry),
        ready: Arc::new(|| Ok(())),
        subject: Arc::new(Nobody),
        backend: Backend { hub: Some(hub), ..Backend::default() },
        journal: Some(Arc::new(Patient)),
    };
    routes(&Arc::new(access), site).0
}

/// An empty hub with the worker's settings.
pub(super) fn hub() -> Arc<MemoryHub> {
    let defaults: toml::Table =
        include_str!("../../../deploy/worker.toml").parse().expect("the worker's defaults are TOML");
    let section = |name: &str| defaults[name].clone();
    let queue = section("queue").try_into().expect("the worker's settings of the queue");
    let cache = section("cache").try_into().expect("the worker's settings of the cache");
    MemoryHub::new(&queue, &cache)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_operator_is_told_what_a_stranger_is_not() {
        let why = include_bytes!("../../../tests/fuzz/corpus/requests/why");
        let told = |answers: Vec<u8>| String::from_utf8(answers).unwrap().contains(SECRET);
        assert!(told(conversation(why, Peer::User("anna".into())).await));
        let stranger = Peer::Address { address: ([127, 0, 0, 1], 4711).into(), tls: false };
        assert!(!told(conversation(why, stranger).await));
    }
}
