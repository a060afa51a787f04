// SPDX-License-Identifier: GPL-3.0-or-later
//! What each endpoint answers, over a hub in memory, and what is no request.

use super::*;
use crate::{
    api::{Answers, CHANGE_HEADER, Endpoint, LARGEST_REQUEST, check, farm, mails, queue, verdicts},
    clock::now,
    digest::Digest,
    failed::FailedSample,
    generation::InstanceReport,
    hub::{Completion, Milter, Room, Worker},
    job::{Job, Lane},
    record::{MailRecord, PartRecord, RecordId},
    sample::{NameHint, Sample, SampleKey},
    verdict::{Answer, Finding, Verdict},
};
use serde_json::{Value, json};

fn key(name: &str, extension: &str) -> SampleKey {
    SampleKey { digest: Digest::of(name.as_bytes()), hint: NameHint::Extension(extension.to_owned()) }
}

/// Has `key` scanned, with that end.
async fn scan(hub: &MemoryHub, key: &SampleKey, end: Completion) {
    hub.reserve(std::slice::from_ref(key), Lane::Mail).await.unwrap();
    let job = Job {
        sample: key.clone(),
        size: 1,
        lane: Lane::Mail,
        source: "mx1".to_owned(),
        queue_id: "4ABC".to_owned(),
        enqueued_ms: 1,
        needs: None,
        reads_short: false,
        traceparent: None,
    };
    let sample = Sample { key: key.clone(), bytes: bytes::Bytes::from_static(b"x") };
    hub.submit(&[(sample, job)]).await.unwrap();
    let room = Room { most: 1, background: 1 };
    let claim = hub.claim("w", 0, room, PATIENCE).await.unwrap().pop().unwrap();
    hub.begin(&claim).await.unwrap();
    hub.complete(&claim, &end).await.unwrap();
}

fn answered(findings: Vec<Finding>) -> Completion {
    let verdict =
        Verdict { findings, scanned_at: now(), instance: "storm1".to_owned(), ..Verdict::default() };
    Completion::Answered(Answer::Verdict(Arc::new(verdict)))
}

fn failed() -> Completion {
    let failed = FailedSample {
        reason: "HTTP 500".to_owned(),
        failed_at: now(),
        until: now() + 600,
        ..FailedSample::default()
    };
    Completion::Failed(failed)
}

/// What an endpoint gives to this body.
async fn done<T: serde::de::DeserializeOwned>(server: &Server, endpoint: Endpoint, body: Value) -> T {
    let (status, answer) = ask(server, endpoint, &body.to_string()).await;
    assert_eq!(status, 200, "{answer}");
    serde_json::from_value(answer).unwrap()
}

async fn ask(server: &Server, endpoint: Endpoint, body: &str) -> (u16, Value) {
    let body = if endpoint.method == "POST" { body } else { "" };
    server.ask(endpoint.method, &format!("{PREFIX}{}", endpoint.path), body).await
}

async fn letters(server: &Server) -> Vec<queue::Letter> {
    done::<queue::Queue>(server, Endpoint::QUEUE, json!({})).await.dead_letters
}

#[tokio::test]
async fn dead_letters_are_shown_tried_again_and_dropped_by_name() {
    let server = Server::usual().await;
    for name in ["a", "b", "c"] {
        scan(&server.hub, &key(name, "pdf"), failed()).await;
    }
    let all = letters(&server).await;
    assert_eq!(all.len(), 3);
    assert_eq!((&*all[0].queue_id, &*all[0].reason), ("4ABC", "HTTP 500"));
    let ids = |these: &[&str]| json!({ "ids": these, "later": { "unknown": true } });
    let first = &*all[0].id;
    let retried: queue::Retried = done(&server, Endpoint::QUEUE_RETRY, ids(&[first, first, "no-such"])).await;
    assert_eq!((retried.queued, &*retried.bytes_gone), (0, &[first.to_owned()][..]));
    assert_eq!(retried.unknown, ["no-such"]);
    let dropped: queue::Dropped = done(&server, Endpoint::QUEUE_DROP, ids(&[first, first, "no-such"])).await;
    assert_eq!((dropped.dropped, dropped.unknown), (1, vec!["no-such".to_owned()]));
    assert_eq!(letters(&server).await.len(), 2);
    server.end().await;
}

#[tokio::test]
async fn a_sample_is_known_and_forgotten_under_one_name_or_under_all() {
    let server = Server::usual().await;
    let found = vec![Finding { score: 90, ..Finding::default() }];
    scan(&server.hub, &key("a", "exe"), answered(found)).await;
    scan(&server.hub, &key("a", "pdf"), answered(Vec::new())).await;
    scan(&server.hub, &key("a", "zip"), failed()).await;
    let digest = Digest::of(b"a").to_string();
    let known = async |sample: &str| {
        let body = json!({ "sample": sample, "later": 1 });
        done::<verdicts::Known>(&server, Endpoint::VERDICTS, body).await
    };
    let all = known(&digest).await;
    assert_eq!((all.verdicts.len(), all.failed.len()), (2, 1));
    assert_eq!(all.failed[0].reason, "HTTP 500");
    let exe = known(&format!("{digest}.EXE")).await;
    assert_eq!((exe.verdicts.len(), exe.verdicts[0].score, exe.verdicts[0].clean), (1, 90, false));
    assert!(exe.verdicts[0].scanned_at_ms > 1_600_000_000_000);

    let forget = async |sample: String| {
        let body = json!({ "sample": sample });
        done::<verdicts::Forgotten>(&server, Endpoint::VERDICTS_FORGET, body).await.forgotten
    };
    assert_eq!(forget(format!("{digest}.exe")).await, 1);
    assert_eq!(forget(format!("{digest}.exe")).await, 0);
    scan(&server.hub, &key("a", "exe"), answered(Vec::new())).await;
    assert_eq!(forget(digest.clone()).await, 2);
    assert_eq!(known(&digest).await.verdicts.len(), 0);
    server.end().await;
}

#[tokio::test]
async fn a_mail_is_explained_and_found_by_its_samples() {
    let server = Server::usual().await;
    let part = |name: &str, disposition: &str| PartRecord {
        digest: Some(Digest::of(name.as_bytes())),
        hint: Some(NameHint::Extension("pdf".to_owned())),
        disposition: disposition.to_owned(),
        ..PartRecord::default()
    };
    let mail = MailRecord {
        id: RecordId::at(7),
        at_ms: 7,
        queue_id: "4ABC".to_owned(),
        sender: "a@example.org".to_owned(),
        action: "tempfail".to_owned(),
        cause: "pending".to_owned(),
        parts: vec![part("a", "pending"), part("b", "failed"), PartRecord::default()],
        ..MailRecord::default()
    };
    server.hub.record(&[mail]).await.unwrap();
    scan(&server.hub, &key("a", "pdf"), answered(Vec::new())).await;
    scan(&server.hub, &key("b", "pdf"), failed()).await;
    let story: mails::Story =
        done(&server, Endpoint::MAILS_WHY, json!({ "queue_id": "4ABC", "later": [] })).await;
    let [mail] = &*story.mails else { panic!("{story:?}") };
    assert_eq!((&*mail.decision, &*mail.cause, &*mail.sender), ("tempfail", "pending", "a@example.org"));
    assert!(mail.parts[0].verdict_now.as_ref().unwrap().clean && mail.parts[0].failed_now.is_none());
    assert!(mail.parts[1].failed_now.is_some() && mail.parts[1].verdict_now.is_none());
    assert_eq!(mail.parts[2].sample, None);

    let seen = json!({ "sample": Digest::of(b"b").to_string() });
    let seen: mails::Seen = done(&server, Endpoint::MAILS_SEEN, seen).await;
    assert_eq!(seen.mails.len(), 1);
    assert_eq!(seen.mails[0].disposition.as_deref(), Some("failed"));
    server.end().await;
}

#[tokio::test]
async fn clean_verdicts_are_made_stale_and_scanners_are_told_of() {
    let own = || vec![InstanceReport { name: "storm1".to_owned(), healthy: true, ..Default::default() }];
    let backend = |backend| Backend { farm: Some(Arc::new(own)), ..backend };
    let server = Server::with("listen = ''\nsocket = 'FOLDER/admin.sock'", &[], backend).await;
    let generation: verdicts::Generation = done(&server, Endpoint::GENERATION, json!({})).await;
    assert_eq!(generation.bumped_at_ms, None);
    let bumped: verdicts::Generation =
        done(&server, Endpoint::GENERATION_BUMP, json!({ "reason": "new rules" })).await;
    assert!(bumped.bumped_at_ms.unwrap() > 1_600_000_000_000);
    assert_eq!(done::<verdicts::Generation>(&server, Endpoint::GENERATION, json!({})).await, bumped);
    let farm: farm::Farm = done(&server, Endpoint::FARM, json!({})).await;
    assert!(farm.scans() && farm.instances[0].own.name == "storm1");
    server.end().await;
}

/// Finds what it is told to.
struct Finder;

impl check::Checker for Finder {
    fn check(&self, wanted: check::Wanted) -> BoxFuture<'_, check::Report> {
        let text = if wanted.scan { "scanned" } else { "asked" };
        let findings = vec![check::Finding::ok("farm.instances storm1", text)];
        async { check::Report { findings, ..check::Report::default() } }.boxed()
    }
}

#[tokio::test]
async fn a_milter_of_a_cluster_answers_for_itself_alone() {
    let socket = "listen = ''\nsocket = 'FOLDER/admin.sock'";
    let alone = |_| Backend { checker: Some(Arc::new(Finder)), ..Backend::default() };
    let server = Server::with(socket, &[], alone).await;
    let report: check::Report = done(&server, Endpoint::CHECK, json!({ "scan": true })).await;
    assert_eq!(report.findings[0].text, "scanned");
    for endpoint in Endpoint::ALL.iter().filter(|endpoint| endpoint.answers == Answers::Hub) {
        let (status, answer) = ask(&server, *endpoint, "{}").await;
        assert_eq!(status, 404);
        assert!(answer["error"].as_str().unwrap().contains("are the workers'"), "{answer}");
    }
    assert_eq!(server.notebook.all("audit.action"), ["check"]);
    server.end().await;
    let server = Server::start(socket, &[]).await;
    assert_eq!(ask(&server, Endpoint::CHECK, "{}").await.0, 404, "there is no checker");
    server.end().await;
}

#[tokio::test]
async fn every_endpoint_has_an_answer_and_only_its_own_method() {
    let with_checker = |backend| Backend { checker: Some(Arc::new(Finder)), ..backend };
    let server = Server::with("listen = ''\nsocket = 'FOLDER/admin.sock'", &[], with_checker).await;
    let body = json!({
        "ids": ["x"], "sample": Digest::of(b"a").to_string(), "queue_id": "4ABC", "later": { "a": [1] },
    });
    for endpoint in Endpoint::ALL {
        let (status, answer) = ask(&server, endpoint, &body.to_string()).await;
        assert_eq!(status, 200, "{} {answer}", endpoint.path);
        let other = if endpoint.method == "POST" { "GET" } else { "POST" };
        let request = asked(other, &format!("{PREFIX}{}", endpoint.path), "localhost", &[], "");
        let answer = talk(server.socket().await, &request).await;
        assert_eq!(status_and_allow(&answer), (405, endpoint.method.to_owned()), "{answer}");
    }
    for path in ["/nothing", "/queue/", "/queue/retry/x", "/Queue", "//queue", "/queue%2fretry"] {
        assert_eq!(server.ask("GET", &format!("{PREFIX}{path}"), "").await.0, 404, "{path}");
    }
    server.end().await;
}

fn status_and_allow(answer: &str) -> (u16, String) {
    let allow = answer.lines().find_map(|line| line.strip_prefix("allow: ")).unwrap_or_default();
    (status(answer), allow.to_owned())
}

#[tokio::test]
async fn what_is_no_request_is_told_why() {
    let server = Server::usual().await;
    let many: Vec<String> = (0..=queue::MOST_LETTERS).map(|n| n.to_string()).collect();
    let digest = Digest::of(b"a").to_string();
    for (endpoint, body, why) in [
        (Endpoint::QUEUE_DROP, "{".to_owned(), "not the JSON"),
        (Endpoint::QUEUE_DROP, String::new(), "not the JSON"),
        (Endpoint::QUEUE_DROP, json!({ "ids": [] }).to_string(), "names no dead letter"),
        (Endpoint::QUEUE_DROP, json!({ "ids": many }).to_string(), "1000 dead letters at a time"),
        (Endpoint::QUEUE_RETRY, json!({ "ids": ["a b"] }).to_string(), "no name of a dead letter"),
        (Endpoint::QUEUE_RETRY, json!({ "ids": ["x".repeat(65)] }).to_string(), "no name of a dead letter"),
        (Endpoint::VERDICTS, json!({ "sample": "abc" }).to_string(), "a SHA-256 in hexadecimal"),
        (
            Endpoint::VERDICTS_FORGET,
            json!({ "sample": format!("{digest}x") }).to_string(),
            "DIGEST.EXTENSION",
        ),
        (Endpoint::MAILS_SEEN, json!({}).to_string(), "missing field `sample`"),
        (Endpoint::MAILS_WHY, json!({ "queue_id": "" }).to_string(), "at most 64 characters"),
        (Endpoint::MAILS_WHY, json!({ "queue_id": "4".repeat(65) }).to_string(), "at most 64 characters"),
        (Endpoint::MAILS_WHY, json!({ "queue_id": "4\u{1b}" }).to_string(), "at most 64 characters"),
    ] {
        let (status, answer) = ask(&server, endpoint, &body).await;
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(status == 400 && error.contains(why), "{body} {answer}");
    }
    assert!(server.notebook.all("audit.action").is_empty(), "nothing was going to be done");
    let long = format!("{{\"ids\": [\"{}\"]}}", "x".repeat(LARGEST_REQUEST));
    assert_eq!(ask(&server, Endpoint::QUEUE_DROP, &long).await.0, 413);
    let path = format!("{PREFIX}/queue/drop");
    let chunked = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
         {CHANGE_HEADER}: 1\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        long.len(),
        long
    );
    assert_eq!(status(&talk(server.socket().await, &chunked).await), 413);
    let typeless =
        format!("POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{CHANGE_HEADER}: 1\r\n\r\n");
    assert_eq!(status(&talk(server.socket().await, &typeless).await), 415);
    let form = typeless.replace("\r\n\r\n", "\r\ncontent-type: text/plain\r\n\r\n");
    assert_eq!(status(&talk(server.socket().await, &form).await), 415);
    server.end().await;
}
