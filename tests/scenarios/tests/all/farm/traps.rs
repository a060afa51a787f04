// SPDX-License-Identifier: GPL-3.0-or-later
//! What Thunderstorm servers do that would make a careless client take a sample for clean, or fail for nothing.
//!
//! | trap | tests, here unless said otherwise |
//! |---|---|
//! | a file above the server's limit is answered `[]` | `a_file_over_the_limit_is_not_scanned_and_looks_clean` (`stand_in.rs`), `a_sample_above_the_scanners_limit_is_skipped_and_never_sent` (worker, `run.rs`) |
//! | 200 from something that is no Thunderstorm, JSON cut short | `nothing_but_a_list_of_findings_is_a_verdict`; `nothing_but_an_understood_answer_counts` (worker, `client.rs`), `whoever_is_no_thunderstorm_gets_no_sample` (worker, `farm.rs`) |
//! | a redirect leads to somebody who calls everything clean | `nothing_but_a_list_of_findings_is_a_verdict`; `a_redirect_is_not_followed` (worker, `client.rs`) |
//! | a body that was sent once is empty the second time | `every_try_sends_the_whole_sample`; `a_failed_attempt_goes_to_another_instance_with_all_its_bytes` (worker, `farm.rs`) |
//! | `firstBytes` or `firstbytes`, no `matches`, scores above 100, shapes A0, A, C, D and their drifts | `every_shape_gives_the_same_finding`, `a_finding_without_rules_and_a_score_above_100_are_findings`; `shapes/tests.rs` (worker) field by field |
//! | an entry of level "Error" is no finding, and alone not clean | `an_error_of_the_scanner_is_neither_a_finding_nor_clean` |
//! | the answer is about other bytes | `nothing_but_a_list_of_findings_is_a_verdict` |
//! | ids are numbers or strings | `asynchronous_ids_are_numbers_or_strings` |
//! | the result of an asynchronous scan is forgotten | `a_forgotten_result_is_a_failure_and_not_clean` |
//! | signatures change between two requests | `signatures_that_change_during_a_scan_leave_the_older_version`; `changes.rs` (worker) |
//! | the licence ends | `the_end_of_a_licence_is_reported`; `a_licence_that_ends_is_a_warning_in_the_log` and `the_end_of_a_licence_is_a_metric` (worker) |
//! | 503 because of what other workers send | `what_a_busy_instance_refuses_is_scanned_once_all_the_same`; how busy they stay: `farm-throughput` |
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use bytes::Bytes;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use thundergate_common::{
    config,
    digest::Digest,
    sample::{NameHint, Sample, SampleKey},
    verdict::Verdict,
};
use thundergate_harness::{
    eventually,
    mails::eicar,
    thunderstorm::{Drift, Fault, Settings, Shape, Standin},
    waiting::PATIENCE,
};
use thundergate_worker::farm::{Farm, ScanError, metrics::FarmMetrics};
use tokio::task::JoinSet;

fn sample(bytes: &[u8]) -> Sample {
    let key = SampleKey { digest: Digest::of(bytes), hint: NameHint::Extension("com".into()) };
    Sample { key, bytes: Bytes::copy_from_slice(bytes) }
}

async fn farm_with(standins: &[&Standin], instance: &str, keys: &str) -> Arc<Farm> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let instances: Vec<_> =
        standins.iter().map(|standin| format!("{{ url = {:?}{instance} }}", standin.url())).collect();
    let text = format!("instances = [{}]\ntimeout = \"5s\"\n{keys}", instances.join(", "));
    let configured: config::Farm = toml::from_str(&text).unwrap();
    let farm = Arc::new(Farm::new(&configured, FarmMetrics::default()).unwrap());
    farm.probe().await;
    farm
}

/// A farm of one instance.
async fn farm(standin: &Standin, instance: &str) -> Arc<Farm> {
    farm_with(&[standin], instance, "attempts = 1").await
}

async fn scan(farm: &Farm) -> Result<Verdict, ScanError> {
    farm.scan(&sample(&eicar()), "", None).await
}

#[tokio::test]
async fn nothing_but_a_list_of_findings_is_a_verdict() {
    let standin = Standin::start(Settings::default()).await;
    let farm = farm(&standin, "").await;
    for fault in [
        Fault::Down,
        Fault::Status(500),
        Fault::Html,
        Fault::TruncatedJson,
        Fault::WrongHash,
        Fault::NotAnArray,
        Fault::Redirect,
    ] {
        standin.fault_times(fault, 2);
        let result = scan(&farm).await;
        assert!(result.is_err(), "{fault:?}: {result:?}");
        eventually(PATIENCE, "it is found afterwards", async || {
            farm.probe().await;
            scan(&farm).await.is_ok_and(|verdict| verdict.score() == 100)
        })
        .await;
    }
}

#[tokio::test]
async fn every_try_sends_the_whole_sample() {
    let standin = Standin::start(Settings { retry_after: Some(0), ..Settings::default() }).await;
    let farm = farm_with(&[&standin], "", "attempts = 2").await;
    for fault in [Fault::Busy503, Fault::Status(500), Fault::Html] {
        standin.fault_times(fault, 1);
        assert_eq!(scan(&farm).await.unwrap().score(), 100, "an empty file would be clean: {fault:?}");
    }
    let digests: Vec<_> = standin.uploads().into_keys().collect();
    assert_eq!(digests, [Digest::of(&eicar()).to_string()], "nothing else was ever uploaded");
}

#[tokio::test]
async fn every_shape_gives_the_same_finding() {
    let standin = Standin::start(Settings::default()).await;
    let cases = [
        (Shape::Old, None),
        (Shape::Old, Some(Drift::Flat)),
        (Shape::Old, Some(Drift::Sections)),
        (Shape::Old, Some(Drift::SmallLetters)),
        (Shape::Old, Some(Drift::ErrorBeside)),
        (Shape::V1, None),
        (Shape::V1, Some(Drift::Assessment)),
    ];
    for (shape, drift) in cases {
        standin.settings(|settings| (settings.shape, settings.drift) = (shape, None));
        let farm = farm(&standin, "").await;
        standin.settings(|settings| settings.drift = drift);
        let verdict = scan(&farm).await.unwrap();
        let found = &verdict.findings[0];
        assert_eq!(
            (verdict.findings.len(), found.level.as_str(), found.score),
            (1, "Alert", 100),
            "{drift:?}"
        );
        let rule = &found.rules[0];
        assert_eq!((rule.name.as_str(), rule.subscore), ("EICAR_Test_File", 100), "{shape:?} {drift:?}");
        assert_eq!(found.file.sha256, Digest::of(&eicar()).to_string(), "{shape:?} {drift:?}");
        if [None, Some(Drift::SmallLetters), Some(Drift::Assessment)].contains(&drift) {
            assert!(!found.file.first_bytes.is_empty() && !rule.matched.is_empty(), "{shape:?} {drift:?}");
        }
    }
}

#[tokio::test]
async fn a_finding_without_rules_and_a_score_above_100_are_findings() {
    let standin = Standin::start(Settings::default()).await;
    for (shape, drift) in [(Shape::Old, Drift::NoMatches), (Shape::V1, Drift::NullReasons)] {
        standin.settings(|settings| (settings.shape, settings.drift) = (shape, Some(drift)));
        let verdict = scan(&*farm(&standin, "").await).await.unwrap();
        assert_eq!((verdict.score(), verdict.findings[0].rules.len()), (100, 0), "{drift:?}");
    }
    standin.settings(|settings| (settings.shape, settings.drift) = (Shape::Old, Some(Drift::Sum)));
    let strong = sample(b"THUNDERGATE-TEST-STRONG-1 THUNDERGATE-TEST-STRONG-2");
    let verdict = farm(&standin, "").await.scan(&strong, "", None).await.unwrap();
    assert!(verdict.score() > 100, "{}", verdict.score());
}

#[tokio::test]
async fn an_error_of_the_scanner_is_neither_a_finding_nor_clean() {
    let standin = Standin::start(Settings::default()).await;
    let farm = farm(&standin, "").await;
    standin.settings(|settings| settings.drift = Some(Drift::ErrorAlone));
    assert!(matches!(scan(&farm).await, Err(ScanError::NoInstance)), "the known sample fails, too");
    let error = farm.reports()[0].last_error.clone().unwrap();
    assert!(error.contains("could not open the file"), "{error}");
}

#[tokio::test]
async fn asynchronous_ids_are_numbers_or_strings() {
    let standin = Standin::start(Settings::default()).await;
    for drift in [None, Some(Drift::TextIds)] {
        standin.settings(|settings| settings.drift = drift);
        assert_eq!(scan(&*farm(&standin, ", async = true").await).await.unwrap().score(), 100);
    }
}

#[tokio::test]
async fn a_forgotten_result_is_a_failure_and_not_clean() {
    let standin = Standin::start(Settings { result_cache: 0, ..Settings::default() }).await;
    standin.settings(|settings| settings.result_cache = 1);
    let farm = farm(&standin, ", async = true").await;
    standin.settings(|settings| settings.result_cache = 0);
    assert!(matches!(scan(&farm).await, Err(ScanError::NoInstance)), "it scans nothing else either");
    standin.settings(|settings| settings.result_cache = 1);
    eventually(PATIENCE, "a proof brings it back", async || {
        farm.probe().await;
        farm.available()
    })
    .await;
    assert_eq!(scan(&farm).await.unwrap().score(), 100);
}

#[tokio::test]
async fn signatures_that_change_during_a_scan_leave_the_older_version() {
    let standin = Standin::start(Settings::default()).await;
    let farm = farm(&standin, "").await;
    let during = async |version: &str| {
        standin.settings(|settings| settings.service_time = Duration::from_millis(200));
        let (scanning, mut scan_task) = (Arc::clone(&farm), JoinSet::new());
        scan_task.spawn(async move { scan(&scanning).await });
        eventually(PATIENCE, "it is being scanned", async || standin.scanning() == 1).await;
        standin.settings(|settings| settings.signatures = version.to_owned());
        scan_task.join_next().await.unwrap().unwrap().unwrap().signatures.unwrap()
    };
    assert_eq!(
        during("2026/11/02-080000").await,
        "2026/11/01-120000",
        "the scan may have missed the new ones"
    );
    assert_eq!(
        during("2026/10/01-000000").await,
        "2026/10/01-000000",
        "it may have been without the newer ones"
    );
    assert_eq!(farm.reports()[0].signatures.as_deref(), Some("2026/10/01-000000"));
}

#[tokio::test]
async fn the_end_of_a_licence_is_reported() {
    let standin = Standin::start(Settings { licence_ends: "2026-12-31".into(), ..Settings::default() }).await;
    for (shape, words) in [(Shape::Old, "2026/12/31"), (Shape::V1, "2026-12-31T00:00:00Z")] {
        standin.settings(|settings| settings.shape = shape);
        let report = farm(&standin, "").await.reports().remove(0);
        assert_eq!(report.licence_ends.as_deref(), Some(words));
    }
}

#[tokio::test]
async fn what_a_busy_instance_refuses_is_scanned_once_all_the_same() {
    let service_time = Duration::from_millis(20);
    for retry_after in [Some(3), None] {
        let settings = Settings { threads: 2, waiting: 0, retry_after, service_time, ..Settings::default() };
        let (one, two) = (Standin::start(settings.clone()).await, Standin::start(settings).await);
        let queue = Arc::new(Queue { samples: Mutex::new((0..400).collect()), left: AtomicU32::new(400) });
        let mut farms = Vec::new();
        for _ in 0..4 {
            farms.push(farm_with(&[&one, &two], "", "").await);
        }
        let mut workers = JoinSet::new();
        // In turn, so that no worker has an instance for itself.
        for _ in 0..farms[0].capacity() {
            farms.iter().for_each(|farm| _ = workers.spawn(work(Arc::clone(farm), Arc::clone(&queue))));
        }
        while let Some(ended) = workers.join_next().await {
            ended.unwrap();
        }
        assert_eq!(one.total() + two.total(), 400, "each is scanned once");
        assert!(one.requests() + two.requests() > 400, "some were refused");
    }
}

struct Queue {
    samples: Mutex<Vec<u32>>,
    /// Not scanned yet, here or in a worker's hands.
    left: AtomicU32,
}

/// As a worker does: takes a sample while an instance is available, and puts back what none took, for any of them.
async fn work(farm: Arc<Farm>, queue: Arc<Queue>) {
    while queue.left.load(Ordering::Relaxed) > 0 {
        let taken = if farm.available() { queue.samples.lock().unwrap().pop() } else { None };
        let Some(number) = taken else {
            farm.changed().await;
            continue;
        };
        match farm.scan(&sample(number.to_string().as_bytes()), "", None).await {
            Ok(_) => _ = queue.left.fetch_sub(1, Ordering::Relaxed),
            Err(ScanError::NoInstance) => queue.samples.lock().unwrap().insert(0, number),
            Err(error) => panic!("{error}"),
        }
    }
}
