// SPDX-License-Identifier: GPL-3.0-or-later
//! Every subcommand against a small server behind a socket, and what becomes of a server that means no good.

use super::{ask, cli::Cli, error::PeopleError};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header::LOCATION},
    response::{IntoResponse as _, Response},
};
use clap::Parser as _;
use futures_util::stream;
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    path::PathBuf,
    sync::{Arc, Mutex},
};
use tempfile::TempDir;
use thundergate_common::api::{CHANGE_HEADER, queue::MOST_LETTERS};
use tokio::{net::UnixListener, task::JoinSet};

/// What was asked: method, path, body, whether it may change something.
type Asked = (String, String, Value, bool);

type Answers = dyn Fn(&str, &Value) -> Response + Send + Sync;

struct Server {
    directory: TempDir,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinSet<()>,
}

#[derive(Clone)]
struct Shared {
    asked: Arc<Mutex<Vec<Asked>>>,
    answers: Arc<Answers>,
}

impl Server {
    /// Answers every path by `answers`, which gets it with the body.
    fn start(answers: impl Fn(&str, &Value) -> Response + Send + Sync + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("s")).unwrap();
        let asked = Arc::default();
        let shared = Shared { asked: Arc::clone(&asked), answers: Arc::new(answers) };
        let app = Router::new().fallback(answer).with_state(shared);
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { directory, asked, task }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    async fn run(&self, line: &str) -> Result<u8, PeopleError> {
        let line = format!("thundergate --socket {} {line}", self.socket().display());
        run(&line).await
    }

    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

async fn run(line: &str) -> Result<u8, PeopleError> {
    let cli = Cli::try_parse_from(line.split(' ')).unwrap();
    ask(&cli.how, None, cli.command).await
}

async fn answer(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let answer = (shared.answers)(uri.path(), &body);
    let changes = headers.contains_key(CHANGE_HEADER);
    shared.asked.lock().unwrap().push((method.to_string(), uri.path().to_owned(), body, changes));
    answer
}

fn ok(value: &Value) -> Response {
    value.to_string().into_response()
}

fn refused(status: u16, error: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), json!({ "error": error }).to_string()).into_response()
}

fn letters(count: usize) -> Value {
    let letter = |number| {
        json!({"id": format!("{number}-0"), "buried_at_ms": 1, "sample": "d", "size": 1, "queue_id": "q", "lane": "mail",
               "deliveries": 1, "instance": "", "reason": "it answered 400"})
    };
    let letters: Vec<_> = (0..count).map(letter).collect();
    json!({"queue": {"lanes": [], "dead_letters": count, "sample_bytes": 0}, "dead_letters": letters})
}

/// One of each, as a server would give it.
fn well(path: &str, body: &Value) -> Response {
    let verdict = json!({"sample": "d", "clean": true, "outdated": false, "score": 0, "scanned_at_ms": 1, "scan_ms": 1,
                         "instance": "storm1", "signatures": null, "findings": [], "omitted": 0, "later": true});
    let instance = json!({"name": "storm1", "url": "http://storm1/", "healthy": true, "state": "closed", "in_flight": 0,
                          "capacity": 1, "workers": []});
    let mails = json!([{"at_ms": 1, "queue_id": "q", "sender": "", "recipients": ["a@b"], "sample": "d",
                        "decision": "accept"}]);
    let decisions = json!([{"at_ms": 1, "host": "mx1", "queue_id": "q", "sender": "", "recipients": [], "decision": "accept",
                            "cause": "clean", "passive": false, "troubles": [], "total_ms": 1, "parts": []}]);
    ok(&match path {
        "/status" => json!({"program": {"name": "worker"}}),
        "/api/v1/queue" => letters(2500),
        "/api/v1/queue/retry" => {
            json!({"queued": body["ids"].as_array().unwrap().len(), "bytes_gone": [], "unknown": []})
        }
        "/api/v1/queue/drop" => json!({"dropped": 1, "unknown": []}),
        "/api/v1/farm" => json!({"instances": [instance], "canary_in_doubt_since_ms": null}),
        "/api/v1/generation" | "/api/v1/generation/bump" => json!({"signatures": "1", "bumped_at_ms": 1}),
        "/api/v1/verdicts/search" => json!({"verdicts": [verdict], "failed": []}),
        "/api/v1/verdicts/forget" => json!({"forgotten": 1}),
        "/api/v1/mails/seen" => {
            json!({"mails": mails, "at_least": false, "since_ms": 1, "dropped": false, "more": false, "unsure": 0})
        }
        "/api/v1/mails/why" => json!({"mails": decisions, "since_ms": 1, "dropped": false}),
        "/api/v1/check" => json!({"program": "worker", "process": "mx1:1", "findings": [
            {"level": "unavailable", "subject": "redis.url", "text": "Redis is away", "cure": "start it"}]}),
        _ => return refused(404, "no such path"),
    })
}

#[tokio::test]
async fn every_subcommand_asks_what_it_says() {
    let server = Server::start(well);
    let digest = "ab".repeat(32);
    for (line, path, body) in [
        ("status", "GET /status", Value::Null),
        ("queue", "GET /api/v1/queue", Value::Null),
        ("queue retry 1-0 2-0", "POST /api/v1/queue/retry", json!({"ids": ["1-0", "2-0"], "reason": ""})),
        ("queue drop 1-0 --reason x", "POST /api/v1/queue/drop", json!({"ids": ["1-0"], "reason": "x"})),
        ("farm", "GET /api/v1/farm", Value::Null),
        ("generation", "GET /api/v1/generation", Value::Null),
        ("generation bump", "POST /api/v1/generation/bump", json!({"reason": ""})),
        ("verdict DIGEST", "POST /api/v1/verdicts/search", json!({"sample": digest})),
        (
            "verdict forget DIGEST.exe",
            "POST /api/v1/verdicts/forget",
            json!({"sample": format!("{digest}.exe"), "reason": ""}),
        ),
        ("seen DIGEST", "POST /api/v1/mails/seen", json!({"sample": digest})),
        ("why 4Bq", "POST /api/v1/mails/why", json!({"queue_id": "4Bq"})),
        ("check --scan", "POST /api/v1/check", json!({"scan": true})),
    ] {
        let line = line.replace("DIGEST", &digest);
        let status = if line.starts_with("check") { 69 } else { 0 };
        for line in [line.clone(), format!("{line} --json")] {
            assert_eq!(server.run(&line).await.unwrap(), status, "{line}");
            let (method, asked, asked_body, changes) = server.asked().swap_remove(0);
            assert_eq!((format!("{method} {asked}"), &asked_body), (path.to_owned(), &body), "{line}");
            assert_eq!(changes, method == "POST", "{line}");
        }
    }
}

#[tokio::test]
async fn all_letters_are_named_in_as_many_requests_as_it_takes() {
    let server = Server::start(well);
    server.run("queue retry --all").await.unwrap();
    let asked = server.asked();
    let named: Vec<_> = asked[1..].iter().map(|one| one.2["ids"].as_array().unwrap().len()).collect();
    assert_eq!(named, [MOST_LETTERS, MOST_LETTERS, 2500 - 2 * MOST_LETTERS]);
}

#[tokio::test]
async fn what_is_not_there_is_told_by_the_exit_status() {
    let server = Server::start(|path, _| {
        ok(&match path {
            "/api/v1/queue/retry" => json!({"queued": 0, "bytes_gone": ["1-0"], "unknown": []}),
            "/api/v1/queue/drop" => json!({"dropped": 0, "unknown": ["1-0"]}),
            "/api/v1/queue" => letters(1),
            "/api/v1/farm" => json!({"instances": [], "canary_in_doubt_since_ms": null}),
            "/api/v1/verdicts/search" => json!({"verdicts": [], "failed": []}),
            "/api/v1/verdicts/forget" => json!({"forgotten": 0}),
            "/api/v1/mails/why" => json!({"mails": [], "since_ms": null, "dropped": false}),
            _ => {
                json!({"mails": [], "at_least": false, "since_ms": null, "dropped": false, "more": false, "unsure": 0})
            }
        })
    });
    let digest = "ab".repeat(32);
    for (line, status) in [
        ("queue retry 1-0", 69),
        ("queue drop 1-0", 1),
        ("farm", 69),
        ("verdict DIGEST", 1),
        ("verdict forget DIGEST", 1),
        ("seen DIGEST", 1),
        ("why 4Bq", 1),
    ] {
        for line in [line.replace("DIGEST", &digest), format!("{line} --json").replace("DIGEST", &digest)] {
            assert_eq!(server.run(&line).await.unwrap_err().status(), status, "{line}");
        }
    }
    assert_eq!(server.run("queue retry --all").await.unwrap(), 0, "of all, those are skipped");
    assert_eq!(server.run("queue drop --all").await.unwrap(), 0, "somebody else was first");
}

#[tokio::test]
async fn a_refusal_says_who_refuses_and_why() {
    for (status, exit) in [(400, 64), (401, 77), (403, 77), (404, 69), (413, 69), (500, 69), (503, 69)] {
        let server = Server::start(move |_, _| refused(status, "ask a worker\u{1b}[2J"));
        let error = server.run("queue drop 1-0").await.unwrap_err();
        assert_eq!(error.status(), exit, "{status}: {error}");
        let said = error.to_string();
        assert!(said.contains("ask a worker\\u{1b}[2J") && said.contains("/s"), "{said}");
        assert_eq!(exit == 77, said.contains("scope operator"), "{said}");
        let (look, scan) =
            (server.run("check").await.unwrap_err(), server.run("check --scan").await.unwrap_err());
        assert_eq!(exit == 77, look.to_string().contains("scope read"), "{look}");
        assert_eq!(exit == 77, scan.to_string().contains("scope operator"), "{scan}");
    }
    let server = Server::start(|_, _| StatusCode::NOT_FOUND.into_response());
    let said = server.run("queue").await.unwrap_err().to_string();
    assert!(said.contains("older version"), "{said}");
}

#[tokio::test]
async fn no_server_fills_the_memory_or_sends_elsewhere() {
    let endless =
        || Body::from_stream(stream::repeat(Ok::<_, Infallible>(Bytes::from_static(&[b' '; 65536]))));
    for status in [StatusCode::OK, StatusCode::FORBIDDEN] {
        let server = Server::start(move |_, _| (status, endless()).into_response());
        let error = server.run("queue").await.unwrap_err();
        let told = if status == StatusCode::OK { "longer than" } else { "scope read" };
        assert!(error.to_string().contains(told), "{error}");
    }
    let server = Server::start(|path, body| match path {
        "/api/v1/queue" => (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, "/api/v1/farm")]).into_response(),
        _ => well(path, body),
    });
    let error = server.run("queue").await.unwrap_err();
    assert!(error.to_string().contains("307"), "{error}");
    assert_eq!(server.asked().len(), 1, "nobody follows");
    let server = Server::start(|_, _| "[[[".into_response());
    assert_eq!(server.run("queue --json").await.unwrap_err().status(), 69);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_given_up() {
    let server = Server::start(|_, _| {
        Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()).into_response()
    });
    let error = server.run("queue").await.unwrap_err();
    assert!(error.to_string().contains("did not answer within 120 s"), "{error}");
}

#[tokio::test]
async fn where_nobody_listens_it_says_what_to_do() {
    let server = Server::start(well);
    let (socket, directory) = (server.socket(), server.directory.path().to_owned());
    let mut task = server.task;
    task.shutdown().await;
    let run = async |line: String| run(&line).await.unwrap_err();
    let error = run(format!("thundergate queue --socket {}", socket.display())).await;
    assert!(error.to_string().contains("nobody listens at"), "{error}");
    assert_eq!(error.status(), 69);
    let error = run(format!("thundergate queue --socket {}/none", directory.display())).await;
    assert!(error.to_string().contains("nobody listens at"), "{error}");
    let error = run("thundergate queue --url http://127.0.0.1:1".to_owned()).await;
    assert_eq!(error.to_string(), "http://127.0.0.1:1 cannot be reached");
}

#[tokio::test]
async fn a_token_is_shown_to_nobody_in_clear_text() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "0123456789abcdef\n").unwrap();
    for (url, status) in [
        ("http://192.0.2.1:1", 64),
        ("http://mx1.example:1", 64),
        ("http://[2001:db8::1]:1", 64),
        ("http://localhost.mx1.example:1", 64),
        ("http://127.0.0.1:1", 69),
        ("http://[::1]:1", 69),
        ("http://localhost:1", 69),
        ("https://127.0.0.1:1", 69),
    ] {
        let line = format!("thundergate queue --url {url} --token-file {}", token.display());
        let error = run(&line).await.unwrap_err();
        assert_eq!(error.status(), status, "{url}: {error}");
    }
    for wrong in ["", "two words", "é"] {
        std::fs::write(&token, wrong).unwrap();
        let line = format!("thundergate queue --url https://127.0.0.1:1 --token-file {}", token.display());
        let error = run(&line).await.unwrap_err();
        assert_eq!(error.status(), 78, "{error}");
        assert!(wrong.is_empty() || !error.to_string().contains(wrong), "{error}");
    }
}
