// SPDX-License-Identifier: GPL-3.0-or-later
//! Scenarios of samples that could not be scanned, and of their dead letters.

use super::{samples::report, *};
use thundergate_common::{failed::FailedSample, generation::Generation};

const MINUTE: u64 = 60;

pub async fn a_failed_sample_is_told_at_once_and_reserved_by_nobody(stage: Stage) {
    let mut ticket = stage.here.milter.announcements().subscribe(&key("poison"));
    let failed = fail(&stage, "poison", of(&stage, now() + MINUTE)).await;
    let answer = timeout(SOON, ticket.answer()).await.expect("the failure is announced");
    assert_eq!(answer, Answer::Failed("it answered 400".into()));
    for lane in Lane::ALL {
        for milter in [&stage.here.milter, &stage.there.milter] {
            let found = milter.reserve(&[key("poison")], lane).await.unwrap();
            assert_eq!(found, [Reservation::Failed(Arc::new(failed.clone()))]);
        }
    }
    assert_eq!(stage.here.milter.look_up(&[key("poison")]).await.unwrap(), [None]);
    let letters = stage.here.operator.dead_letters(10).await.unwrap();
    assert_eq!((letters[0].reason.as_str(), letters[0].instance.as_str()), ("it answered 400", "storm1"));
    let queue = stage.here.operator.queue().await.unwrap();
    assert_eq!((queue.dead_letters, queue.lanes[0].waiting + queue.lanes[0].claimed), (1, 0));
    // Whoever reserved it for nothing has given it back.
    stage.there.operator.retry(&letters[0]).await.unwrap();
    assert_eq!(stage.there.milter.reserve(&[key("poison")], Lane::Mail).await.unwrap(), [Reservation::Owner]);
}

pub async fn a_failure_is_forgotten_when_its_time_is_over(stage: Stage) {
    fail(&stage, "passing", of(&stage, now() + 2)).await;
    assert!(counts_as_failed(&stage, "passing").await);
    eventually("it is scanned again", async || !counts_as_failed(&stage, "passing").await).await;
}

pub async fn a_new_generation_forgets_a_failure(stage: Stage) {
    report(&*stage.there.worker, "1").await;
    let knows =
        |signatures| move |hub: &dyn hub::Hub| hub.generation().signatures.as_deref() == Some(signatures);
    let (first, second) = (knows("1"), knows("2"));
    eventually("all know the first", async || first(&*stage.here.milter) && first(&*stage.there.milter))
        .await;
    fail(&stage, "unlucky", of(&stage, now() + MINUTE)).await;
    assert!(counts_as_failed(&stage, "unlucky").await);
    report(&*stage.there.worker, "2").await;
    eventually("they know the second", async || second(&*stage.here.milter)).await;
    assert!(!counts_as_failed(&stage, "unlucky").await);
}

pub async fn a_bump_forgets_a_failure(stage: Stage) {
    fail(&stage, "unlucky", of(&stage, now() + MINUTE)).await;
    assert!(counts_as_failed(&stage, "unlucky").await);
    stage.there.operator.bump().await.unwrap();
    eventually("it is scanned again", async || !counts_as_failed(&stage, "unlucky").await).await;
}

pub async fn an_operator_who_tries_again_forgets_a_failure(stage: Stage) {
    fail(&stage, "retried", of(&stage, now() + MINUTE)).await;
    let letter = stage.here.operator.dead_letters(1).await.unwrap().remove(0);
    stage.here.operator.retry(&letter).await.unwrap();
    assert!(!counts_as_failed(&stage, "retried").await);
}

pub async fn a_suspicion_stops_no_reservation_and_reaches_the_next_worker(stage: Stage) {
    let claim = queued(&stage, "suspect", Lane::Mail).await;
    assert_eq!(begun(&stage, &claim).await, None);
    let suspicion = FailedSample { suspect: true, ..of(&stage, 0) };
    stage.there.worker.suspect(&claim, &suspicion).await.unwrap();
    let joined = stage.there.milter.reserve(&[key("suspect")], Lane::Mail).await.unwrap();
    assert_eq!(joined, [Reservation::Joined], "the scan goes on");
    stage.there.worker.hand_back(&claim).await.unwrap();
    let next = claimed(&*stage.here.worker).await;
    assert_eq!(begun(&stage, &next).await, Some(suspicion));
}

pub async fn what_is_over_still_reaches_the_next_worker(stage: Stage) {
    let once = FailedSample { suspect: true, times: 3, ..of(&stage, now() - 1) };
    fail(&stage, "again", once.clone()).await;
    let claim = queued(&stage, "again", Lane::Mail).await;
    assert_eq!(begun(&stage, &claim).await, Some(once), "so that its next period is longer");
}

pub async fn a_job_from_before_its_failure_was_known_is_not_scanned(stage: Stage) {
    let first = queued(&stage, "double", Lane::Mail).await;
    assert_eq!(submit_again(&*stage.there.milter, "double", Lane::Background).await, Admission::Queued);
    stage.there.worker.begin(&first).await.unwrap();
    let failed = Completion::Failed(of(&stage, now() + MINUTE));
    stage.there.worker.complete(&first, &failed).await.unwrap();
    let second = claimed(&*stage.there.worker).await;
    assert_eq!(stage.there.worker.begin(&second).await.unwrap(), Begin::Nothing);
    let queue = stage.here.operator.queue().await.unwrap();
    assert_eq!((queue.lanes[2].claimed, queue.dead_letters), (0, 1), "it is acknowledged");
}

pub async fn a_verdict_ends_a_failure_and_its_letter(stage: Stage) {
    for name in ["scanned after all", "not scanned"] {
        fail(&stage, name, of(&stage, now() + MINUTE)).await;
    }
    store(&stage, "scanned after all", &verdict()).await;
    let letters = stage.here.operator.dead_letters(10).await.unwrap();
    assert_eq!(
        letters.iter().map(|letter| letter.job.sample.clone()).collect::<Vec<_>>(),
        [key("not scanned")]
    );
    assert!(stage.here.operator.forget(&key("scanned after all")).await.unwrap());
    assert!(!counts_as_failed(&stage, "scanned after all").await, "it is forgotten, not hidden");
    assert!(counts_as_failed(&stage, "not scanned").await);
}

pub async fn a_scan_that_comes_late_holds_nothing_against_a_known_sample(stage: Stage) {
    let late = queued(&stage, "late", Lane::Mail).await;
    stage.there.worker.begin(&late).await.unwrap();
    store(&stage, "late", &verdict()).await;
    let failed = Completion::Failed(of(&stage, now() + MINUTE));
    stage.there.worker.complete(&late, &failed).await.unwrap();
    assert!(stage.here.operator.forget(&key("late")).await.unwrap());
    assert!(!counts_as_failed(&stage, "late").await);
}

pub async fn a_sample_has_one_letter_the_newest(stage: Stage) {
    for reason in ["the first", "the second"] {
        let claim = queued(&stage, "twice", Lane::Mail).await;
        stage.there.worker.begin(&claim).await.unwrap();
        stage.there.worker.complete(&claim, &Completion::Dead(reason.into())).await.unwrap();
    }
    let letters = stage.here.operator.dead_letters(10).await.unwrap();
    assert_eq!(letters.iter().map(|letter| letter.reason.as_str()).collect::<Vec<_>>(), ["the second"]);
    assert!(stage.here.operator.drop_letter(&letters[0]).await.unwrap());
    assert_eq!(stage.here.operator.dead_letters(10).await.unwrap(), []);
}

/// What a worker holds against a sample by the farm's generation, until then.
fn of(stage: &Stage, until: u64) -> FailedSample {
    FailedSample {
        reason: "it answered 400".into(),
        instance: "storm1".into(),
        failed_at: now(),
        until,
        suspect: false,
        times: 1,
        generation: Generation::clone(&stage.there.worker.generation()),
    }
}

/// Has a sample scanned and fail.
async fn fail(stage: &Stage, name: &str, failed: FailedSample) -> FailedSample {
    let claim = queued(stage, name, Lane::Mail).await;
    stage.there.worker.begin(&claim).await.unwrap();
    stage.there.worker.complete(&claim, &Completion::Failed(failed.clone())).await.unwrap();
    failed
}

/// Begins a scan. Gives what is held against the sample.
async fn begun(stage: &Stage, claim: &Claim) -> Option<FailedSample> {
    match stage.there.worker.begin(claim).await.unwrap() {
        Begin::Scan { failed, .. } => failed,
        Begin::Nothing => panic!("there is something to scan"),
    }
}

/// Whether a milter is told so. Else it owns the sample, or waits for who does.
async fn counts_as_failed(stage: &Stage, name: &str) -> bool {
    let found = stage.here.milter.reserve(&[key(name)], Lane::Mail).await.unwrap();
    matches!(found[..], [Reservation::Failed(_)])
}
