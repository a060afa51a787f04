// SPDX-License-Identifier: GPL-3.0-or-later
//! New signatures, over real processes: which verdicts become stale, when every milter knows, and what is scanned again.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use std::time::{Duration, Instant};
use thundergate_harness::{
    eventually,
    mails::{mail, noise},
    mta::Mail,
    site::{Milter, Site},
    thunderstorm::Settings,
};
use tokio::task::JoinSet;

/// A generation is known everywhere within ten seconds; the rest is for a busy machine.
const LEARNT: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than any mail waits for a scan.
const ENDLESS: Duration = Duration::from_secs(3600);
const SAMPLES: u64 = 40;

fn with(seed: u64) -> Mail {
    Mail::of(mail().attach("a.bin", "application/octet-stream", noise(seed, 1000)).bytes())
}

fn new_signatures(site: &Site, instances: impl IntoIterator<Item = usize>) {
    for instance in instances {
        site.farm[instance].settings(|settings| settings.signatures = "2026/11/02-120000".to_owned());
    }
}

/// How many requests the scanners turned away.
async fn denied(site: &Site) -> u64 {
    // Already there where another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut denied = 0;
    for instance in &site.farm {
        let status = reqwest::get(format!("{}/api/status", instance.url())).await.unwrap();
        let status: serde_json::Value = serde_json::from_slice(&status.bytes().await.unwrap()).unwrap();
        denied += status["denied_requests"].as_u64().unwrap();
    }
    denied
}

/// Sends every sample through every milter at once.
async fn send_all(milters: &[Milter]) {
    let mut mails = JoinSet::new();
    for milter in milters {
        for seed in 0..SAMPLES {
            let address = milter.address.clone();
            mails.spawn(async move {
                let mut mta = thundergate_harness::mta::Mta::connect(&address).await.unwrap();
                let reply = mta.send(&with(seed)).await.unwrap();
                assert!(reply.delivers(), "{reply:?}");
            });
        }
    }
    while let Some(sent) = mails.join_next().await {
        sent.unwrap();
    }
}

async fn known(site: &Site, milter: &Milter, signatures: &str) {
    eventually(PATIENCE, "the farm's signatures are known", async || {
        let learnt =
            |line: &serde_json::Value| line["event"] == "generation" && line["farm.signatures"] == signatures;
        milter.program.wait_for(learnt, PATIENCE).await.is_some()
    })
    .await;
    assert!(!site.farm.is_empty());
}

#[tokio::test]
async fn new_signatures_make_clean_verdicts_stale_for_every_milter_and_each_is_scanned_once_more() {
    let settings = Settings { service_time: Duration::from_millis(30), threads: 4, ..Settings::default() };
    let site = Site::cluster(2, settings).await;
    let wait = "wait.sessions = 200\ncache.local_ttl = \"1h\"";
    let milters = [site.milter(wait).await, site.milter(wait).await, site.milter(wait).await];
    let _workers = [site.worker("").await, site.worker("").await];
    send_all(&milters).await;
    send_all(&milters).await;
    assert_eq!(site.scans(), SAMPLES);
    for milter in &milters {
        known(&site, milter, "2026/11/01-120000").await;
    }

    new_signatures(&site, [0]);
    // Half of the farm is no farm: after two rounds of reports nothing has changed.
    eventually(PATIENCE, "the farm knows of it", async || {
        reported(&site).await.contains("2026/11/02-120000")
    })
    .await;
    send_all(&milters).await;
    assert_eq!(site.scans(), SAMPLES, "one instance alone makes nothing stale");

    new_signatures(&site, [1]);
    let since = Instant::now();
    for milter in &milters {
        known(&site, milter, "2026/11/02-120000").await;
    }
    assert!(since.elapsed() < LEARNT, "{:?}", since.elapsed());
    let before = denied(&site).await;
    send_all(&milters).await;
    assert_eq!(site.scans(), 2 * SAMPLES, "each sample is scanned once more");
    assert_eq!(denied(&site).await, before, "no instance is asked for more than it has threads");
    send_all(&milters).await;
    assert_eq!(site.scans(), 2 * SAMPLES, "and no more than once");
}

/// What the workers say of the farm.
async fn reported(site: &Site) -> String {
    told(site, &["farm", "--json"]).await
}

async fn told(site: &Site, arguments: &[&str]) -> String {
    let output = site.command(arguments).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn an_operator_who_bumps_the_generation_makes_clean_verdicts_stale() {
    let site = Site::cluster(1, Settings::default()).await;
    let milter = site.milter("cache.local_ttl = \"1h\"").await;
    let _worker = site.worker("").await;
    milter.send(&with(1)).await;
    milter.send(&with(1)).await;
    assert_eq!(site.scans(), 1);
    assert!(told(&site, &["generation"]).await.contains("Bumped: never"));
    assert!(told(&site, &["generation", "bump"]).await.contains("Bumped: 20"));
    eventually(LEARNT, "it is scanned again", async || {
        assert!(milter.send(&with(1)).await.delivers());
        site.scans() > 1
    })
    .await;
}

#[tokio::test]
async fn a_stale_verdict_can_serve_while_the_sample_is_scanned_again() {
    let site = Site::cluster(1, Settings::default()).await;
    let milter = site.milter("cache.stale = \"serve\"\ncache.local_ttl = \"1h\"").await;
    let _worker = site.worker("").await;
    milter.send(&with(1)).await;
    known(&site, &milter, "2026/11/01-120000").await;
    new_signatures(&site, [0]);
    known(&site, &milter, "2026/11/02-120000").await;
    // A mail that waited for this scan would be told to try again.
    site.farm[0].settings(|settings| settings.service_time = ENDLESS);
    for _ in 0..3 {
        assert!(milter.send(&with(1)).await.delivers());
    }
    eventually(PATIENCE, "it is scanned again", async || site.scans() == 2).await;
}

#[tokio::test]
async fn stale_verdicts_can_be_ignored() {
    let site = Site::cluster(1, Settings::default()).await;
    let milter = site.milter("cache.stale = \"ignore\"").await;
    let _worker = site.worker("").await;
    milter.send(&with(1)).await;
    known(&site, &milter, "2026/11/01-120000").await;
    new_signatures(&site, [0]);
    known(&site, &milter, "2026/11/02-120000").await;
    assert!(milter.send(&with(1)).await.delivers());
    assert_eq!(site.scans(), 1);
}

#[tokio::test]
async fn a_farm_that_goes_back_to_older_signatures_goes_on_scanning() {
    let site = Site::cluster(1, Settings::default()).await;
    new_signatures(&site, [0]);
    let milter = site.milter("").await;
    let _worker = site.worker("").await;
    assert!(milter.send(&with(1)).await.delivers());
    known(&site, &milter, "2026/11/02-120000").await;
    site.farm[0].settings(|settings| settings.signatures = "2026/11/01-120000".to_owned());
    // The milter still asks for the newer ones, until it learns.
    assert!(milter.send(&with(2)).await.delivers());
    assert!((2..=4).contains(&site.scans()), "{}", site.scans());
    let went_back = |line: &serde_json::Value| {
        line["level"] == "warning" && line["farm.signatures_before"] == "2026/11/02-120000"
    };
    assert!(milter.program.wait_for(went_back, PATIENCE).await.is_some(), "that is worth a warning");
}

#[tokio::test]
async fn one_process_knows_the_generation_of_its_farm() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    milter.send(&with(1)).await;
    new_signatures(&site, [0]);
    eventually(LEARNT, "it is scanned again", async || {
        assert!(milter.send(&with(1)).await.delivers());
        site.scans() == 2
    })
    .await;
}
