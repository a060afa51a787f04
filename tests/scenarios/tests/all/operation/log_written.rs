// SPDX-License-Identifier: GPL-3.0-or-later
//! Where log lines go: a stdout that nobody reads, a file that somebody moves away.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};
use thundergate_common::digest::Digest;
use thundergate_harness::{
    eventually,
    mails::{mail, noise},
    mta::{Mail, Mta},
    process::binary,
    site::{Milter, Site},
    thunderstorm::Settings,
};
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(20);

const TOKEN: &str = "an-operators-token";

/// A usual end, and what the log may add to it.
const END: Duration = Duration::from_secs(4);

/// A milter whose stdout is read only as far as a test wants to.
struct Unread {
    child: Child,
    lines: BufReader<ChildStdout>,
    address: String,
    admin: String,
}

impl Unread {
    /// Starts one with this configuration, which is kept in `folder`.
    fn start(folder: &Path, toml: &str) -> Self {
        let file = folder.join("milter.toml");
        let own = "listen = [\"inet:127.0.0.1:0\"]\nadmin.listen = \"127.0.0.1:0\"\n";
        fs::write(&file, format!("{own}{toml}")).unwrap();
        let mut command = Command::new(binary("thundergate-milter").unwrap());
        command.arg("serve").arg("--config").arg(file).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let ready = next(&mut lines, |line| line["event"] == "ready");
        let address = ready["listen"][0].as_str().unwrap().to_owned();
        Self { child, lines, address, admin: ready["admin"].as_str().unwrap().to_owned() }
    }

    async fn get(&self, path: &str) -> String {
        get(&self.admin, path).await
    }

    async fn dropped(&self) -> u64 {
        let metrics = self.get("/metrics").await;
        let value =
            metrics.lines().find_map(|line| line.strip_prefix("thundergate_log_lines_dropped_total "));
        value.unwrap().parse().unwrap()
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The next line for which `wanted` holds.
fn next(lines: &mut impl BufRead, mut wanted: impl FnMut(&Value) -> bool) -> Value {
    let lines = lines.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap());
    lines.into_iter().find(|line| wanted(line)).unwrap()
}

async fn get(admin: &str, path: &str) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
    client.get(format!("http://{admin}{path}")).send().await.unwrap().text().await.unwrap()
}

/// A known attachment to so many recipients that the line of the mail is as long as a line can be.
fn talkative() -> Mail {
    let recipients = (0..50).map(|number| format!("{number:x<300}@example.net")).collect();
    Mail { recipients, ..Mail::of(mail().attach("a.bin", "application/octet-stream", noise(1, 500)).bytes()) }
}

async fn send(address: &str, mails: usize) {
    let mut connections = JoinSet::new();
    for _ in 0..4 {
        let address = address.to_owned();
        connections.spawn(async move {
            let mut mta = Mta::connect(&address).await.unwrap();
            for _ in 0..mails / 4 {
                assert!(mta.send(&talkative()).await.unwrap().delivers());
            }
            mta.quit().await.unwrap();
        });
    }
    while let Some(sent) = connections.join_next().await {
        sent.unwrap();
    }
}

/// A change, or a look at what is personal, and its status.
async fn ask(admin: &str, path: &str, body: &'static str) -> u16 {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
    let request = client.post(format!("http://{admin}/api/v1{path}")).bearer_auth(TOKEN);
    let request = request.header("content-type", "application/json").header("thundergate-change", "1");
    request.body(body).send().await.unwrap().status().as_u16()
}

async fn generation(admin: &str) -> String {
    let request = reqwest::Client::new().get(format!("http://{admin}/api/v1/generation"));
    request.bearer_auth(TOKEN).send().await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_down_is_not_done() {
    let (site, folder) = (Site::single(1, Settings::default()).await, tempfile::tempdir().unwrap());
    let tokens = folder.path().join("tokens");
    fs::write(&tokens, format!("anna operator {}", Digest::of(TOKEN.as_bytes()))).unwrap();
    let toml = format!("admin.tokens_file = {tokens:?}\n{}", site.farm_section());
    let mut milter = Unread::start(folder.path(), &toml);
    let admin = milter.admin.clone();
    let bump = async || ask(&admin, "/generation/bump", r#"{"reason": "first"}"#).await;
    assert_eq!(bump().await, 200);
    let bumped = generation(&admin).await;

    // More than a pipe takes.
    send(&milter.address, 40).await;
    let begun = Instant::now();
    assert_eq!(bump().await, 503);
    assert!(begun.elapsed() > Duration::from_secs(1), "another bump would have another second");
    assert_eq!(ask(&admin, "/mails/why", r#"{"queue_id": "4ABC"}"#).await, 503);
    assert_eq!(generation(&admin).await, bumped, "nothing was done, and what is not audited is answered");
    let metrics = milter.get("/metrics").await;
    assert!(metrics.contains("thundergate_audit_failed_total 2\n"), "{metrics}");

    // Somebody reads again. What was not done is not told, but for a line that was being written already.
    let (told, heard) = tokio::sync::oneshot::channel();
    let reader = tokio::task::spawn_blocking(move || {
        let mut reasons = Vec::new();
        next(&mut milter.lines, |line| {
            reasons.extend((line["event"] == "audit").then(|| line["audit.reason"].clone()));
            line["audit.reason"] == "again"
        });
        let _ = told.send(reasons);
        milter
    });
    let again = async || ask(&admin, "/generation/bump", r#"{"reason": "again"}"#).await == 200;
    eventually(PATIENCE, "it is done again", again).await;
    let reasons = tokio::time::timeout(PATIENCE, heard).await.unwrap().unwrap();
    assert_eq!(reasons, ["first", "again"]);
    drop(reader.await.unwrap());
}

/// As many bytes as 30,000 lines of ordinary mails, and more than wait for a reader.
#[tokio::test]
async fn mail_goes_on_where_nobody_reads_the_log() {
    let (site, folder) = (Site::single(1, Settings::default()).await, tempfile::tempdir().unwrap());
    let mut milter = Unread::start(folder.path(), &site.farm_section());
    send(&milter.address, 1_400).await;
    assert!(milter.dropped().await > 0, "the lines do not fill the backlog");
    assert_eq!(milter.get("/live").await, "live\n");
    assert_eq!(milter.get("/ready").await, "ready\n");

    // Somebody reads again: what waited comes first, then how many are missing.
    let told = tokio::task::spawn_blocking(move || {
        let mut messages = 0;
        let told = next(&mut milter.lines, |line| {
            messages += u64::from(line["event"] == "message");
            line["event"] == "log_lines_dropped"
        });
        (milter, messages, told)
    });
    let (milter, messages, told) = tokio::time::timeout(PATIENCE, told).await.unwrap().unwrap();
    let missing = told["log.lines_dropped"].as_u64().unwrap();
    assert_eq!(missing, milter.dropped().await, "{told}");
    assert_eq!(messages + missing, 1_400, "every line was read or counted");

    // And stops reading.
    send(&milter.address, 40).await;
    let mut milter = milter;
    let begun = Instant::now();
    let id = milter.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    eventually(PATIENCE, "it ends", async || milter.child.try_wait().unwrap().is_some()).await;
    assert!(begun.elapsed() < END, "{:?}", begun.elapsed());
    assert!(milter.child.wait().unwrap().success());
}

#[tokio::test]
async fn sighup_opens_a_log_that_was_moved_away() {
    let (site, folder) = (Site::single(1, Settings::default()).await, tempfile::tempdir().unwrap());
    let log = folder.path().join("milter.log");
    let toml = format!("log.file = {log:?}\nlog.rotation = \"never\"\n");
    let milter: Milter = site.milter(&toml).await;
    let mail = || Mail::of(mail().attach("a.bin", "application/octet-stream", noise(2, 500)).bytes());
    let holds = |file: &Path, text: &str| fs::read_to_string(file).unwrap_or_default().contains(text);
    let (before, after) = (mail(), mail());
    milter.send(&before).await;
    eventually(PATIENCE, "the first line is written", async || holds(&log, &before.queue_id)).await;
    let moved = log.with_extension("log.1");
    fs::rename(&log, &moved).unwrap();
    milter.program.hang_up().unwrap();
    eventually(PATIENCE, "there is a file again", async || log.exists()).await;
    milter.send(&after).await;
    eventually(PATIENCE, "the next line is in the new file", async || holds(&log, &after.queue_id)).await;
    assert!(holds(&moved, &before.queue_id) && !holds(&moved, &after.queue_id));
    for file in [&log, &moved] {
        let mode = fs::metadata(file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & !0o640, 0, "{mode:o} {}", file.display());
    }
}
