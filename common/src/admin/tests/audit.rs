// SPDX-License-Identifier: GPL-3.0-or-later
//! What is written down before it is done.

use super::*;
use crate::api::Endpoint;

const BODY: &str = r#"{"ids": ["1-1", "2-2"], "reason": "was a test"}"#;

#[tokio::test]
async fn who_does_what_why_and_from_where_is_written_down() {
    let server = Server::usual().await;
    assert_eq!(server.ask("POST", "/api/v1/queue/drop", BODY).await.0, 200);
    assert_eq!(server.ask("GET", "/api/v1/queue", "").await.0, 200);
    assert_eq!(server.ask("POST", "/api/v1/mails/why", r#"{"queue_id": "4ABC"}"#).await.0, 200);
    let token = [("authorization", "Bearer operator-1234567890")];
    let request = asked("POST", "/api/v1/generation/bump", "localhost", &token, "{}");
    assert_eq!(status(&raw(server.address(), &request).await), 200);
    let notes = |field: &str| server.notebook.all(field);
    assert_eq!(notes("event"), ["audit"; 3]);
    assert_eq!(notes("audit.action"), ["queue drop", "why", "generation bump"]);
    assert_eq!(notes("audit.what"), ["1-1,2-2", "4ABC", ""]);
    assert_eq!(notes("audit.reason"), ["was a test", "", ""]);
    let me = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
    assert_eq!(notes("audit.who"), [&me, &me, "operator-token"]);
    assert_eq!(notes("audit.from"), ["socket", "socket", "127.0.0.1"]);
    assert_eq!(notes("audit.scope"), ["operator"; 3]);
    server.end().await;
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_done() {
    let server = Server::usual().await;
    server.notebook.full.store(true, Ordering::Relaxed);
    for endpoint in Endpoint::ALL.iter().filter(|endpoint| endpoint.audited.is_some()) {
        if *endpoint == Endpoint::CHECK {
            continue; // nobody answers it here
        }
        let digest = crate::digest::Digest::of(b"a").to_string();
        let body = format!(r#"{{"ids": ["1-1"], "sample": "{digest}", "queue_id": "4"}}"#);
        let (status, answer) = server.ask("POST", &format!("/api/v1{}", endpoint.path), &body).await;
        assert_eq!(status, 503, "{} {answer}", endpoint.path);
        assert!(answer["error"].as_str().unwrap().starts_with("nothing was done"), "{answer}");
    }
    assert_eq!(hub_generation(&server), 0);
    server.notebook.full.store(false, Ordering::Relaxed);
    assert_eq!(server.ask("POST", "/api/v1/generation/bump", "{}").await.0, 200);
    assert!(hub_generation(&server) > 0);
    server.end().await;
}

fn hub_generation(server: &Server) -> u64 {
    crate::hub::Hub::generation(&*server.hub).bumped_at
}
