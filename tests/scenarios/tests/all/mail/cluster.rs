// SPDX-License-Identifier: GPL-3.0-or-later
//! Milters, workers, scanners and a Redis, all of them real processes: one scan for one sample, and what happens when
//! somebody dies.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};
use thundergate_harness::{
    eventually,
    mails::{eicar, mail, noise},
    mta::{Action, Mail, Mta},
    site::Site,
    thunderstorm::Settings,
};
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(30);

fn attached(name: &str, bytes: &[u8]) -> Mail {
    Mail::of(mail().attach(name, "application/octet-stream", bytes).bytes())
}

#[tokio::test]
async fn the_same_attachment_in_200_mails_is_uploaded_once() {
    let settings = Settings { service_time: Duration::from_millis(300), ..Settings::default() };
    let site = Site::cluster(3, settings).await;
    let milters = [site.milter("").await, site.milter("").await];
    let _workers = [site.worker("").await, site.worker("").await, site.worker("").await];
    let mut large = noise(1, 1 << 20);
    large.extend_from_slice(b"THUNDERGATE-TEST-STRONG-1");
    let mut connections = JoinSet::new();
    for number in 0..20 {
        let address = milters[number % 2].address.clone();
        let large = large.clone();
        connections.spawn(async move {
            let mut mta = Mta::connect(&address).await.unwrap();
            let mut replies = Vec::new();
            for _ in 0..10 {
                replies.push(mta.send(&attached("report.bin", &large)).await.unwrap());
            }
            replies
        });
    }
    let replies: Vec<_> = connections.join_all().await.into_iter().flatten().collect();
    assert_eq!(replies.len(), 200);
    assert!(
        replies.iter().all(|reply| reply.quarantine.is_some() && reply.action == Action::Accept),
        "{replies:?}"
    );
    assert_eq!(site.scans_of(&large), 1);
    // One mail had it scanned, and others that came meanwhile, at either milter, joined that.
    let events: Vec<_> = milters.iter().flat_map(|milter| milter.program.events()).collect();
    let parts = events.iter().filter_map(|event| event["parts"].as_array()).flatten();
    let sources: Vec<_> =
        parts.filter(|part| part["name"] == "report.bin").map(|part| &part["source"]).collect();
    let count = |wanted: &str| sources.iter().filter(|source| **source == wanted).count();
    assert!(count("scan") == 1 && count("joined") > 0, "{sources:?}");
}

#[tokio::test]
async fn a_worker_killed_in_the_middle_of_a_scan_is_replaced() {
    let settings = Settings { service_time: Duration::from_secs(2), ..Settings::default() };
    let site = Site::cluster(1, settings).await;
    let milter = site.milter("wait.deadline = \"40s\"").await;
    let mut victim = site.worker("").await;
    let sample = noise(2, 10_000);
    let mail = attached("a.bin", &sample);
    let waiting = milter.send(&mail);
    let killing = async {
        eventually(PATIENCE, "the scan has begun", async || site.farm[0].scanning() > 0).await;
        victim.kill9().await.unwrap();
        let killed = Instant::now();
        let heir = site.worker("").await;
        eventually(PATIENCE, "another worker scans", async || site.scans_of(&sample) > 1).await;
        (killed.elapsed(), heir)
    };
    let (reply, (took, _heir)) = tokio::join!(waiting, killing);
    assert!(reply.delivers(), "{reply:?}");
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert_eq!(milter.line_of(&mail).await["decision"], "accept");
}

#[tokio::test]
async fn without_redis_mail_is_deferred_and_flows_again_when_it_is_back() {
    let site = Site::cluster(1, Settings::default()).await;
    let milter = site.milter("wait.deadline = \"3s\"").await;
    let _worker = site.worker("").await;
    assert!(milter.send(&attached("a.bin", &noise(1, 1000))).await.delivers());
    site.stop_redis();
    let reply = milter.send(&attached("b.bin", &noise(2, 1000))).await;
    assert!(matches!(&reply.action, Action::ReplyCode(text) if text.starts_with("451 4.7.1")), "{reply:?}");
    site.start_redis();
    let back = Instant::now();
    eventually(PATIENCE, "mail flows", async || {
        milter.send(&attached("b.bin", &noise(2, 1000))).await.delivers()
    })
    .await;
    assert!(back.elapsed() < Duration::from_secs(5), "{:?}", back.elapsed());
}

#[tokio::test]
async fn without_redis_a_milter_with_a_farm_scans_directly() {
    let site = Site::cluster(1, Settings::default()).await;
    let milter = site.milter_with_fallback("").await;
    site.stop_redis();
    assert!(milter.send(&attached("a.bin", &noise(1, 1000))).await.delivers());
    let found = milter.send(&attached("b.com", &eicar())).await;
    assert!(found.quarantine.is_some(), "{found:?}");
    assert_eq!((site.scans_of(&noise(1, 1000)), site.scans_of(&eicar())), (1, 1));
}

#[tokio::test]
async fn redis_dying_while_a_mail_waits_accepts_nothing() {
    let settings = Settings { service_time: Duration::from_secs(2), ..Settings::default() };
    let site = Site::cluster(1, settings).await;
    let milter = site.milter("wait.deadline = \"6s\"").await;
    let _worker = site.worker("").await;
    let mail = attached("a.com", &eicar());
    let stopping = async {
        eventually(PATIENCE, "the scan has begun", async || site.farm[0].scanning() > 0).await;
        site.stop_redis();
    };
    let (reply, ()) = tokio::join!(milter.send(&mail), stopping);
    assert!(!reply.delivers(), "{reply:?}");
}

#[tokio::test]
async fn a_verdict_that_comes_after_the_deadline_serves_the_retry() {
    let settings = Settings { service_time: Duration::from_secs(1), ..Settings::default() };
    let site = Site::cluster(1, settings).await;
    let milter = site.milter("wait.deadline = \"200ms\"").await;
    let _worker = site.worker("").await;
    let sample = noise(3, 1000);
    let reply = milter.send(&attached("a.bin", &sample)).await;
    assert!(matches!(&reply.action, Action::ReplyCode(text) if text.starts_with("451 4.7.1")), "{reply:?}");
    eventually(PATIENCE, "the retry is accepted", async || {
        milter.send(&attached("a.bin", &sample)).await.delivers()
    })
    .await;
    assert_eq!(site.scans_of(&sample), 1);
}

#[tokio::test]
async fn a_drained_worker_hands_back_what_it_has_not_scanned() {
    let settings = Settings { service_time: Duration::from_secs(1), threads: 1, ..Settings::default() };
    let site = Site::cluster(1, settings).await;
    let milter = site.milter("wait.deadline = \"30s\"").await;
    let mut first = site.worker("").await;
    let sample = noise(4, 1000);
    let mail = attached("a.bin", &sample);
    let draining = async {
        eventually(PATIENCE, "the scan has begun", async || site.farm[0].scanning() > 0).await;
        let status = first.terminate().await.unwrap();
        assert!(status.success(), "{status:?}");
    };
    let (reply, ()) = tokio::join!(milter.send(&mail), draining);
    assert!(reply.delivers(), "{reply:?}");
    assert_eq!(site.scans_of(&sample), 1, "a drained worker finishes its scan");
}

#[tokio::test]
async fn troubles_are_told_once_when_they_begin() {
    let site = Site::cluster(1, Settings::default()).await;
    let milter = site.milter("").await;
    site.stop_redis();
    for seed in 0..3 {
        milter.send(&attached("a.bin", &noise(seed, 1000))).await;
    }
    // The hub is one trouble; that no announcements arrive is another, where that is noticed so soon.
    let events = milter.program.events();
    let told: Vec<_> =
        events.iter().filter(|line| line["level"] == "warning").map(|line| &line["msg"]).collect();
    let each: HashSet<_> = told.iter().copied().collect();
    assert!(!told.is_empty() && told.len() == each.len(), "{told:?}");
}
