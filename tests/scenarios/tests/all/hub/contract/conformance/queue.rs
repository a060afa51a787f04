// SPDX-License-Identifier: GPL-3.0-or-later
//! The queue: what is admitted, who gets which job, and what becomes of it.

use super::*;
use thundergate_common::{hub::Retried, verdict::SkipReason};

pub async fn a_claim_waits_for_a_job_and_mail_goes_first(stage: Stage) {
    let hub = stage.there.worker.clone();
    let mut waiting = JoinSet::new();
    waiting.spawn(async move { hub.claim("waiting", 0, room(10), SOON).await.unwrap() });
    let started = Instant::now();
    assert_eq!(stage.here.worker.claim("in vain", 0, room(1), Duration::from_millis(50)).await.unwrap(), []);
    assert!(started.elapsed() >= Duration::from_millis(50));
    submit(&*stage.here.milter, "first", Lane::Mail).await;
    let claims = waiting.join_next().await.unwrap().unwrap();
    assert_eq!(names(&claims), [key("first")]);
    assert!(started.elapsed() < SOON, "it is woken, not timed out");

    submit(&*stage.here.milter, "background", Lane::Background).await;
    for name in ["mail 1", "mail 2", "mail 3"] {
        submit(&*stage.here.milter, name, Lane::Mail).await;
    }
    let claims = stage.there.worker.claim("a", 0, room(2), SOON).await.unwrap();
    assert_eq!(names(&claims), [key("mail 1"), key("mail 2")], "no more than asked for");
    let claims = stage.there.worker.claim("a", 0, room(2), SOON).await.unwrap();
    assert_eq!(names(&claims), [key("mail 3"), key("background")]);
    let queue = stage.here.operator.queue().await.unwrap();
    assert_eq!(
        queue.lanes.iter().map(|lane| (lane.waiting, lane.claimed)).collect::<Vec<_>>(),
        [(0, 4), (0, 0), (0, 1)]
    );
    assert!(queue.lanes[0].oldest_ms.is_some_and(|age| age < 60_000));
    let all = ["first", "background", "mail 1", "mail 2", "mail 3"].map(|name| bytes(name).len() as u64);
    assert_eq!(queue.sample_bytes, all.iter().sum::<u64>());
}

pub async fn a_dead_workers_job_is_delivered_again(stage: Stage) {
    submit(&*stage.here.milter, "abandoned", Lane::Mail).await;
    assert_eq!(
        stage.there.worker.reclaim("next", 0, room(10)).await.unwrap(),
        [],
        "nobody has claimed anything yet"
    );
    let claim = claimed(&*stage.here.worker).await;
    assert_eq!(claim.deliveries, 1);
    assert_eq!(
        stage.here.worker.begin(&claim).await.unwrap(),
        Begin::Scan { bytes: bytes("abandoned"), failed: None }
    );
    assert_eq!(stage.there.worker.reclaim("next", 0, room(10)).await.unwrap(), [], "its time is not over");
    let again = reclaimed(&*stage.there.worker, "next").await;
    assert_eq!((again.deliveries, &again.id), (2, &claim.id));
    let begun = stage.there.worker.begin(&again).await.unwrap();
    assert_eq!(
        begun,
        Begin::Scan { bytes: bytes("abandoned"), failed: None },
        "the same job takes its own lease over"
    );
    let third = reclaimed(&*stage.here.worker, "last").await;
    assert_eq!(third.deliveries, 3);
}

pub async fn a_renewed_job_is_not_reclaimed(stage: Stage) {
    let claim = queued(&stage, "renewed", Lane::Mail).await;
    stage.here.worker.begin(&claim).await.unwrap();
    let started = Instant::now();
    while started.elapsed() < LEASE_TTL + RESERVE_TTL {
        stage.here.worker.renew("worker", std::slice::from_ref(&claim)).await.unwrap();
        assert_eq!(stage.there.worker.reclaim("thief", 0, room(10)).await.unwrap(), []);
        sleep(RECLAIM_AFTER / 6).await;
    }
    assert_eq!(
        stage.there.milter.reserve(&[key("renewed")], Lane::Mail).await.unwrap(),
        [Reservation::Joined],
        "the lease lives"
    );
    stage.here.worker.complete(&claim, &answered(&verdict())).await.unwrap();
}

pub async fn a_resubmitted_sample_is_queued_once(stage: Stage) {
    submit(&*stage.here.milter, "twice", Lane::Mail).await;
    eventually("the lease is over", async || {
        stage.there.milter.reserve(&[key("twice")], Lane::Mail).await.unwrap() == [Reservation::Owner]
    })
    .await;
    assert_eq!(submit_again(&*stage.there.milter, "twice", Lane::Mail).await, Admission::Queued);
    assert_eq!(stage.here.worker.claim("worker", 0, room(10), Duration::ZERO).await.unwrap().len(), 1);
}

pub async fn a_sample_is_not_scanned_by_two_jobs(stage: Stage) {
    let first = queued(&stage, "double", Lane::Mail).await;
    assert_eq!(submit_again(&*stage.there.milter, "double", Lane::Background).await, Admission::Queued);
    let second = claimed(&*stage.there.worker).await;
    assert_ne!(first.id, second.id);
    assert!(matches!(stage.here.worker.begin(&first).await.unwrap(), Begin::Scan { .. }));
    assert_eq!(stage.there.worker.begin(&second).await.unwrap(), Begin::Nothing);
    assert_eq!(
        stage.there.operator.queue().await.unwrap().lanes[2].claimed,
        0,
        "the second job is acknowledged"
    );
}

pub async fn a_dead_letter_announces_its_failure_and_stores_no_verdict(stage: Stage) {
    let mut ticket = stage.here.milter.announcements().subscribe(&key("poison"));
    let claim = queued(&stage, "poison", Lane::Mail).await;
    stage.there.worker.begin(&claim).await.unwrap();
    for _ in 0..2 {
        stage.there.worker.complete(&claim, &Completion::Dead("no instance could".into())).await.unwrap();
    }
    let answer = timeout(SOON, ticket.answer()).await.expect("the failure is announced");
    assert_eq!(answer, Answer::Failed("no instance could".into()));
    assert_eq!(stage.here.milter.look_up(&[key("poison")]).await.unwrap(), [None]);
    let letters = stage.here.operator.dead_letters(10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((&letters[0].job, letters[0].deliveries), (&claim.job, 1));
    let queue = stage.here.operator.queue().await.unwrap();
    assert_eq!((queue.dead_letters, queue.sample_bytes, queue.lanes[0].claimed), (1, 0, 0));
    assert_eq!(
        stage.here.milter.reserve(&[key("poison")], Lane::Mail).await.unwrap(),
        [Reservation::Owner],
        "it may be tried anew"
    );
}

pub async fn a_full_queue_refuses_and_later_admits(stage: Stage) {
    for number in 0..limits().max_jobs / stage.here.worker.shards() {
        submit(&*stage.here.milter, &format!("job {number}"), Lane::Mail).await;
    }
    stage.here.milter.reserve(&[key("one more")], Lane::Mail).await.unwrap();
    assert_eq!(submit_again(&*stage.here.milter, "one more", Lane::Mail).await, Admission::Full);
    let next = stage.there.milter.reserve(&[key("one more")], Lane::Mail).await.unwrap();
    assert_eq!(next, [Reservation::Owner], "the reservation is given back");
    let claim = claimed(&*stage.here.worker).await;
    assert_eq!(
        submit_again(&*stage.there.milter, "one more", Lane::Mail).await,
        Admission::Full,
        "a claimed job counts"
    );
    stage.here.worker.begin(&claim).await.unwrap();
    stage.here.worker.complete(&claim, &answered(&verdict())).await.unwrap();
    assert_eq!(submit_again(&*stage.there.milter, "one more", Lane::Mail).await, Admission::Queued);
}

pub async fn a_queue_full_of_bytes_refuses(stage: Stage) {
    let half = "x".repeat(limits().max_bytes.as_u64() as usize / stage.here.worker.shards() / 2 + 1);
    submit(&*stage.here.milter, &half, Lane::Mail).await;
    let other = half.replace('x', "y");
    assert_eq!(submit_again(&*stage.there.milter, &other, Lane::Mail).await, Admission::Full);
    let claim = claimed(&*stage.here.worker).await;
    stage.here.worker.begin(&claim).await.unwrap();
    stage.here.worker.complete(&claim, &answered(&verdict())).await.unwrap();
    assert_eq!(submit_again(&*stage.there.milter, &other, Lane::Mail).await, Admission::Queued);
}

pub async fn a_handed_back_job_is_claimed_at_once_and_not_counted(stage: Stage) {
    let claim = queued(&stage, "returned", Lane::Mail).await;
    stage.here.worker.begin(&claim).await.unwrap();
    stage.here.worker.hand_back(&claim).await.unwrap();
    stage.here.worker.hand_back(&claim).await.unwrap(); // a repetition does nothing
    let again = stage.there.worker.claim("other", 0, room(10), Duration::ZERO).await.unwrap();
    assert_eq!(names(&again), [key("returned")]);
    assert_eq!(again[0].deliveries, 1);
    assert_eq!(
        stage.there.worker.begin(&again[0]).await.unwrap(),
        Begin::Scan { bytes: bytes("returned"), failed: None }
    );
    assert_eq!(stage.here.operator.queue().await.unwrap().sample_bytes, bytes("returned").len() as u64);
}

pub async fn background_work_that_comes_late_takes_no_place_of_a_job_handed_back(stage: Stage) {
    let claim = queued(&stage, "returned", Lane::Mail).await;
    stage.there.worker.begin(&claim).await.unwrap();
    stage.there.worker.hand_back(&claim).await.unwrap();
    assert_eq!(submit_again(&*stage.here.milter, "returned", Lane::Background).await, Admission::Queued);
    assert_eq!(
        stage.here.milter.reserve(&[key("returned")], Lane::Mail).await.unwrap(),
        [Reservation::Joined]
    );
}

pub async fn who_has_lost_a_job_cannot_hand_it_back(stage: Stage) {
    let lost = queued(&stage, "lost", Lane::Mail).await;
    let again = reclaimed(&*stage.there.worker, "next").await;
    assert_eq!(
        stage.there.worker.begin(&again).await.unwrap(),
        Begin::Scan { bytes: bytes("lost"), failed: None }
    );
    stage.here.worker.hand_back(&lost).await.unwrap();
    let claims = stage.here.worker.claim("third", 0, room(10), Duration::ZERO).await.unwrap();
    assert_eq!(claims, [], "it is being scanned");
    let skipped = Completion::Answered(Answer::Skipped(SkipReason::TooLarge));
    stage.there.worker.complete(&again, &skipped).await.unwrap();
    stage.there.worker.hand_back(&again).await.unwrap();
    let reserved = stage.here.milter.reserve(&[key("lost")], Lane::Mail).await.unwrap();
    assert_eq!(reserved, [Reservation::Owner], "no lease comes back with a job that is done");
}

pub async fn a_job_that_nobody_waits_for_yields_to_the_background_lane(stage: Stage) {
    submit(&*stage.here.milter, "left", Lane::Mail).await;
    stage.here.milter.leave(&[key("left")]).await.unwrap();
    let claim = claimed(&*stage.there.worker).await;
    assert_eq!(stage.there.worker.begin(&claim).await.unwrap(), Begin::Nothing);
    submit(&*stage.here.milter, "awaited", Lane::Mail).await;
    let claims = stage.there.worker.claim("worker", 0, room(2), SOON).await.unwrap();
    assert_eq!(names(&claims), [key("awaited"), key("left")]);
    assert_eq!((claims[1].job.lane, claims[1].deliveries), (Lane::Background, 1));
    assert_eq!(
        stage.there.worker.begin(&claims[1]).await.unwrap(),
        Begin::Scan { bytes: bytes("left"), failed: None },
        "it is not lost"
    );
    stage.there.worker.complete(&claims[1], &answered(&verdict())).await.unwrap();
    assert_eq!(stage.here.milter.look_up(&[key("left")]).await.unwrap(), [Some(verdict())], "it is useful");
    assert_eq!(stage.here.operator.queue().await.unwrap().sample_bytes, bytes("awaited").len() as u64);
}

pub async fn who_leaves_is_not_waited_for_and_who_comes_again_goes_first(stage: Stage) {
    submit(&*stage.here.milter, "again", Lane::Mail).await;
    stage.here.milter.leave(&[key("again")]).await.unwrap();
    let claim = claimed(&*stage.there.worker).await;
    assert_eq!(stage.there.worker.begin(&claim).await.unwrap(), Begin::Nothing);
    assert_eq!(
        stage.there.milter.reserve(&[key("again")], Lane::Background).await.unwrap(),
        [Reservation::Joined],
        "there is a job in the background already"
    );
    assert_eq!(stage.here.milter.reserve(&[key("again")], Lane::Mail).await.unwrap(), [Reservation::Owner]);
    assert_eq!(submit_again(&*stage.here.milter, "again", Lane::Mail).await, Admission::Queued);
    let claims = stage.there.worker.claim("worker", 0, room(2), SOON).await.unwrap();
    assert_eq!(claims.iter().map(|claim| claim.job.lane).collect::<Vec<_>>(), [Lane::Mail, Lane::Background]);
    assert_eq!(
        stage.there.worker.begin(&claims[0]).await.unwrap(),
        Begin::Scan { bytes: bytes("again"), failed: None }
    );
    assert_eq!(stage.there.worker.begin(&claims[1]).await.unwrap(), Begin::Nothing, "one scan");
    assert_eq!(stage.here.milter.reserve(&[key("again")], Lane::Mail).await.unwrap(), [Reservation::Joined]);
}

pub async fn background_work_is_claimed_as_far_as_there_is_room_for_it(stage: Stage) {
    for name in ["rescan 1", "rescan 2"] {
        submit(&*stage.here.milter, name, Lane::Background).await;
    }
    let room = |background| Room { most: 2, background };
    assert_eq!(stage.there.worker.claim("worker", 0, room(0), Duration::ZERO).await.unwrap(), []);
    let claims = stage.there.worker.claim("worker", 0, room(1), SOON).await.unwrap();
    assert_eq!(names(&claims), [key("rescan 1")]);
    sleep(RECLAIM_AFTER).await; // the expiry itself is what is tested
    assert_eq!(stage.here.worker.reclaim("next", 0, room(0)).await.unwrap(), []);
    assert_eq!(names(&stage.here.worker.reclaim("next", 0, room(1)).await.unwrap()), [key("rescan 1")]);
}

pub async fn a_sample_resubmitted_while_its_job_ends_is_queued_anew(stage: Stage) {
    let first = queued(&stage, "ending", Lane::Mail).await;
    stage.there.worker.begin(&first).await.unwrap();
    // Its lease ends with its worker; a milter owns the sample anew.
    eventually("the lease is over", async || {
        stage.here.milter.reserve(&[key("ending")], Lane::Mail).await.unwrap() == [Reservation::Owner]
    })
    .await;
    assert_eq!(submit_again(&*stage.here.milter, "ending", Lane::Mail).await, Admission::Queued);
    stage
        .there
        .worker
        .complete(&first, &Completion::Answered(Answer::Failed("too late".into())))
        .await
        .unwrap();
    let second = claimed(&*stage.there.worker).await;
    assert_eq!(second.job.sample, key("ending"), "the first job's end took only itself");
    assert_eq!(stage.here.operator.queue().await.unwrap().sample_bytes, bytes("ending").len() as u64);
}

pub async fn a_dropped_dead_letter_is_gone(stage: Stage) {
    let claim = queued(&stage, "hopeless", Lane::Mail).await;
    stage.there.worker.begin(&claim).await.unwrap();
    stage.there.worker.complete(&claim, &Completion::Dead("no instance could".into())).await.unwrap();
    let letter = stage.here.operator.dead_letters(10).await.unwrap().remove(0);
    assert!(now() - letter.buried_at < 60);
    assert!(stage.here.operator.drop_letter(&letter).await.unwrap());
    assert!(!stage.here.operator.drop_letter(&letter).await.unwrap());
    assert_eq!(stage.here.operator.retry(&letter).await.unwrap(), Retried::Unknown);
    assert_eq!(stage.here.operator.queue().await.unwrap().dead_letters, 0);
}
