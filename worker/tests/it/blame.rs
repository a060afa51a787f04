// SPDX-License-Identifier: GPL-3.0-or-later
//! Whose fault a failed scan is: the sample's or the instance's, and what either costs.

use crate::{
    eventually,
    stub::{Reply, Stub, Upload, farm_with, info, instance, sample},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use thundergate_common::{config, generation::InstanceState, verdict::Verdict};
use thundergate_worker::farm::{Farm, ScanError, metrics::FarmMetrics};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A farm that is watched until the end of the test.
struct Watched {
    farm: Arc<Farm>,
    _watching: JoinSet<()>,
}

impl Watched {
    async fn new(configured: &config::Farm) -> Self {
        let farm = Arc::new(Farm::new(configured, FarmMetrics::default()).unwrap());
        farm.probe().await;
        let (watched, mut watching) = (Arc::clone(&farm), JoinSet::new());
        watching.spawn(async move { watched.watch(CancellationToken::new()).await });
        Self { farm, _watching: watching }
    }

    async fn of(stubs: &[&Stub], keys: &str) -> Self {
        let named = |(n, stub): (usize, &&Stub)| instance(&format!("storm{n}"), &stub.url);
        let instances: Vec<_> = stubs.iter().enumerate().map(named).collect();
        Self::new(&farm_with(&instances, keys)).await
    }

    async fn scan(&self, bytes: &[u8]) -> Result<Verdict, ScanError> {
        self.farm.scan(&sample(bytes), "", None).await
    }

    fn scan_later(&self, bytes: &[u8]) -> JoinSet<Result<Verdict, ScanError>> {
        let (farm, sample, mut scan) = (Arc::clone(&self.farm), sample(bytes), JoinSet::new());
        scan.spawn(async move { farm.scan(&sample, "", None).await });
        scan
    }

    fn state(&self, instance: usize) -> InstanceState {
        self.farm.reports()[instance].state
    }
}

async fn ended(mut scan: JoinSet<Result<Verdict, ScanError>>) -> Result<Verdict, ScanError> {
    tokio::time::timeout(crate::PATIENCE, scan.join_next()).await.expect("it ends").unwrap().unwrap()
}

fn clean() -> Reply {
    Reply::new(200, "[]")
}

fn is_bad(upload: &Upload) -> bool {
    upload.bytes.starts_with(b"bad")
}

/// Uploads of bad samples to all of `stubs`.
fn bad(stubs: &[&Stub]) -> usize {
    stubs.iter().map(|stub| stub.uploads().iter().filter(|upload| is_bad(upload)).count()).sum()
}

/// A server that its own samples can kill: then it closes every connection, until it is started again.
async fn mortal() -> (Stub, Arc<AtomicBool>, Arc<AtomicUsize>) {
    let stub = Stub::start().await;
    let (dead, deaths) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (is_dead, count) = (Arc::clone(&dead), Arc::clone(&deaths));
    stub.answer(move |upload| {
        if is_bad(upload) && !is_dead.swap(true, Ordering::Relaxed) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if is_dead.load(Ordering::Relaxed) { Reply::hang_up() } else { clean() }
    });
    (stub, dead, deaths)
}

#[tokio::test]
async fn a_sample_that_scanners_refuse_costs_two_uploads_and_no_instance() {
    for (number, refusal) in [
        (0, || Reply::new(500, "")),
        (1, || Reply::new(400, "")),
        (2, || Reply::new(200, "<html>")),
        (3, || Reply::new(200, "[{\"level\":\"Error\",\"message\":\"no\",\"score\":0}]")),
    ] as [(u8, fn() -> Reply); 4]
    {
        let (one, two) = (Stub::start().await, Stub::start().await);
        for stub in [&one, &two] {
            stub.answer(move |upload| if is_bad(upload) { refusal() } else { clean() });
        }
        let farm = Watched::of(&[&one, &two], "breaker_failures = 1").await;
        for n in 0..5 {
            match farm.scan(&[b'b', b'a', b'd', number, n]).await {
                Err(ScanError::Failed { proven: true, .. }) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((one.uploads().len(), two.uploads().len()), (5, 5), "one each, nothing twice at one");
        assert_eq!([farm.state(0), farm.state(1)], [InstanceState::Closed; 2]);
        farm.scan(b"good").await.unwrap();
    }
}

#[tokio::test]
async fn an_instance_that_scans_nothing_gets_no_blame_onto_samples() {
    let (broken, sound) = (Stub::start().await, Stub::start().await);
    let farm = Watched::of(&[&broken, &sound], "").await;
    broken.answer(|_| Reply::new(500, ""));
    for n in 0..10 {
        assert_eq!(farm.scan(&[n]).await.unwrap().instance, "storm1");
    }
    assert_eq!(broken.uploads().len(), 1, "one was enough to know");
    assert_eq!(farm.state(0), InstanceState::Open);
    // It answers `/api/info` all the time.
    let infos = broken.infos();
    eventually("it is probed often", async || broken.infos() > infos + 5).await;
    assert_eq!(farm.state(0), InstanceState::Open, "what it says of itself is no proof");
    broken.answer(|_| clean());
    eventually("a proof brings it back", async || farm.state(0) == InstanceState::Closed).await;
}

#[tokio::test]
async fn when_no_instance_scans_a_sample_is_not_blamed() {
    let (one, two) = (Stub::start().await, Stub::start().await);
    let farm = Watched::of(&[&one, &two], "").await;
    one.answer(|_| Reply::new(500, ""));
    two.answer(|_| Reply::new(500, ""));
    let result = farm.scan(b"good").await;
    assert!(matches!(result, Err(ScanError::NoInstance)), "{result:?}");
}

#[tokio::test]
async fn an_instance_too_busy_for_the_proof_proves_nothing() {
    let stub = Stub::start().await;
    let farm = Watched::of(&[&stub], "timeout = \"500ms\"\nconnect_timeout = \"100ms\"").await;
    stub.answer(|upload| {
        if upload.is_own() { Reply::new(503, "").with("retry-after", "0") } else { Reply::new(500, "") }
    });
    match farm.scan(b"good").await {
        Err(ScanError::Failed { proven: false, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(farm.state(0), InstanceState::Closed);
}

#[tokio::test]
async fn a_sample_that_kills_its_scanner_kills_two_and_those_beside_it_are_scanned() {
    let (one, one_dead, one_deaths) = mortal().await;
    let (two, two_dead, two_deaths) = mortal().await;
    let (three, three_dead, three_deaths) = mortal().await;
    let farm = Watched::of(&[&one, &two, &three], "").await;
    for stub in [&one, &two, &three] {
        stub.hold();
    }
    let killer = farm.scan_later(b"bad");
    let innocent: Vec<_> = (0..8).map(|n| farm.scan_later(&[n])).collect();
    let arrived = async || [&one, &two, &three].iter().map(|stub| stub.uploads().len()).sum::<usize>() == 9;
    eventually("all are being scanned", arrived).await;
    for stub in [&one, &two, &three] {
        stub.let_pass(1 << 19);
    }
    match ended(killer).await {
        Err(ScanError::Failed { proven: true, .. }) => {}
        other => panic!("{other:?}"),
    }
    for scan in innocent {
        assert!(ended(scan).await.unwrap().is_clean());
    }
    let deaths = || [&one_deaths, &two_deaths, &three_deaths].map(|deaths| deaths.load(Ordering::Relaxed));
    assert_eq!(deaths().iter().sum::<usize>(), 2, "{:?}", deaths());
    assert_eq!(bad(&[&one, &two, &three]), 2);
    for dead in [&one_dead, &two_dead, &three_dead] {
        dead.store(false, Ordering::Relaxed);
    }
    eventually("all are back", async || (0..3).all(|n| farm.state(n) == InstanceState::Closed)).await;
}

#[tokio::test]
async fn a_suspect_is_alone_on_its_instance() {
    let (one, two) = (Stub::start().await, Stub::start().await);
    one.answer(|upload| if is_bad(upload) { Reply::hang_up() } else { clean() });
    let farm = Watched::of(&[&one, &two], "").await;
    two.hold();
    // Where it comes to the second one first, that is a scan like any other.
    let mut suspect = farm.scan_later(b"bad");
    eventually("it is on the second one", async || bad(&[&two]) == 1).await;
    while bad(&[&one]) == 0 {
        two.let_pass(1);
        ended(suspect).await.unwrap();
        let before = bad(&[&two]);
        suspect = farm.scan_later(&[b"bad".as_slice(), &[u8::try_from(before).unwrap()]].concat());
        eventually("the next one is there", async || bad(&[&two]) == before + 1).await;
    }
    let others: Vec<_> = (0..30).map(|n| farm.scan_later(&[n])).collect();
    for other in others {
        assert_eq!(ended(other).await.unwrap().instance, "storm0", "the other has the suspect");
    }
    two.let_pass(1 << 19);
    assert_eq!(ended(suspect).await.unwrap().instance, "storm1");
    let reports = farm.farm.reports();
    assert!(reports.iter().all(|one| one.in_flight == 0 && one.capacity > 0), "nothing is kept: {reports:?}");
}

#[tokio::test]
async fn what_is_in_flight_on_a_frozen_instance_moves_at_once() {
    let (frozen, idle) = (Stub::start().await, Stub::start().await);
    let keys = "timeout = \"60s\"\nconnect_timeout = \"200ms\"";
    let farm = Watched::of(&[&frozen, &idle], keys).await;
    frozen.freeze();
    let started = Instant::now();
    let scans: Vec<_> = (0..8).map(|n| farm.scan_later(&[n])).collect();
    for scan in scans {
        assert_eq!(ended(scan).await.unwrap().instance, "storm1");
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(farm.state(0), InstanceState::Open);
}

#[tokio::test]
async fn a_sample_that_takes_too_long_is_never_uploaded_beside_itself() {
    let stub = Stub::start().await;
    let keys = "timeout = \"300ms\"\nconnect_timeout = \"100ms\"";
    let farm = Watched::of(&[&stub], keys).await;
    stub.hold();
    let result = ended(farm.scan_later(b"bad")).await;
    assert!(matches!(result, Err(ScanError::Failed { proven: true, .. })), "{result:?}");
    assert_eq!(stub.uploads().len(), 1, "there is no other instance");
    assert_eq!(farm.state(0), InstanceState::Closed);

    let other = Stub::start().await;
    other.hold();
    let farm = Watched::of(&[&stub, &other], keys).await;
    let result = ended(farm.scan_later(b"bad too")).await;
    assert!(matches!(result, Err(ScanError::Failed { proven: true, .. })), "{result:?}");
    assert_eq!((stub.uploads().len(), other.uploads().len()), (2, 1), "once at each");
}

#[tokio::test]
async fn a_drained_instance_finishes_what_it_scans_and_gets_nothing_more() {
    let (one, two) = (Stub::start().await, Stub::start().await);
    let both = [instance("storm0", &one.url), instance("storm1", &two.url)];
    let farm = Watched::new(&farm_with(&both, "")).await;
    one.hold();
    let scans: Vec<_> = (0..20).map(|n| farm.scan_later(&[n])).collect();
    eventually("the first one has some", async || one.uploads().len() == 4).await;
    let drained = format!("{{ name = \"storm0\", url = {:?}, concurrency = 0 }}", one.url);
    farm.farm.reconfigure(&farm_with(&[drained, both[1].clone()], "")).unwrap();
    one.let_pass(100);
    for scan in scans {
        ended(scan).await.unwrap();
    }
    for n in 20..40 {
        assert_eq!(farm.scan(&[n]).await.unwrap().instance, "storm1");
    }
    assert_eq!(one.uploads().len(), 4);
    one.info(info("2026/03/03-000000", 4));
    let newer = || farm.farm.reports()[0].signatures.as_deref() == Some("2026/03/03-000000");
    eventually("it is probed as before", async || newer()).await;
}
