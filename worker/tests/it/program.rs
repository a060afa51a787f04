// SPDX-License-Identifier: GPL-3.0-or-later
//! The program itself, over a real Redis.

use crate::{
    PATIENCE, eventually,
    stub::{Reply, Stub, alert, sample},
};
use std::{net::TcpListener, process::Stdio, sync::Arc, time::Instant};
use tempfile::TempDir;
use thundergate_common::{
    hub::{Admission, Hub, Milter, redis::RedisHub},
    job::{Job, Lane},
    sample::Sample,
    verdict::Answer,
};
use thundergate_worker::config::Config;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

/// A Redis of its own, and the configuration that names it. Ends with the test.
struct Site {
    _redis: Child,
    directory: TempDir,
    hub: Arc<RedisHub>,
}

struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Site {
    async fn start(stub: &Stub) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let redis = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(directory.path())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let file = directory.path().join("worker.toml");
        let text = format!(
            "[redis]\nurl = \"redis://127.0.0.1:{port}/0\"\n[farm]\ninstances = [{{ name = \"one\", url = {:?} }}]\n\
             [queue]\nlease_ttl = \"1s\"\nreclaim_after = \"1s\"\n[admin]\nlisten = \"127.0.0.1:0\"\nsocket = {:?}\n",
            stub.url,
            directory.path().join("admin.sock")
        );
        std::fs::write(&file, text).unwrap();
        let config = Config::load(Some(&file)).unwrap();
        let hub =
            RedisHub::connect(&config.redis, &config.queue, &config.cache, "test".into()).await.unwrap();
        eventually("redis answers", async || hub.ping().await.is_ok()).await;
        Self { _redis: redis, directory, hub }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thundergate-worker"));
        command.args(arguments).arg("--config").arg(self.directory.path().join("worker.toml"));
        command.kill_on_drop(true);
        command
    }

    async fn output(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.command(arguments).output().await.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    async fn serve(&self) -> Program {
        let mut child = self.command(&["serve"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        loop {
            let line = lines.next_line().await.unwrap().expect("a line that says ready");
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            if line["event"] == "ready" {
                assert!(line["admin"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
                return Program { child, lines };
            }
        }
    }

    async fn scan(&self, sample: &Sample) -> Answer {
        let mut ticket = self.hub.announcements().subscribe(&sample.key);
        self.submit(sample).await;
        tokio::time::timeout(PATIENCE, ticket.answer()).await.expect("an answer")
    }

    async fn submit(&self, sample: &Sample) {
        self.hub.reserve(std::slice::from_ref(&sample.key), Lane::Mail).await.unwrap();
        let job = Job {
            sample: sample.key.clone(),
            size: sample.bytes.len() as u64,
            lane: Lane::Mail,
            source: "mx1".into(),
            queue_id: "4XYZ".into(),
            enqueued_ms: 0,
            needs: None,
            reads_short: true,
            traceparent: None,
        };
        assert_eq!(self.hub.submit(&[(sample.clone(), job)]).await.unwrap(), [Admission::Queued]);
    }
}

impl Program {
    async fn signal(&self, signal: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().await.unwrap().success());
    }

    /// The next log line that holds `text`.
    async fn line(&mut self, text: &str) -> serde_json::Value {
        let line = async {
            loop {
                let line = self.lines.next_line().await.unwrap().expect("it runs");
                if line.contains(text) {
                    return serde_json::from_str(&line).unwrap();
                }
            }
        };
        tokio::time::timeout(PATIENCE, line).await.unwrap_or_else(|_| panic!("no line with {text:?}"))
    }

    async fn end(mut self) -> (Option<i32>, Vec<String>) {
        let mut rest = Vec::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            rest.push(line);
        }
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap();
        (status.code(), rest)
    }
}

#[tokio::test]
async fn it_scans_over_redis_and_drains_on_sigterm() {
    let stub = Stub::start().await;
    stub.answer(alert);
    let site = Site::start(&stub).await;
    let program = site.serve().await;
    let sample = sample(b"malware");
    let answer = site.scan(&sample).await;
    assert!(matches!(&answer, Answer::Verdict(verdict) if verdict.score() == 90), "{answer:?}");
    let name = sample.key.to_string();
    let (status, shown) = site.output(&["verdict", &name]).await;
    assert!(status == Some(0) && shown.contains("found"), "{status:?} {shown}");
    assert_eq!(site.output(&["verdict", "show", &name, "--json"]).await.0, Some(0));
    let (status, shown) = site.output(&["seen", &name, "--json"]).await;
    assert!(status == Some(1) && shown.contains("\"mails\": []"), "{status:?} {shown}");
    assert_eq!(site.output(&["queue"]).await.0, Some(0));
    assert_eq!(site.output(&["verdict", "forget", &name]).await.0, Some(0));
    assert_eq!(site.output(&["verdict", &name]).await.0, Some(1));
    program.signal("-TERM").await;
    let (status, lines) = program.end().await;
    assert_eq!(status, Some(0));
    assert!(lines.iter().any(|line| line.contains("The scanner found something")), "{lines:#?}");
}

#[tokio::test]
async fn the_job_of_a_worker_that_was_killed_is_done_by_another() {
    let stub = Stub::start().await;
    stub.hold();
    let site = Site::start(&stub).await;
    let killed = site.serve().await;
    let sample = sample(b"x");
    let mut ticket = site.hub.announcements().subscribe(&sample.key);
    site.submit(&sample).await;
    eventually("it is being scanned", async || stub.uploads().len() == 1).await;
    killed.signal("-KILL").await;
    assert_eq!(killed.end().await.0, None);
    let started = Instant::now();
    let other = site.serve().await;
    eventually("it is being scanned again", async || stub.uploads().len() == 2).await;
    stub.let_pass(2);
    assert!(matches!(ticket.answer().await, Answer::Verdict(_)));
    assert!(started.elapsed().as_secs() < 15);
    other.signal("-TERM").await;
    assert_eq!(other.end().await.0, Some(0));
}

#[tokio::test]
async fn sighup_changes_the_farm_and_a_wrong_file_changes_nothing() {
    let (one, two) = (Stub::start().await, Stub::start().await);
    two.answer(alert);
    let site = Site::start(&one).await;
    let file = site.directory.path().join("worker.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let mut program = site.serve().await;
    assert!(matches!(site.scan(&sample(b"a")).await, Answer::Verdict(verdict) if verdict.instance == "one"));

    std::fs::write(&file, text.replace("[farm]", "[farm]\nattempts = 0")).unwrap();
    program.signal("-HUP").await;
    let line = program.line("The configuration is wrong").await;
    let place = format!("{}:4: farm.attempts: ", file.display());
    assert!(line["error"].as_str().unwrap().starts_with(&place), "{line}");
    assert_eq!(line["level"], "warning");
    assert!(matches!(site.scan(&sample(b"b")).await, Answer::Verdict(verdict) if verdict.instance == "one"));

    let other = text.replace("\"one\"", "\"two\"").replace(&one.url, &two.url);
    std::fs::write(&file, other.replace("lease_ttl = \"1s\"", "lease_ttl = \"2s\"")).unwrap();
    program.signal("-HUP").await;
    let line = program.line("The farm is what").await;
    assert_eq!((&line["farm.added"], &line["farm.removed"]), (&"two".into(), &"one".into()), "{line}");
    let line = program.line("was read again").await;
    assert_eq!(line["config.needs_restart"], "queue.lease_ttl");
    assert!(line["config.changed"].as_str().unwrap().contains("farm.instances"), "{line}");
    assert!(matches!(site.scan(&sample(b"c")).await, Answer::Verdict(verdict) if verdict.instance == "two"));
    program.signal("-TERM").await;
    assert_eq!(program.end().await.0, Some(0));
}

#[tokio::test]
async fn a_licence_that_ends_is_a_warning_in_the_log() {
    let stub = Stub::start().await;
    stub.info(Reply::new(200, "{\"threads\": 4, \"license_expiration\": \"2020-07-08T00:00:00Z\"}"));
    let site = Site::start(&stub).await;
    let mut program = site.serve().await;
    let line = program.line("licence").await;
    assert_eq!((&line["level"], &line["farm.instance"]), (&"warning".into(), &"one".into()), "{line}");
    assert!(line["licence.days_left"].as_i64().unwrap() < -2000, "{line}");
    assert!(site.output(&["farm"]).await.1.contains("has ended"));
    program.signal("-TERM").await;
    let (_, rest) = program.end().await;
    assert!(!rest.iter().any(|line| line.contains("licence")), "once a day, not once a probe: {rest:?}");
}

#[tokio::test]
async fn exit_statuses_tell_what_is_wrong() {
    let stub = Stub::start().await;
    let site = Site::start(&stub).await;
    assert_eq!(site.output(&["check"]).await.0, Some(0));
    assert_eq!(site.output(&["farm"]).await.0, Some(69), "nobody runs");
    let program = site.serve().await;
    eventually("the scanner was asked", async || {
        site.output(&["farm"]).await.1.contains("2026/01/01-000000")
    })
    .await;
    let mut command = site.command(&["farm"]);
    let command = command.env("SSL_CERT_FILE", "/nonexistent").env("SSL_CERT_DIR", "/nonexistent");
    let command = command.env("HTTP_PROXY", "http://127.0.0.1:1").env("http_proxy", "http://127.0.0.1:1");
    assert!(command.output().await.unwrap().status.success(), "neither certificates nor a proxy are needed");
    program.signal("-TERM").await;
    assert_eq!(program.end().await.0, Some(0));
    assert_eq!(site.output(&["nonsense"]).await.0, Some(64));
    assert_eq!(site.output(&["verdict", "nonsense"]).await.0, Some(64));
    let wrong = [
        ("THUNDERGATE_QUEUE__LEASE_TTL", "900ms"),
        ("THUNDERGATE_FARM__INSTANCES", "[]"),
        ("THUNDERGATE_FARM__INSTANCES", "[{ url = \"ftp://x\" }]"),
        ("THUNDERGATE_FARM__INSTANCES", "[{ url = \"http://x\" }, { url = \"http://x:80\" }]"),
        ("THUNDERGATE_FARM__CA_FILE", "/nonexistent/ca.pem"),
        ("THUNDERGATE_FARM__CERT_FILE", "/dev/null"),
        ("THUNDERGATE_FARM__PROXY", "ftp://x"),
        ("THUNDERGATE_FARM__QUORUM", "2"),
        ("THUNDERGATE_FARM__QUORUM", "0"),
        ("THUNDERGATE_FARM__INSTANCES", "[{ url = \"http://x\", username = \"u\" }]"),
        (
            "THUNDERGATE_FARM__INSTANCES",
            "[{ url = \"http://x\", username = \"u\", password_file = \"/nonexistent\" }]",
        ),
        (
            "THUNDERGATE_FARM__INSTANCES",
            "[{ url = \"http://v@x\", username = \"u\", password_file = \"/dev/null\" }]",
        ),
        ("THUNDERGATE_LOG__LEVEL", "loud"),
        ("THUNDERGATE_QUEUE__MAXIMUM", "1"),
        ("THUNDERGATE_REDIS__URL", "http://x"),
    ];
    for (key, value) in wrong {
        let command = if key.ends_with("URL") { "queue" } else { "check" };
        let output = site.command(&[command]).env(key, value).output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{key}: {said}");
        assert!(!key.starts_with("THUNDERGATE_FARM") || said.contains("farm."), "names its key: {said}");
    }
    let nobody = "redis://127.0.0.1:1/0";
    let output = site.command(&["queue"]).env("THUNDERGATE_REDIS__URL", nobody).output().await.unwrap();
    assert_eq!(output.status.code(), Some(69));
}

#[test]
fn the_compiled_in_defaults_are_the_documented_file() {
    let config: Config = thundergate_common::config::load_checked(
        thundergate_worker::config::DEFAULTS,
        None,
        std::iter::empty(),
        |_| Ok(()),
    )
    .unwrap();
    let shown: toml::Table = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
    let written: toml::Table = toml::from_str(thundergate_worker::config::DEFAULTS).unwrap();
    for (section, value) in &shown {
        let Some(keys) = value.as_table() else { continue };
        let documented = written[section].as_table().unwrap();
        let undocumented = keys.keys().find(|key| !documented.contains_key(*key));
        assert_eq!(undocumented, None, "[{section}]");
        // An empty text stands for none, and none is not shown.
        let unknown =
            documented.iter().find(|(key, value)| !keys.contains_key(*key) && value.as_str() != Some(""));
        assert_eq!(unknown, None, "[{section}]");
    }
}
