// SPDX-License-Identifier: GPL-3.0-or-later
//! A scanner that finds nothing any more, over real processes: it gets no mail, and what it called clean is scanned again.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use std::time::Duration;
use thundergate_harness::{
    eventually,
    mails::{eicar, mail},
    mta::Mail,
    process::binary,
    site::{Milter, Site},
    thunderstorm::Settings,
};

const PATIENCE: Duration = Duration::from_secs(30);
const CANARY: &str = "canary.every = \"1s\"";

fn malware(number: u32) -> Mail {
    let bytes = [eicar(), format!("\n{number}").into_bytes()].concat();
    Mail::of(mail().attach("a.com", "application/octet-stream", bytes).bytes())
}

fn blind(site: &Site, instance: usize, blind: bool) {
    site.farm[instance].settings(|settings| settings.blind = blind);
}

async fn passes(milter: &Milter, number: u32) -> bool {
    milter.send(&malware(number)).await.delivers()
}

async fn told(site: &Site, state: &str) {
    eventually(PATIENCE, state, async || {
        let output = site.command(&["farm", "--json"]).await;
        let farm: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        farm["instances"][1]["workers"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one["state"] == state))
    })
    .await;
}

#[tokio::test]
async fn a_scanner_that_goes_blind_gets_no_mail_and_what_it_let_through_is_found_after_all() {
    let site = Site::cluster(2, Settings::default()).await;
    let milter = site.milter("cache.local_ttl = \"1h\"").await;
    let workers = [site.worker(CANARY).await, site.worker(CANARY).await];
    eventually(PATIENCE, "both have found a canary", async || {
        site.farm.iter().all(|instance| instance.own_uploads_of("thundergate-canary") > 1)
    })
    .await;
    told(&site, "closed").await;
    blind(&site, 1, true);
    let mut let_through = Vec::new();
    let mut ids = Vec::new();
    for number in 0..40 {
        let mail = malware(number);
        if milter.send(&mail).await.delivers() {
            let_through.push(number);
            ids.push(mail.queue_id);
        }
        if let_through.len() > 1 {
            break;
        }
    }
    told(&site, "blind").await;
    assert!(!let_through.is_empty(), "it had some of the mail while nobody knew");
    for id in &ids {
        let named = |line: &serde_json::Value| {
            line["msg"] == "Mail was let through on the word of an instance that was blind"
                && line["farm.instance"] == "storm1"
                && line["queue.ids"].as_str().is_some_and(|ids| ids.split(',').any(|one| one == id))
        };
        assert!(milter.program.wait_for(named, PATIENCE).await.is_some(), "the milter names {id}");
    }
    let before = site.farm[1].total();
    for number in &let_through {
        eventually(PATIENCE, "it is found now", async || !passes(&milter, *number).await).await;
    }
    for number in 100..120 {
        assert!(!passes(&milter, number).await);
    }
    assert_eq!(site.farm[1].total(), before, "a blind one gets no mail");
    let warned = |line: &serde_json::Value| {
        line["level"] == "warning" && line["event"] == "blind" && line["farm.instance"] == "storm1"
    };
    let mut warnings = 0;
    for worker in &workers {
        warnings += usize::from(worker.wait_for(warned, Duration::from_millis(200)).await.is_some());
    }
    assert_eq!(warnings, 1, "the one that leads says so");
    blind(&site, 1, false);
    told(&site, "closed").await;
}

#[tokio::test]
async fn a_scanner_in_one_process_is_looked_after_by_the_milter() {
    let site = Site::single(2, Settings::default()).await;
    let milter = site.milter(CANARY).await;
    eventually(PATIENCE, "both have found a canary", async || {
        site.farm.iter().all(|instance| instance.own_uploads_of("thundergate-canary") > 1)
    })
    .await;
    blind(&site, 1, true);
    let warned = |line: &serde_json::Value| line["event"] == "blind" && line["farm.instance"] == "storm1";
    assert!(milter.program.wait_for(warned, PATIENCE).await.is_some());
    eventually(PATIENCE, "the other one has all mail", async || {
        let before = site.farm[1].total();
        for number in 0..10 {
            passes(&milter, 1000 + number).await;
        }
        site.farm[1].total() == before
    })
    .await;
}

#[tokio::test]
async fn a_milter_beside_redis_says_that_the_canary_is_the_workers() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "[redis]\nurl = \"redis://127.0.0.1:1\"\n[canary]\nevery = \"1m\"\n").unwrap();
    let mut check = tokio::process::Command::new(binary("thundergate-milter").unwrap());
    let output = check.arg("check").arg("--config").arg(file.path()).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(text.contains("canary.every") && text.contains("worker.toml"), "{text}");
}

#[test]
fn no_program_holds_the_file_that_every_scanner_reports() {
    let eicar = eicar();
    for program in ["thundergate-worker", "thundergate-milter", "thundergate"] {
        let bytes = std::fs::read(binary(program).unwrap()).unwrap();
        let halves = [&eicar[..40], &eicar[28..]];
        for half in halves {
            assert!(!bytes.windows(half.len()).any(|window| window == half), "{program}");
        }
    }
}
