// SPDX-License-Identifier: GPL-3.0-or-later
use crate::{
    eventually,
    stub::{Reply, Stub, alert, farm, farm_with, info, instance, sample},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use thundergate_common::{config, generation::InstanceState};
use thundergate_worker::farm::{Farm, ScanError, metrics::FarmMetrics};
use tokio::task::JoinSet;

async fn probed(configured: &config::Farm) -> Arc<Farm> {
    let farm = Arc::new(Farm::new(configured, FarmMetrics::default()).unwrap());
    farm.probe().await;
    farm
}

/// `[]`, or what else.
fn clean_if(clean: bool, other: Reply) -> Reply {
    if clean { Reply::new(200, "[]") } else { other }
}

/// A port on which nobody listens.
async fn nowhere() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn a_verdict_tells_who_scanned_and_with_which_signatures() {
    let stub = Stub::start().await;
    stub.answer(alert);
    let farm = probed(&farm(&[instance("one", &stub.url)])).await;
    assert_eq!(farm.capacity(), 4, "the threads of /api/info");
    let verdict = farm.scan(&sample(b"x"), "mx", None).await.unwrap();
    assert_eq!((verdict.instance.as_str(), verdict.score()), ("one", 90));
    assert_eq!(verdict.signatures.as_deref(), Some("2026/01/01-000000"));
}

#[tokio::test]
async fn signatures_that_change_during_a_scan_leave_the_older_version() {
    let stub = Arc::new(Stub::start().await);
    let farm = probed(&farm(&[instance("one", &stub.url)])).await;
    stub.hold();
    let mut scan = JoinSet::new();
    let scanning = Arc::clone(&farm);
    scan.spawn(async move { scanning.scan(&sample(b"x"), "", None).await });
    eventually("the upload arrives", async || stub.uploads().len() == 1).await;
    stub.info(info("2026/02/02-000000", 4));
    stub.let_pass(1);
    let verdict = scan.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(verdict.signatures.as_deref(), Some("2026/01/01-000000"));
    assert_eq!(farm.reports()[0].signatures.as_deref(), Some("2026/02/02-000000"), "read afterwards");
}

#[tokio::test]
async fn many_scans_do_not_ask_for_signatures_twice_each() {
    let stub = Arc::new(Stub::start().await);
    let farm = probed(&farm_with(&[instance("one", &stub.url)], "probe_interval = \"1h\"")).await;
    let mut scans = JoinSet::new();
    for n in 0..100_u8 {
        let farm = Arc::clone(&farm);
        scans.spawn(async move { farm.scan(&sample(&[n]), "", None).await.map(drop) });
    }
    assert!(scans.join_all().await.into_iter().all(|result| result.is_ok()));
    assert!(stub.infos() < 150, "{} times", stub.infos());
}

#[tokio::test]
async fn no_instance_gets_more_scans_than_it_may_run() {
    let (one, two) = (Stub::start().await, Stub::start().await);
    let limited = format!("{{ name = \"two\", url = {:?}, concurrency = 2 }}", two.url);
    one.hold();
    two.hold();
    let farm = probed(&farm(&[instance("one", &one.url), limited])).await;
    assert_eq!(farm.capacity(), 6);
    let mut scans = JoinSet::new();
    for n in 0..20_u8 {
        let farm = Arc::clone(&farm);
        scans.spawn(async move { farm.scan(&sample(&[n]), "", None).await.map(drop) });
    }
    eventually("both are full", async || one.uploads().len() + two.uploads().len() == 6).await;
    assert_eq!((one.uploads().len(), two.uploads().len()), (4, 2));
    one.let_pass(100);
    two.let_pass(100);
    assert!(scans.join_all().await.into_iter().all(|result| result.is_ok()));
    assert!(farm.reports().iter().all(|instance| instance.in_flight == 0));
}

#[tokio::test]
async fn a_busy_instance_pauses_and_the_sample_goes_elsewhere_at_once() {
    for status in [503, 429] {
        let (busy, free) = (Stub::start().await, Stub::start().await);
        busy.answer(move |_| Reply::new(status, "busy").with("retry-after", "60"));
        let farm = probed(&farm_with(
            &[instance("busy", &busy.url), instance("free", &free.url)],
            "attempts = 1\nbreaker_failures = 1",
        ))
        .await;
        for n in 0..20_u8 {
            assert_eq!(farm.scan(&sample(&[n]), "", None).await.unwrap().instance, "free");
        }
        assert!(busy.uploads().len() <= 1, "it was asked again during its pause");
        assert_eq!(free.uploads().len(), 20);
        if !busy.uploads().is_empty() {
            assert_eq!(farm.reports()[0].state, InstanceState::Paused, "{status} is no failure");
        }
    }
}

#[tokio::test]
async fn a_rate_limit_delays_samples_and_fails_none() {
    let stub = Stub::start().await;
    let asked = AtomicUsize::new(0);
    stub.answer(move |_| match asked.fetch_add(1, Ordering::Relaxed) % 3 {
        2 => Reply::new(200, "[]"),
        _ => Reply::new(429, "slow down").with("retry-after", "0"),
    });
    let farm = probed(&farm_with(
        &[instance("one", &stub.url)],
        "attempts = 1\nbreaker_failures = 1\nprobe_interval = \"1h\"",
    ))
    .await;
    for n in 0..6_u8 {
        assert!(farm.scan(&sample(&[n]), "", None).await.unwrap().is_clean());
    }
    assert_eq!(farm.reports()[0].last_error, None);
}

#[tokio::test]
async fn a_sample_that_one_instance_refuses_for_its_size_goes_to_another_that_takes_it() {
    let (small, large) = (Stub::start().await, Stub::start().await);
    small.answer(|upload| {
        if upload.bytes.len() > 10 && !upload.is_own() { Reply::new(413, "") } else { Reply::new(200, "[]") }
    });
    let farm = probed(&farm_with(
        &[instance("small", &small.url), instance("large", &large.url)],
        "attempts = 1\nbreaker_failures = 1",
    ))
    .await;
    for n in 0..20_u8 {
        assert_eq!(farm.scan(&sample(&[n; 11]), "", None).await.unwrap().instance, "large");
    }
    assert!(small.uploads().len() <= 1, "once was enough to know: {}", small.uploads().len());
    let names = async || farm.scan(&sample(&[fastrand::u8(..); 10]), "", None).await.unwrap().instance;
    eventually("smaller ones go there as before", async || names().await == "small").await;
    assert_eq!(farm.reports()[0].state, InstanceState::Closed);
}

#[tokio::test]
async fn a_sample_that_all_instances_refuse_for_its_size_is_uploaded_once_to_each() {
    let (one, two) = (Stub::start().await, Stub::start().await);
    for stub in [&one, &two] {
        stub.answer(|upload| clean_if(upload.is_own(), Reply::new(413, "")));
    }
    let instances = [instance("one", &one.url), instance("two", &two.url)];
    let farm = probed(&farm_with(&instances, "breaker_failures = 1")).await;
    for n in 0..20_u8 {
        let result = farm.scan(&sample(&[n; 11]), "", None).await;
        assert!(matches!(result, Err(ScanError::TooLarge)), "{result:?}");
    }
    assert_eq!((one.uploads().len(), two.uploads().len()), (1, 1));
    assert!(farm.reports().iter().all(|one| one.state == InstanceState::Closed && one.last_error.is_none()));
}

#[tokio::test]
async fn a_refusal_while_other_scans_run_limits_an_instance_and_does_not_pause_it() {
    let stub = Stub::start().await;
    let asked = AtomicUsize::new(0);
    stub.answer(move |upload| match asked.fetch_add(u8::from(!upload.is_own()).into(), Ordering::Relaxed) {
        0 if !upload.is_own() => Reply::new(503, "busy").with("retry-after", "60"),
        _ => Reply::new(200, "[]"),
    });
    stub.hold();
    let farm = probed(&farm(&[instance("one", &stub.url)])).await;
    let mut scans = JoinSet::new();
    for n in 0..3_u8 {
        let farm = Arc::clone(&farm);
        scans.spawn(async move { farm.scan(&sample(&[n]), "", None).await.map(drop) });
        eventually("it arrives", async || stub.uploads().len() == usize::from(n) + 1).await;
    }
    stub.let_pass(1);
    eventually("the limit is lower", async || farm.reports()[0].capacity < 4).await;
    assert_eq!(farm.reports()[0].state, InstanceState::Closed);
    stub.let_pass(3);
    assert!(scans.join_all().await.into_iter().all(|result| result.is_ok()));
    assert_eq!(stub.uploads().len(), 4, "the refused one came again, long before the minute was over");
}

#[tokio::test]
async fn a_failed_attempt_goes_to_another_instance_with_all_its_bytes() {
    let (broken, sound) = (Stub::start().await, Stub::start().await);
    broken.answer(|upload| clean_if(upload.is_own(), Reply::new(500, "oops")));
    let farm = probed(&farm(&[instance("broken", &broken.url), instance("sound", &sound.url)])).await;
    let body = vec![7_u8; 300_000];
    for n in 0..20_u8 {
        let body = [&body[..], &[n]].concat();
        assert_eq!(farm.scan(&sample(&body), "", None).await.unwrap().instance, "sound");
    }
    let retried = broken.uploads();
    assert!(!retried.is_empty());
    for upload in retried.iter().chain(&sound.uploads()) {
        assert_eq!(upload.bytes.len(), 300_001);
    }
    assert_eq!(farm.reports()[0].state, InstanceState::Closed, "it scans the known sample");
}

#[tokio::test]
async fn an_instance_that_is_down_is_found_out_without_a_sample() {
    let farm = probed(&farm_with(
        &[instance("down", &nowhere().await)],
        "timeout = \"100ms\"\nconnect_timeout = \"100ms\"",
    ))
    .await;
    assert!(!farm.available());
    assert!(farm.reports()[0].last_error.is_some());
    let started = Instant::now();
    assert!(matches!(farm.scan(&sample(b"x"), "", None).await, Err(ScanError::NoInstance)));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_delivery_ends_however_often_it_is_refused() {
    let stub = Stub::start().await;
    stub.answer(|_| Reply::new(503, "busy").with("retry-after", "0"));
    let keys = "attempts = 2\ntimeout = \"500ms\"\nconnect_timeout = \"100ms\"";
    let farm = probed(&farm_with(&[instance("one", &stub.url)], keys)).await;
    let started = Instant::now();
    assert!(matches!(farm.scan(&sample(b"x"), "", None).await, Err(ScanError::NoInstance)));
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert!(stub.uploads().len() > 1);
}

#[tokio::test]
async fn an_instance_that_stops_to_answer_info_holds_nobody_up() {
    let stub = Stub::start().await;
    let keys = "probe_interval = \"1h\"\ntimeout = \"800ms\"\nconnect_timeout = \"300ms\"";
    let farm = probed(&farm_with(&[instance("one", &stub.url)], keys)).await;
    stub.hang_info();
    let started = Instant::now();
    let mut scans = JoinSet::new();
    for n in 0..20_u8 {
        let farm = Arc::clone(&farm);
        scans.spawn(async move { farm.scan(&sample(&[n]), "", None).await });
    }
    for verdict in scans.join_all().await {
        assert_eq!(verdict.unwrap().signatures.as_deref(), Some("2026/01/01-000000"), "what it had before");
    }
    // One after the other they would take twelve seconds.
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
}

#[tokio::test]
async fn whoever_is_no_thunderstorm_gets_no_sample() {
    let keys = "timeout = \"200ms\"\nconnect_timeout = \"100ms\"";
    for page in ["<html>sign in</html>", "{\"error\": \"sign in\"}", "[]"] {
        let stub = Stub::start().await;
        stub.info(Reply::new(200, page));
        for path in ["", "/api"] {
            let url = format!("{}{path}", stub.url);
            let farm = probed(&farm_with(&[instance("one", &url)], keys)).await;
            assert!(matches!(farm.scan(&sample(b"x"), "", None).await, Err(ScanError::NoInstance)), "{page}");
        }
        assert!(stub.uploads().is_empty(), "{page}");
    }
}
