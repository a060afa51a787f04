// SPDX-License-Identifier: GPL-3.0-or-later
//! `thundergate`, the people's command, against real programs: the same commands on one process and on a cluster.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use std::time::Duration;
use tempfile::TempDir;
use thundergate_common::digest::Digest;
use thundergate_harness::{
    eventually,
    mails::{eicar, mail, noise},
    mta::Mail,
    process::{Program, binary},
    site::{Milter, Site},
    thunderstorm::{Fault, Settings},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// What a command printed to both streams, and its exit status.
async fn told(site: &Site, line: &str) -> (Option<i32>, String) {
    let output = site.command(&line.split(' ').collect::<Vec<_>>()).await;
    let both = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(both).unwrap())
}

/// What a command that succeeds printed.
async fn well(site: &Site, line: &str) -> String {
    let (status, text) = told(site, line).await;
    assert_eq!(status, Some(0), "{line}: {text}");
    text
}

async fn json(site: &Site, line: &str) -> serde_json::Value {
    serde_json::from_str(&well(site, &format!("{line} --json")).await).unwrap()
}

fn with(bytes: Vec<u8>) -> Mail {
    Mail::of(mail().attach("a.bin", "application/octet-stream", bytes).bytes())
}

/// One found, one clean, one that the scanner cannot scan. Returns the last one.
async fn three_mails(site: &Site, milter: &Milter) -> Mail {
    milter.send(&with(noise(1, 100))).await;
    assert!(milter.send(&with(eicar())).await.quarantine.is_some());
    site.farm[0].fault_of_mail(Fault::Status(400));
    let failed = with(noise(2, 100));
    assert!(!milter.send(&failed).await.delivers());
    site.farm[0].fault(Fault::None);
    failed
}

#[tokio::test]
async fn the_same_commands_work_on_one_process() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let failed = all_commands_work(&site, &milter, "milter").await;
    let retried = well(&site, "queue retry --all").await;
    assert!(retried.starts_with("0 queued again\n1 skipped: the bytes are no longer there"), "{retried}");
    assert!(milter.send(&failed).await.delivers(), "nothing is held against it any longer");
    let why = async || well(&site, &format!("why {}", failed.queue_id)).await;
    let both = async || why().await.matches("The mail was ").count() == 2;
    eventually(PATIENCE, "both tries are told", both).await;
    assert!(why().await.contains("The mail was accepted since the scanner found nothing in it."));
}

#[tokio::test]
async fn the_same_commands_work_on_a_cluster() {
    let site = Site::cluster(1, Settings::default()).await;
    let milter = site.milter("").await;
    let _worker = site.worker("queue.max_deliveries = 1").await;
    let failed = all_commands_work(&site, &milter, "worker").await;
    let of_milter = format!("queue --socket {}", milter.program.socket().unwrap().display());
    let (status, text) = told(&site, &of_milter).await;
    assert!(status == Some(69) && text.contains("the workers'"), "{text}");
    assert_eq!(well(&site, "queue retry --all").await, "1 queued again\n");
    let why = async || well(&site, &format!("why {}", failed.queue_id)).await;
    let answered = async || why().await.contains("is answered from the verdict that is there now");
    eventually(PATIENCE, "it is scanned after all", answered).await;
    assert_eq!(well(&site, "queue drop --all").await, "0 dropped\n");
}

/// All but what becomes of the dead letter of the mail that it returns.
async fn all_commands_work(site: &Site, milter: &Milter, program: &str) -> Mail {
    let failed = three_mails(site, milter).await;
    let (found, clean) = (Digest::of(&eicar()), Digest::of(&noise(1, 100)));

    assert!(well(site, "status").await.starts_with(program));
    assert_eq!(json(site, "status").await[0]["program"]["name"], program);
    assert!(well(site, "farm").await.contains("storm0"));
    assert_eq!(json(site, "farm").await["instances"][0]["name"], "storm0");
    let queue = well(site, "queue").await;
    assert!(queue.contains("Dead letters: 1") && queue.contains(&failed.queue_id), "{queue}");

    let why = async || told(site, &format!("why {}", failed.queue_id)).await;
    eventually(PATIENCE, "the record is stored", async || why().await.0 == Some(0)).await;
    let text = why().await.1;
    assert!(text.contains("The mail was deferred since storm0 could not scan a.bin"), "{text}");
    assert!(text.contains("the next try gets the same answer without a scan"), "{text}");

    let seen = well(site, &format!("seen {found}")).await;
    assert!(seen.contains("recipient@example.net") && seen.contains("1 mail;"), "{seen}");
    let known = json(site, &format!("seen {found}.bin")).await;
    assert!(known["mails"][0]["at_ms"].as_u64().unwrap() > 1_700_000_000_000, "{known}");
    let verdict = well(site, &format!("verdict {found}")).await;
    assert!(verdict.starts_with("found") && verdict.contains(&format!("{found}.bin")), "{verdict}");

    assert!(well(site, &format!("verdict {clean}")).await.starts_with("clean\n"));
    assert!(well(site, "generation").await.contains("Bumped: never"));
    assert!(well(site, "generation bump --reason new").await.contains("Bumped: 20"));
    let outdated =
        async || well(site, &format!("verdict {clean}")).await.starts_with("clean, but outdated\n");
    eventually(PATIENCE, "the clean verdict is outdated", outdated).await;
    assert!(well(site, &format!("verdict forget {clean}")).await.starts_with("1 verdict forgotten"));
    assert_eq!(told(site, &format!("verdict {clean}")).await.0, Some(1));

    assert_eq!(told(site, "why 4BqNobody").await.0, Some(1));
    failed
}

#[tokio::test]
async fn a_dead_letter_is_shown_tried_again_and_dropped() {
    let site = Site::cluster(1, Settings::default()).await;
    let milter = site.milter("").await;
    let _worker = site.worker("queue.max_deliveries = 1").await;
    for seed in 1..=2 {
        site.farm[0].fault_of_mail(Fault::Status(400));
        assert!(!milter.send(&with(noise(seed, 100))).await.delivers());
    }
    site.farm[0].fault(Fault::None);
    let shown = well(&site, "queue").await;
    assert!(shown.contains("Dead letters: 2") && shown.contains("400"), "{shown}");
    let state = json(&site, "queue").await;
    let id = state["dead_letters"][1]["id"].as_str().unwrap();
    assert_eq!(well(&site, &format!("queue retry {id}")).await, "1 queued again\n");
    let scanned = site.scans();
    eventually(PATIENCE, "it is scanned again", async || site.scans() > scanned).await;
    assert!(milter.send(&with(noise(1, 100))).await.delivers());
    assert_eq!(told(&site, "queue drop 0-0").await.0, Some(1));
    assert_eq!(told(&site, "queue drop").await.0, Some(64));
    assert_eq!(well(&site, "queue drop --all").await, "1 dropped\n");
    assert!(well(&site, "queue").await.contains("Dead letters: 0"));
}

#[tokio::test]
async fn the_older_names_ask_the_worker_of_their_configuration() {
    let site = Site::cluster(1, Settings::default()).await;
    let milter = site.milter("").await;
    let worker = site.worker("").await;
    milter.send(&with(noise(1, 100))).await;
    let directory = tempfile::tempdir().unwrap();
    let run = async |config: &str, line: &str| {
        let file = directory.path().join("worker.toml");
        std::fs::write(&file, config).unwrap();
        let mut command = tokio::process::Command::new(binary("thundergate-worker").unwrap());
        let output = command.args(line.split(' ')).arg("--config").arg(&file).output().await.unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let own = std::fs::read_to_string(worker.dir().unwrap().join("config.toml")).unwrap();
    let own = format!("admin.socket = {:?}\n{own}", worker.socket().unwrap());
    let clean = Digest::of(&noise(1, 100));
    for (line, tells) in [
        ("farm".to_owned(), "storm0"),
        ("queue".to_owned(), "mail"),
        ("generation --json".to_owned(), "bumped_at_ms"),
        (format!("verdict {clean}.bin"), "clean"),
        (format!("verdict show {clean}"), "clean"),
        (format!("verdict forget {clean}"), "1 verdict forgotten"),
    ] {
        let (status, text) = run(&own, &line).await;
        assert_eq!(status, Some(0), "{line}: {text}");
        assert!(text.contains(tells), "{line}: {text}");
    }
    let nowhere = format!("admin.socket = \"/nowhere\"\n{}", site.farm_section());
    let (status, text) = run(&nowhere, "queue").await;
    assert_eq!(status, Some(69), "{text}");
    assert!(text.contains("no worker or milter with an admin socket runs here"), "{text}");
    let (status, text) = run("nonsense = 1", "queue").await;
    assert_eq!(status, Some(78), "{text}");
    let named = format!("queue --socket {}", worker.socket().unwrap().display());
    assert_eq!(run("nonsense = 1", &named).await.0, Some(0), "whoever is named needs no configuration");
}

/// A worker that is asked over TCP by tokens, with `extra` in `[admin]`.
async fn worker_with_tokens(site: &Site, directory: &TempDir, extra: &str) -> Program {
    let tokens: String = ["read", "operator"]
        .iter()
        .map(|scope| {
            let token = format!("{scope}-0123456789abcdef");
            std::fs::write(directory.path().join(scope), format!("{token}\n")).unwrap();
            format!("anna-{scope} {scope} {}\n", Digest::of(token.as_bytes()))
        })
        .collect();
    let file = directory.path().join("tokens");
    std::fs::write(&file, tokens).unwrap();
    site.worker(&format!("admin.tokens_file = {file:?}\n{extra}")).await
}

#[tokio::test]
async fn from_elsewhere_a_token_opens_what_its_scope_has() {
    let site = Site::cluster(1, Settings::default()).await;
    let directory = tempfile::tempdir().unwrap();
    let worker = worker_with_tokens(&site, &directory, "").await;
    let url = format!("http://{}", worker.addresses("admin").swap_remove(0));
    let run = async |line: &str, token: Option<&str>| {
        let mut command = tokio::process::Command::new(binary("thundergate").unwrap());
        command.args(line.split(' ')).args(["--url", &url]);
        command.env_remove("THUNDERGATE_TOKEN_FILE");
        if let Some(token) = token {
            command.arg("--token-file").arg(directory.path().join(token));
        }
        let output = command.output().await.unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    for (line, token, status) in [
        ("queue", Some("read"), 0),
        ("queue", Some("operator"), 0),
        ("queue", None, 77),
        ("generation bump", Some("read"), 77),
        ("generation bump", Some("operator"), 0),
    ] {
        let (code, text) = run(line, token).await;
        assert_eq!(code, Some(status), "{line} with {token:?}: {text}");
        let needs = if line == "queue" { "the scope read" } else { "the scope operator" };
        assert_eq!(status == 77, text.contains(needs), "{text}");
    }
}
