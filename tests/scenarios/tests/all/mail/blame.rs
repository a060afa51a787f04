// SPDX-License-Identifier: GPL-3.0-or-later
//! Whose fault a failed scan is, as senders and operators see it: a bad sample costs its own mail, a dead farm is told at
//! once, and neither costs anybody else anything.

use std::time::{Duration, Instant};
use thundergate_harness::{
    eventually,
    mails::{mail, noise},
    mta::{Mail, Reply},
    site::{Milter, Site},
    thunderstorm::{Fault, Hostility, Settings},
};

const PATIENCE: Duration = Duration::from_secs(30);

fn attached(bytes: &[u8]) -> Mail {
    Mail::of(mail().attach("a.bin", "application/octet-stream", bytes).bytes())
}

fn hostile(hostility: Hostility) -> Vec<u8> {
    format!("a file with {} in it", hostility.mark()).into_bytes()
}

/// What the milter says of `mail` and how it logs it, and how long that took.
async fn told(milter: &Milter, mail: &Mail) -> (Reply, serde_json::Value, Duration) {
    let sent = Instant::now();
    let reply = milter.send(mail).await;
    (reply, milter.line_of(mail).await, sent.elapsed())
}

#[tokio::test]
async fn a_sample_that_scanners_refuse_gets_scan_failed_at_its_first_try_and_at_each_retry() {
    for hostility in [Hostility::Refused, Hostility::Error, Hostility::HungUp] {
        let site = Site::single(2, Settings::default()).await;
        let milter = site.milter("policy.on.scan_failed = \"quarantine\"").await;
        let bytes = hostile(hostility);
        for number in 0..3 {
            let mail = Mail { queue_id: format!("BAD{number}"), ..attached(&bytes) };
            let (reply, line, _) = told(&milter, &mail).await;
            assert_eq!(line["cause"], "scan_failed", "{hostility:?}: {line}");
            assert!(reply.quarantine.is_some(), "{hostility:?}: {reply:?}");
        }
        assert_eq!(site.scans_of(&bytes), 2, "{hostility:?}: in all");
        let (reply, line, _) = told(&milter, &attached(&noise(1, 1000))).await;
        assert!(reply.delivers(), "{hostility:?}: {line}");
    }
}

#[tokio::test]
async fn a_dead_farm_defers_new_mail_at_once_says_why_and_scans_it_when_it_is_back() {
    for in_one_process in [true, false] {
        let site = if in_one_process {
            Site::single(1, Settings::default()).await
        } else {
            Site::cluster(1, Settings::default()).await
        };
        let milter = site.milter("wait.deadline = \"20s\"").await;
        let _worker = if in_one_process { None } else { Some(site.worker("").await) };
        assert!(milter.send(&attached(&noise(1, 1000))).await.delivers());
        site.farm[0].stop().await;

        let (new, mut number) = (noise(2, 1000), 0);
        let mut try_again = async || {
            number += 1;
            told(&milter, &Mail { queue_id: format!("NEW{number}"), ..attached(&new) }).await
        };
        let found_out = Instant::now() + PATIENCE;
        while try_again().await.1["cause"] != "unavailable" {
            assert!(Instant::now() < found_out);
        }
        let (reply, line, took) = try_again().await;
        assert!(!reply.delivers() && took < Duration::from_secs(3), "{took:?}: {line}");
        let reason = line["parts"][1]["reason"].as_str().unwrap();
        assert!(reason.starts_with("no scanner answers: storm0 Connection refused"), "{reason}");
        let known = told(&milter, &attached(&noise(1, 1000))).await;
        assert!(known.0.delivers(), "what is known needs no scanner: {}", known.1);
        let lines = milter.program.events();
        let told_once = lines.iter().filter(|line| {
            line["msg"].as_str().is_some_and(|message| message.starts_with("No scanner answers"))
        });
        assert_eq!(told_once.count(), 1);

        site.farm[0].start_again().await;
        eventually(PATIENCE, "what was deferred is scanned", async || site.scans_of(&new) == 1).await;
        eventually(PATIENCE, "and its retry delivered", async || try_again().await.0.delivers()).await;
        assert_eq!(site.scans_of(&new), 1);
    }
}

#[tokio::test]
async fn a_scanner_that_answers_info_and_scans_nothing_is_left_alone() {
    let site = Site::single(2, Settings::default()).await;
    let milter = site.milter("").await;
    assert!(milter.send(&attached(&noise(0, 1000))).await.delivers());
    site.farm[0].fault(Fault::Status(502));
    for seed in 1..=20 {
        let (reply, line, _) =
            told(&milter, &Mail { queue_id: format!("M{seed}"), ..attached(&noise(seed, 1000)) }).await;
        assert!(reply.delivers(), "{line}");
    }
    let opened = |line: &serde_json::Value| {
        line["msg"].as_str().is_some_and(|message| message.contains("gets no samples until"))
    };
    milter.program.wait_for(opened, PATIENCE).await.unwrap();
    assert_eq!(milter.program.events().iter().filter(|line| opened(line)).count(), 1, "and told once");
}
