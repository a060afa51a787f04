// SPDX-License-Identifier: GPL-3.0-or-later
//! One sample: who owns it, who waits for it, what is known of it and for how long that is believed.

use super::*;
use thundergate_common::{
    failed::FailedSample,
    generation::{FarmReport, InstanceReport},
    hub::KnownSample,
    record::seen::Sought,
    verdict::SkipReason,
};

pub async fn a_completed_sample_is_known(stage: Stage) {
    let (key, verdict) = (key("known"), verdict());
    assert_eq!(stage.here.milter.look_up(std::slice::from_ref(&key)).await.unwrap(), [None]);
    let claim = queued(&stage, "known", Lane::Mail).await;
    assert_eq!(
        stage.there.worker.begin(&claim).await.unwrap(),
        Begin::Scan { bytes: bytes("known"), failed: None }
    );
    stage.there.worker.complete(&claim, &answered(&verdict)).await.unwrap();
    assert_eq!(
        stage.here.milter.reserve(std::slice::from_ref(&key), Lane::Mail).await.unwrap(),
        [Reservation::Known(verdict.clone())]
    );
    let other = self::key("other");
    assert_eq!(stage.here.milter.look_up(&[other, key]).await.unwrap(), [None, Some(verdict)]);
    let queue = stage.here.operator.queue().await.unwrap();
    assert_eq!(queue.sample_bytes, 0);
    assert!(queue.lanes.iter().all(|lane| lane.waiting + lane.claimed == 0 && lane.oldest_ms.is_none()));
}

pub async fn a_hundred_reservations_have_one_owner(stage: Stage) {
    let mut reservations = JoinSet::new();
    for number in 0..100 {
        let hub = if number % 2 == 0 { stage.here.milter.clone() } else { stage.there.milter.clone() };
        reservations.spawn(async move {
            hub.reserve(&[key("mass mail"), key("and more")], Lane::Mail).await.unwrap()
        });
    }
    let all = reservations.join_all().await;
    for sample in 0..2 {
        let owners = all.iter().filter(|reserved| reserved[sample] == Reservation::Owner).count();
        let joined = all.iter().filter(|reserved| reserved[sample] == Reservation::Joined).count();
        assert_eq!((owners, joined), (1, 99));
    }
}

pub async fn an_announcement_reaches_everybody_who_waits(stage: Stage) {
    let key = key("awaited");
    let mut here = stage.here.milter.announcements().subscribe(&key);
    let mut there = stage.there.milter.announcements().subscribe(&key);
    let claim = queued(&stage, "awaited", Lane::Mail).await;
    assert_eq!(stage.there.milter.reserve(&[key], Lane::Mail).await.unwrap(), [Reservation::Joined]);
    stage.there.worker.begin(&claim).await.unwrap();
    let verdict = verdict();
    stage.there.worker.complete(&claim, &answered(&verdict)).await.unwrap();
    for ticket in [&mut here, &mut there] {
        let answer = timeout(SOON, ticket.answer()).await.expect("the answer is announced");
        assert_eq!(answer, Answer::Verdict(verdict.clone()));
    }
}

pub async fn a_missed_announcement_is_found_by_reserving_again(stage: Stage) {
    let claim = queued(&stage, "missed", Lane::Mail).await;
    stage.there.worker.begin(&claim).await.unwrap();
    assert_eq!(stage.here.milter.reserve(&[key("missed")], Lane::Mail).await.unwrap(), [Reservation::Joined]);
    let verdict = verdict();
    stage.there.worker.complete(&claim, &answered(&verdict)).await.unwrap();
    assert_eq!(
        stage.here.milter.reserve(&[key("missed")], Lane::Mail).await.unwrap(),
        [Reservation::Known(verdict)]
    );
}

pub async fn a_dead_owner_is_succeeded_after_reserve_ttl(stage: Stage) {
    let reserved = Instant::now();
    assert_eq!(stage.here.milter.reserve(&[key("orphan")], Lane::Mail).await.unwrap(), [Reservation::Owner]);
    eventually("there is a new owner", async || {
        stage.there.milter.reserve(&[key("orphan")], Lane::Mail).await.unwrap() == [Reservation::Owner]
    })
    .await;
    assert!(reserved.elapsed() >= RESERVE_TTL - Duration::from_millis(50), "{:?}", reserved.elapsed());
}

pub async fn a_job_whose_sample_is_known_announces_it_again(stage: Stage) {
    let verdict = verdict();
    let claim = queued(&stage, "late", Lane::Mail).await;
    submit_again(&*stage.here.milter, "late", Lane::Background).await;
    let late = claimed(&*stage.here.worker).await;
    stage.here.worker.begin(&claim).await.unwrap();
    stage.here.worker.complete(&claim, &answered(&verdict)).await.unwrap();
    // A crash between storing and announcing: a milter still waits.
    let mut ticket = stage.here.milter.announcements().subscribe(&key("late"));
    stage.here.operator.forget(&key("late")).await.unwrap();
    stage.here.milter.reserve(&[key("late")], Lane::Mail).await.unwrap();
    store(&stage, "late", &verdict).await;
    assert_eq!(stage.there.worker.begin(&late).await.unwrap(), Begin::Nothing);
    let answer = timeout(SOON, ticket.answer()).await.expect("the answer is announced");
    assert_eq!(answer, Answer::Verdict(verdict));
    assert_eq!(stage.here.operator.queue().await.unwrap().lanes[1].claimed, 0, "the job is acknowledged");
}

pub async fn a_skipped_sample_is_announced_and_not_stored(stage: Stage) {
    let mut ticket = stage.here.milter.announcements().subscribe(&key("large"));
    let claim = queued(&stage, "large", Lane::Mail).await;
    stage.there.worker.begin(&claim).await.unwrap();
    let skipped = Answer::Skipped(SkipReason::TooLarge);
    stage.there.worker.complete(&claim, &Completion::Answered(skipped.clone())).await.unwrap();
    assert_eq!(timeout(SOON, ticket.answer()).await.expect("the answer is announced"), skipped);
    assert_eq!(stage.here.milter.look_up(&[key("large")]).await.unwrap(), [None]);
}

pub async fn bytes_that_expired_end_their_job(stage: Stage) {
    let claim = queued(&stage, "expired", Lane::Mail).await;
    sleep(limits().sample_ttl).await; // the expiry itself is what is tested
    assert_eq!(stage.there.worker.begin(&claim).await.unwrap(), Begin::Nothing);
    assert_eq!(stage.here.milter.reserve(&[key("expired")], Lane::Mail).await.unwrap(), [Reservation::Owner]);
    assert_eq!(stage.here.operator.queue().await.unwrap().lanes[0].claimed, 0);
}

pub async fn a_verdict_expires_and_can_be_forgotten(stage: Stage) {
    let clean = Arc::new(Verdict { scanned_at: now() - 118, ..Verdict::default() });
    store(&stage, "clean", &clean).await;
    assert_eq!(stage.here.milter.look_up(&[key("clean")]).await.unwrap(), [Some(clean)]);
    store(&stage, "found", &verdict()).await;
    let old = Arc::new(Verdict { scanned_at: now() - 3600, ..Verdict::default() });
    store(&stage, "old", &old).await;
    assert_eq!(
        stage.here.milter.look_up(&[key("old")]).await.unwrap(),
        [None],
        "it was over before it was stored"
    );
    eventually("the clean verdict expires", async || {
        stage.here.milter.look_up(&[key("clean")]).await.unwrap() == [None]
    })
    .await;
    assert!(stage.here.operator.forget(&key("found")).await.unwrap());
    assert!(!stage.here.operator.forget(&key("found")).await.unwrap());
    assert_eq!(stage.there.milter.look_up(&[key("found")]).await.unwrap(), [None]);
}

pub async fn what_is_known_of_a_sample_is_told_under_every_name(stage: Stage) {
    let under = |extension: &str| SampleKey { hint: NameHint::Extension(extension.into()), ..key("known") };
    let full = SampleKey { hint: NameHint::Full("a [b]*.exe".into()), ..key("known") };
    let found = verdict();
    for key in [key("known"), under("exe"), full.clone(), key("another")] {
        let claim =
            Claim { id: "0-0".into(), job: Job { sample: key, ..job("known", Lane::Mail).1 }, deliveries: 1 };
        stage.there.worker.complete(&claim, &answered(&found)).await.unwrap();
    }
    // A sample that waits, of which nothing is known, is none of them; one that could not be scanned is.
    submit(&*stage.here.milter, "waiting", Lane::Mail).await;
    let failed = FailedSample { reason: "it is torn".into(), until: now() + 60, ..FailedSample::default() };
    let claim = Claim {
        id: "0-0".into(),
        job: Job { sample: under("zip"), ..job("known", Lane::Mail).1 },
        deliveries: 1,
    };
    stage.there.worker.complete(&claim, &Completion::Failed(failed.clone())).await.unwrap();

    let known = async |hint| {
        let sought = Sought { digest: key("known").digest, hint };
        stage.here.operator.known(&sought).await.unwrap()
    };
    let scanned = |key| KnownSample { key, verdict: Some(found.clone()), failed: None };
    let torn = KnownSample { key: under("zip"), verdict: None, failed: Some(failed) };
    let all = [scanned(key("known")), scanned(under("exe")), torn.clone(), scanned(full)];
    assert_eq!(known(None).await, all);
    assert_eq!(known(Some(under("zip").hint)).await, [torn]);
    assert_eq!(known(Some(under("pdf").hint)).await, []);
    assert_eq!(known(Some(NameHint::None)).await, [scanned(key("known"))]);
}

pub async fn the_farms_generation_makes_clean_verdicts_stale(stage: Stage) {
    report(&*stage.there.worker, "1").await;
    store(&stage, "aging", &clean("1")).await;
    store(&stage, "found", &verdict()).await;
    let known = Reservation::Known(clean("1"));
    assert_eq!(
        stage.here.milter.reserve(&[key("aging")], Lane::Mail).await.unwrap(),
        std::slice::from_ref(&known)
    );
    report(&*stage.there.worker, "2").await;
    eventually("it is stale everywhere", async || {
        stage.here.milter.reserve(&[key("aging")], Lane::Mail).await.unwrap() == [Reservation::Owner]
    })
    .await;
    assert_eq!(stage.here.milter.generation().signatures.as_deref(), Some("2"));
    let found = stage.here.milter.reserve(&[key("found")], Lane::Mail).await.unwrap();
    assert_eq!(found, [Reservation::Known(verdict())], "what was found stays found");
    assert_eq!(submit_again(&*stage.here.milter, "aging", Lane::Mail).await, Admission::Queued);
    let claim = claimed(&*stage.there.worker).await;
    assert_eq!(
        stage.there.worker.begin(&claim).await.unwrap(),
        Begin::Scan { bytes: bytes("aging"), failed: None }
    );
    stage.there.worker.complete(&claim, &answered(&clean("2"))).await.unwrap();
    let known = Reservation::Known(clean("2"));
    assert_eq!(stage.here.milter.reserve(&[key("aging")], Lane::Mail).await.unwrap(), [known]);
    assert_eq!(stage.there.operator.farm().await.unwrap().len(), 1);
    report(&*stage.there.worker, "1").await;
    eventually("the farm has gone back", async || {
        stage.here.milter.generation().signatures.as_deref() == Some("1")
    })
    .await;
}

pub async fn a_bump_makes_clean_verdicts_stale(stage: Stage) {
    store(&stage, "custom", &clean("1")).await;
    assert!(matches!(
        stage.here.milter.reserve(&[key("custom")], Lane::Mail).await.unwrap()[..],
        [Reservation::Known(_)]
    ));
    let generation = stage.there.operator.bump().await.unwrap();
    assert!(generation.bumped_at > 0);
    eventually("it is stale everywhere", async || {
        stage.here.milter.reserve(&[key("custom")], Lane::Mail).await.unwrap() == [Reservation::Owner]
    })
    .await;
}

pub async fn a_job_needs_a_verdict_of_its_signatures(stage: Stage) {
    store(&stage, "needy", &clean("1")).await;
    assert_eq!(stage.here.milter.submit(&[needing("needy", "2")]).await.unwrap(), [Admission::Queued]);
    stage.here.milter.reserve(&[key("needy")], Lane::Background).await.unwrap();
    let claim = claimed(&*stage.there.worker).await;
    assert_eq!(claim.job.needs.as_deref(), Some("2"));
    assert_eq!(
        stage.there.worker.begin(&claim).await.unwrap(),
        Begin::Scan { bytes: bytes("needy"), failed: None }
    );
}

pub async fn a_known_verdict_ends_no_scan_for_a_better_one(stage: Stage) {
    store(&stage, "better", &clean("1")).await;
    stage.here.milter.submit(&[needing("better", "2")]).await.unwrap();
    let needy = claimed(&*stage.there.worker).await;
    assert_eq!(
        stage.there.worker.begin(&needy).await.unwrap(),
        Begin::Scan { bytes: bytes("better"), failed: None }
    );
    submit_again(&*stage.here.milter, "better", Lane::Mail).await;
    let content = claimed(&*stage.there.worker).await;
    assert_eq!(stage.there.worker.begin(&content).await.unwrap(), Begin::Nothing);
    stage.here.operator.forget(&key("better")).await.unwrap();
    let reserved = stage.here.milter.reserve(&[key("better")], Lane::Background).await.unwrap();
    assert_eq!(reserved, [Reservation::Joined], "the other scan still runs");
}

pub async fn a_scan_that_comes_late_clears_no_finding(stage: Stage) {
    let late = queued(&stage, "late", Lane::Mail).await;
    stage.there.worker.begin(&late).await.unwrap();
    eventually("its lease is over", async || {
        stage.here.milter.reserve(&[key("late")], Lane::Mail).await.unwrap() == [Reservation::Owner]
    })
    .await;
    submit_again(&*stage.here.milter, "late", Lane::Mail).await;
    let in_time = claimed(&*stage.there.worker).await;
    assert_eq!(
        stage.there.worker.begin(&in_time).await.unwrap(),
        Begin::Scan { bytes: bytes("late"), failed: None }
    );
    stage.there.worker.complete(&in_time, &answered(&verdict())).await.unwrap();
    stage.there.worker.complete(&late, &answered(&clean("1"))).await.unwrap();
    assert_eq!(stage.here.milter.look_up(&[key("late")]).await.unwrap(), [Some(verdict())]);
}

fn clean(signatures: &str) -> Arc<Verdict> {
    static SCANNED: std::sync::LazyLock<u64> = std::sync::LazyLock::new(now);
    let signatures = Some(signatures.to_owned());
    Arc::new(Verdict { signatures, scanned_at: *SCANNED, ..Verdict::default() })
}

fn needing(name: &str, signatures: &str) -> (Sample, Job) {
    let (sample, job) = job(name, Lane::Background);
    (sample, Job { needs: Some(signatures.to_owned()), ..job })
}

/// A farm of one instance says what signatures it has.
pub async fn report(hub: &dyn hub::Worker, signatures: &str) {
    let instance = InstanceReport {
        name: "storm1".into(),
        healthy: true,
        signatures: Some(signatures.to_owned()),
        ..InstanceReport::default()
    };
    let report = FarmReport { worker: "worker".into(), at: now(), instances: vec![instance], doubt: None };
    hub.report(&report, None).await.unwrap();
}
