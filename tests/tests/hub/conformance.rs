// SPDX-License-Identifier: GPL-3.0-or-later
//! What every hub does. Scenarios know two processes' ends of it and nothing of what lies behind them.

use super::*;
use thundergate_common::{
    generation::{FarmReport, InstanceReport},
    hub::{Begin, Receipt, Retried},
    verdict::SkipReason,
};
use thundergate_tests::harness::redis::{Certificates, Guard, RedisCluster};
use tokio::{task::JoinSet, time::timeout};

/// Makes a test of every scenario for the two quick hubs, and one function that runs all of them.
macro_rules! scenarios {
    ($($scenario:ident),* $(,)?) => {
        mod in_memory {
            use super::in_memory;
            $(#[tokio::test] async fn $scenario() { super::$scenario(in_memory()).await; })*
        }
        mod over_redis {
            use super::over_redis;
            $(#[tokio::test] async fn $scenario() { super::$scenario(over_redis().await).await; })*
        }
        /// Runs every scenario on a stage of its own, made for its name.
        async fn all_hold(stage: impl AsyncFn(&'static str) -> Stage) {
            $(
                eprintln!("{}", stringify!($scenario));
                $scenario(stage(stringify!($scenario)).await).await;
            )*
        }
    };
}

scenarios!(
    a_completed_sample_is_known,
    a_hundred_reservations_have_one_owner,
    an_announcement_reaches_everybody_who_waits,
    a_missed_announcement_is_found_by_reserving_again,
    a_dead_owner_is_succeeded_after_reserve_ttl,
    a_claim_waits_for_a_job_and_mail_goes_first,
    a_dead_workers_job_is_delivered_again,
    a_renewed_job_is_not_reclaimed,
    a_resubmitted_sample_is_queued_once,
    a_sample_is_not_scanned_by_two_jobs,
    a_job_whose_sample_is_known_announces_it_again,
    a_dead_letter_announces_its_failure_and_stores_no_verdict,
    a_skipped_sample_is_announced_and_not_stored,
    a_full_queue_refuses_and_later_admits,
    a_queue_full_of_bytes_refuses,
    background_work_leaves_room_for_mail,
    a_handed_back_job_is_claimed_at_once_and_not_counted,
    who_has_lost_a_job_cannot_hand_it_back,
    bytes_that_expired_end_their_job,
    a_verdict_expires_and_can_be_forgotten,
    receipts_come_newest_first,
    a_job_that_nobody_waits_for_yields_to_the_background_lane,
    who_leaves_is_not_waited_for_and_who_comes_again_goes_first,
    background_work_is_claimed_as_far_as_there_is_room_for_it,
    a_sample_resubmitted_while_its_job_ends_is_queued_anew,
    the_farms_generation_makes_clean_verdicts_stale,
    a_bump_makes_clean_verdicts_stale,
    a_job_needs_a_verdict_of_its_signatures,
    a_known_verdict_ends_no_scan_for_a_better_one,
    a_scan_that_comes_late_clears_no_finding,
    a_dropped_dead_letter_is_gone,
);

#[tokio::test]
async fn everything_holds_over_a_cluster() {
    let cluster = RedisCluster::start().unwrap();
    let urls = || config::RedisUrl::Cluster(cluster.urls().into_iter().map(Into::into).collect());
    all_hold(async |name| stage(&redis(name, urls())).await).await;
}

#[tokio::test]
async fn everything_holds_over_a_unix_socket() {
    let server = RedisServer::start().unwrap();
    all_hold(async |name| stage(&redis(name, config::RedisUrl::One(server.unix_url().into()))).await).await;
}

#[tokio::test]
async fn everything_holds_sealed_and_over_tls() {
    let (files, certificates) = (tempfile::tempdir().unwrap(), Arc::new(Certificates::make().unwrap()));
    let guard = Guard { certificates: Some(certificates.clone()), ..Guard::default() };
    let server = RedisServer::start_guarded(&guard, &[]).unwrap();
    let secured = |name| config::Redis {
        ca_file: Some(certificates.ca()),
        secret_file: Some(sealed::written(&files, &[sealed::OLD])),
        ..redis(name, config::RedisUrl::One(server.url().into()))
    };
    all_hold(async |name| stage(&secured(name)).await).await;
}

#[tokio::test]
async fn everything_holds_for_the_users_of_the_programs() {
    let users = users::Users::start();
    all_hold(async |_| users.stage().await).await;
    assert_eq!(users.refused(), []);
}

async fn a_completed_sample_is_known(stage: Stage) {
    let (key, verdict) = (key("known"), verdict());
    assert_eq!(stage.here.look_up(std::slice::from_ref(&key)).await.unwrap(), [None]);
    let claim = queued(&stage, "known", Lane::Mail).await;
    assert_eq!(stage.there.begin(&claim).await.unwrap(), Begin::Scan(bytes("known")));
    stage.there.complete(&claim, &answered(&verdict)).await.unwrap();
    assert_eq!(
        stage.here.reserve(std::slice::from_ref(&key), Lane::Mail).await.unwrap(),
        [Reservation::Known(verdict.clone())]
    );
    let other = self::key("other");
    assert_eq!(stage.here.look_up(&[other, key]).await.unwrap(), [None, Some(verdict)]);
    let queue = stage.here.queue().await.unwrap();
    assert_eq!(queue.sample_bytes, 0);
    assert!(queue.lanes.iter().all(|lane| lane.waiting + lane.claimed == 0 && lane.oldest_ms.is_none()));
}

async fn a_hundred_reservations_have_one_owner(stage: Stage) {
    let mut reservations = JoinSet::new();
    for number in 0..100 {
        let hub = if number % 2 == 0 { stage.here.clone() } else { stage.there.clone() };
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

async fn an_announcement_reaches_everybody_who_waits(stage: Stage) {
    let key = key("awaited");
    let mut here = stage.here.announcements().subscribe(&key);
    let mut there = stage.there.announcements().subscribe(&key);
    let claim = queued(&stage, "awaited", Lane::Mail).await;
    assert_eq!(stage.there.reserve(&[key], Lane::Mail).await.unwrap(), [Reservation::Joined]);
    stage.there.begin(&claim).await.unwrap();
    let verdict = verdict();
    stage.there.complete(&claim, &answered(&verdict)).await.unwrap();
    for ticket in [&mut here, &mut there] {
        let answer = timeout(SOON, ticket.answer()).await.expect("the answer is announced");
        assert_eq!(answer, Answer::Verdict(verdict.clone()));
    }
}

async fn a_missed_announcement_is_found_by_reserving_again(stage: Stage) {
    let claim = queued(&stage, "missed", Lane::Mail).await;
    stage.there.begin(&claim).await.unwrap();
    assert_eq!(stage.here.reserve(&[key("missed")], Lane::Mail).await.unwrap(), [Reservation::Joined]);
    let verdict = verdict();
    stage.there.complete(&claim, &answered(&verdict)).await.unwrap();
    assert_eq!(
        stage.here.reserve(&[key("missed")], Lane::Mail).await.unwrap(),
        [Reservation::Known(verdict)]
    );
}

async fn a_dead_owner_is_succeeded_after_reserve_ttl(stage: Stage) {
    let reserved = Instant::now();
    assert_eq!(stage.here.reserve(&[key("orphan")], Lane::Mail).await.unwrap(), [Reservation::Owner]);
    eventually("there is a new owner", async || {
        stage.there.reserve(&[key("orphan")], Lane::Mail).await.unwrap() == [Reservation::Owner]
    })
    .await;
    assert!(reserved.elapsed() >= RESERVE_TTL - Duration::from_millis(50), "{:?}", reserved.elapsed());
}

async fn a_claim_waits_for_a_job_and_mail_goes_first(stage: Stage) {
    let hub = stage.there.clone();
    let mut waiting = JoinSet::new();
    waiting.spawn(async move { hub.claim("waiting", 0, room(10), SOON).await.unwrap() });
    let started = Instant::now();
    assert_eq!(stage.here.claim("in vain", 0, room(1), Duration::from_millis(50)).await.unwrap(), []);
    assert!(started.elapsed() >= Duration::from_millis(50));
    submit(&*stage.here, "first", Lane::Mail).await;
    let claims = waiting.join_next().await.unwrap().unwrap();
    assert_eq!(names(&claims), [key("first")]);
    assert!(started.elapsed() < SOON, "it is woken, not timed out");

    submit(&*stage.here, "background", Lane::Background).await;
    for name in ["mail 1", "mail 2", "mail 3"] {
        submit(&*stage.here, name, Lane::Mail).await;
    }
    let claims = stage.there.claim("a", 0, room(2), SOON).await.unwrap();
    assert_eq!(names(&claims), [key("mail 1"), key("mail 2")], "no more than asked for");
    let claims = stage.there.claim("a", 0, room(2), SOON).await.unwrap();
    assert_eq!(names(&claims), [key("mail 3"), key("background")]);
    let queue = stage.here.queue().await.unwrap();
    assert_eq!(
        queue.lanes.iter().map(|lane| (lane.waiting, lane.claimed)).collect::<Vec<_>>(),
        [(0, 4), (0, 1)]
    );
    assert!(queue.lanes[0].oldest_ms.is_some_and(|age| age < 60_000));
    let all = ["first", "background", "mail 1", "mail 2", "mail 3"].map(|name| bytes(name).len() as u64);
    assert_eq!(queue.sample_bytes, all.iter().sum::<u64>());
}

async fn a_dead_workers_job_is_delivered_again(stage: Stage) {
    submit(&*stage.here, "abandoned", Lane::Mail).await;
    assert_eq!(
        stage.there.reclaim("next", 0, room(10)).await.unwrap(),
        [],
        "nobody has claimed anything yet"
    );
    let claim = claimed(&*stage.here).await;
    assert_eq!(claim.deliveries, 1);
    assert_eq!(stage.here.begin(&claim).await.unwrap(), Begin::Scan(bytes("abandoned")));
    assert_eq!(stage.there.reclaim("next", 0, room(10)).await.unwrap(), [], "its time is not over");
    let again = reclaimed(&*stage.there, "next").await;
    assert_eq!((again.deliveries, &again.id), (2, &claim.id));
    let begun = stage.there.begin(&again).await.unwrap();
    assert_eq!(begun, Begin::Scan(bytes("abandoned")), "the same job takes its own lease over");
    let third = reclaimed(&*stage.here, "last").await;
    assert_eq!(third.deliveries, 3);
}

async fn a_renewed_job_is_not_reclaimed(stage: Stage) {
    let claim = queued(&stage, "renewed", Lane::Mail).await;
    stage.here.begin(&claim).await.unwrap();
    let started = Instant::now();
    while started.elapsed() < LEASE_TTL + RESERVE_TTL {
        stage.here.renew("worker", std::slice::from_ref(&claim)).await.unwrap();
        assert_eq!(stage.there.reclaim("thief", 0, room(10)).await.unwrap(), []);
        sleep(RECLAIM_AFTER / 6).await;
    }
    assert_eq!(
        stage.there.reserve(&[key("renewed")], Lane::Mail).await.unwrap(),
        [Reservation::Joined],
        "the lease lives"
    );
    stage.here.complete(&claim, &answered(&verdict())).await.unwrap();
}

async fn a_resubmitted_sample_is_queued_once(stage: Stage) {
    submit(&*stage.here, "twice", Lane::Mail).await;
    eventually("the lease is over", async || {
        stage.there.reserve(&[key("twice")], Lane::Mail).await.unwrap() == [Reservation::Owner]
    })
    .await;
    assert_eq!(submit_again(&*stage.there, "twice", Lane::Mail).await, Admission::Queued);
    assert_eq!(stage.here.claim("worker", 0, room(10), Duration::ZERO).await.unwrap().len(), 1);
}

async fn a_sample_is_not_scanned_by_two_jobs(stage: Stage) {
    let first = queued(&stage, "double", Lane::Mail).await;
    assert_eq!(submit_again(&*stage.there, "double", Lane::Background).await, Admission::Queued);
    let second = claimed(&*stage.there).await;
    assert_ne!(first.id, second.id);
    assert!(matches!(stage.here.begin(&first).await.unwrap(), Begin::Scan(_)));
    assert_eq!(stage.there.begin(&second).await.unwrap(), Begin::Nothing);
    assert_eq!(stage.there.queue().await.unwrap().lanes[1].claimed, 0, "the second job is acknowledged");
}

async fn a_job_whose_sample_is_known_announces_it_again(stage: Stage) {
    let verdict = verdict();
    let claim = queued(&stage, "late", Lane::Mail).await;
    submit_again(&*stage.here, "late", Lane::Background).await;
    let late = claimed(&*stage.here).await;
    stage.here.begin(&claim).await.unwrap();
    stage.here.complete(&claim, &answered(&verdict)).await.unwrap();
    // A crash between storing and announcing: a milter still waits.
    let mut ticket = stage.here.announcements().subscribe(&key("late"));
    stage.here.forget(&key("late")).await.unwrap();
    stage.here.reserve(&[key("late")], Lane::Mail).await.unwrap();
    store(&stage, "late", &verdict).await;
    assert_eq!(stage.there.begin(&late).await.unwrap(), Begin::Nothing);
    let answer = timeout(SOON, ticket.answer()).await.expect("the answer is announced");
    assert_eq!(answer, Answer::Verdict(verdict));
    assert_eq!(stage.here.queue().await.unwrap().lanes[1].claimed, 0, "the job is acknowledged");
}

async fn a_dead_letter_announces_its_failure_and_stores_no_verdict(stage: Stage) {
    let mut ticket = stage.here.announcements().subscribe(&key("poison"));
    let claim = queued(&stage, "poison", Lane::Mail).await;
    stage.there.begin(&claim).await.unwrap();
    for _ in 0..2 {
        stage.there.complete(&claim, &Completion::Dead("no instance could".into())).await.unwrap();
    }
    let answer = timeout(SOON, ticket.answer()).await.expect("the failure is announced");
    assert_eq!(answer, Answer::Failed("no instance could".into()));
    assert_eq!(stage.here.look_up(&[key("poison")]).await.unwrap(), [None]);
    let letters = stage.here.dead_letters(10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((&letters[0].job, letters[0].deliveries), (&claim.job, 1));
    let queue = stage.here.queue().await.unwrap();
    assert_eq!((queue.dead_letters, queue.sample_bytes, queue.lanes[0].claimed), (1, 0, 0));
    assert_eq!(
        stage.here.reserve(&[key("poison")], Lane::Mail).await.unwrap(),
        [Reservation::Owner],
        "it may be tried anew"
    );
}

async fn a_skipped_sample_is_announced_and_not_stored(stage: Stage) {
    let mut ticket = stage.here.announcements().subscribe(&key("large"));
    let claim = queued(&stage, "large", Lane::Mail).await;
    stage.there.begin(&claim).await.unwrap();
    let skipped = Answer::Skipped(SkipReason::TooLarge);
    stage.there.complete(&claim, &Completion::Answered(skipped.clone())).await.unwrap();
    assert_eq!(timeout(SOON, ticket.answer()).await.expect("the answer is announced"), skipped);
    assert_eq!(stage.here.look_up(&[key("large")]).await.unwrap(), [None]);
}

async fn a_full_queue_refuses_and_later_admits(stage: Stage) {
    for number in 0..limits().max_jobs / stage.here.shards() {
        submit(&*stage.here, &format!("job {number}"), Lane::Mail).await;
    }
    stage.here.reserve(&[key("one more")], Lane::Mail).await.unwrap();
    assert_eq!(submit_again(&*stage.here, "one more", Lane::Mail).await, Admission::Full);
    let next = stage.there.reserve(&[key("one more")], Lane::Mail).await.unwrap();
    assert_eq!(next, [Reservation::Owner], "the reservation is given back");
    let claim = claimed(&*stage.here).await;
    assert_eq!(
        submit_again(&*stage.there, "one more", Lane::Mail).await,
        Admission::Full,
        "a claimed job counts"
    );
    stage.here.begin(&claim).await.unwrap();
    stage.here.complete(&claim, &answered(&verdict())).await.unwrap();
    assert_eq!(submit_again(&*stage.there, "one more", Lane::Mail).await, Admission::Queued);
}

async fn a_queue_full_of_bytes_refuses(stage: Stage) {
    let half = "x".repeat(limits().max_bytes.as_u64() as usize / stage.here.shards() / 2 + 1);
    submit(&*stage.here, &half, Lane::Mail).await;
    let other = half.replace('x', "y");
    assert_eq!(submit_again(&*stage.there, &other, Lane::Mail).await, Admission::Full);
    let claim = claimed(&*stage.here).await;
    stage.here.begin(&claim).await.unwrap();
    stage.here.complete(&claim, &answered(&verdict())).await.unwrap();
    assert_eq!(submit_again(&*stage.there, &other, Lane::Mail).await, Admission::Queued);
}

async fn background_work_leaves_room_for_mail(stage: Stage) {
    for number in 0..limits().max_jobs / stage.here.shards() / 2 {
        submit(&*stage.here, &format!("rescan {number}"), Lane::Background).await;
    }
    stage.here.reserve(&[key("one more")], Lane::Background).await.unwrap();
    assert_eq!(submit_again(&*stage.here, "one more", Lane::Background).await, Admission::Full);
    let next = stage.there.reserve(&[key("one more")], Lane::Background).await.unwrap();
    assert_eq!(next, [Reservation::Owner], "the reservation is given back");
    assert_eq!(submit_again(&*stage.here, "one more", Lane::Mail).await, Admission::Queued);
}

async fn a_handed_back_job_is_claimed_at_once_and_not_counted(stage: Stage) {
    let claim = queued(&stage, "returned", Lane::Mail).await;
    stage.here.begin(&claim).await.unwrap();
    stage.here.hand_back(&claim).await.unwrap();
    stage.here.hand_back(&claim).await.unwrap(); // a repetition does nothing
    let again = stage.there.claim("other", 0, room(10), Duration::ZERO).await.unwrap();
    assert_eq!(names(&again), [key("returned")]);
    assert_eq!(again[0].deliveries, 1);
    assert_eq!(stage.there.begin(&again[0]).await.unwrap(), Begin::Scan(bytes("returned")));
    assert_eq!(stage.here.queue().await.unwrap().sample_bytes, bytes("returned").len() as u64);
}

async fn who_has_lost_a_job_cannot_hand_it_back(stage: Stage) {
    let lost = queued(&stage, "lost", Lane::Mail).await;
    let again = reclaimed(&*stage.there, "next").await;
    assert_eq!(stage.there.begin(&again).await.unwrap(), Begin::Scan(bytes("lost")));
    stage.here.hand_back(&lost).await.unwrap();
    let claims = stage.here.claim("third", 0, room(10), Duration::ZERO).await.unwrap();
    assert_eq!(claims, [], "it is being scanned");
    let skipped = Completion::Answered(Answer::Skipped(SkipReason::TooLarge));
    stage.there.complete(&again, &skipped).await.unwrap();
    stage.there.hand_back(&again).await.unwrap();
    let reserved = stage.here.reserve(&[key("lost")], Lane::Mail).await.unwrap();
    assert_eq!(reserved, [Reservation::Owner], "no lease comes back with a job that is done");
}

async fn bytes_that_expired_end_their_job(stage: Stage) {
    let claim = queued(&stage, "expired", Lane::Mail).await;
    sleep(limits().sample_ttl).await; // the expiry itself is what is tested
    assert_eq!(stage.there.begin(&claim).await.unwrap(), Begin::Nothing);
    assert_eq!(stage.here.reserve(&[key("expired")], Lane::Mail).await.unwrap(), [Reservation::Owner]);
    assert_eq!(stage.here.queue().await.unwrap().lanes[0].claimed, 0);
}

async fn a_verdict_expires_and_can_be_forgotten(stage: Stage) {
    let clean = Arc::new(Verdict { scanned_at: now() - 118, ..Verdict::default() });
    store(&stage, "clean", &clean).await;
    assert_eq!(stage.here.look_up(&[key("clean")]).await.unwrap(), [Some(clean)]);
    store(&stage, "found", &verdict()).await;
    let old = Arc::new(Verdict { scanned_at: now() - 3600, ..Verdict::default() });
    store(&stage, "old", &old).await;
    assert_eq!(stage.here.look_up(&[key("old")]).await.unwrap(), [None], "it was over before it was stored");
    eventually("the clean verdict expires", async || {
        stage.here.look_up(&[key("clean")]).await.unwrap() == [None]
    })
    .await;
    assert!(stage.here.forget(&key("found")).await.unwrap());
    assert!(!stage.here.forget(&key("found")).await.unwrap());
    assert_eq!(stage.there.look_up(&[key("found")]).await.unwrap(), [None]);
}

async fn receipts_come_newest_first(stage: Stage) {
    let receipt = |at| Receipt {
        at,
        queue_id: "4Bq".into(),
        sender: "a@example.org".into(),
        recipients: ["b@example.org".into()].into(),
        name: Some("invoice.pdf".into()),
        decision: "accept".into(),
    };
    let receipts = [1, 2, 3].map(|at| (key("received"), receipt(at)));
    stage.here.record(&receipts).await.unwrap();
    stage.here.record(&[(key("another"), receipt(9))]).await.unwrap();
    assert_eq!(stage.there.receipts(&key("received"), 2).await.unwrap(), [receipt(3), receipt(2)]);
}

async fn a_job_that_nobody_waits_for_yields_to_the_background_lane(stage: Stage) {
    submit(&*stage.here, "left", Lane::Mail).await;
    stage.here.leave(&[key("left")]).await.unwrap();
    let claim = claimed(&*stage.there).await;
    assert_eq!(stage.there.begin(&claim).await.unwrap(), Begin::Nothing);
    submit(&*stage.here, "awaited", Lane::Mail).await;
    let claims = stage.there.claim("worker", 0, room(2), SOON).await.unwrap();
    assert_eq!(names(&claims), [key("awaited"), key("left")]);
    assert_eq!((claims[1].job.lane, claims[1].deliveries), (Lane::Background, 1));
    assert_eq!(stage.there.begin(&claims[1]).await.unwrap(), Begin::Scan(bytes("left")), "it is not lost");
    stage.there.complete(&claims[1], &answered(&verdict())).await.unwrap();
    assert_eq!(stage.here.look_up(&[key("left")]).await.unwrap(), [Some(verdict())], "it is useful");
    assert_eq!(stage.here.queue().await.unwrap().sample_bytes, bytes("awaited").len() as u64);
}

async fn who_leaves_is_not_waited_for_and_who_comes_again_goes_first(stage: Stage) {
    submit(&*stage.here, "again", Lane::Mail).await;
    stage.here.leave(&[key("again")]).await.unwrap();
    let claim = claimed(&*stage.there).await;
    assert_eq!(stage.there.begin(&claim).await.unwrap(), Begin::Nothing);
    assert_eq!(
        stage.there.reserve(&[key("again")], Lane::Background).await.unwrap(),
        [Reservation::Joined],
        "there is a job in the background already"
    );
    assert_eq!(stage.here.reserve(&[key("again")], Lane::Mail).await.unwrap(), [Reservation::Owner]);
    assert_eq!(submit_again(&*stage.here, "again", Lane::Mail).await, Admission::Queued);
    let claims = stage.there.claim("worker", 0, room(2), SOON).await.unwrap();
    assert_eq!(claims.iter().map(|claim| claim.job.lane).collect::<Vec<_>>(), [Lane::Mail, Lane::Background]);
    assert_eq!(stage.there.begin(&claims[0]).await.unwrap(), Begin::Scan(bytes("again")));
    assert_eq!(stage.there.begin(&claims[1]).await.unwrap(), Begin::Nothing, "one scan");
    assert_eq!(stage.here.reserve(&[key("again")], Lane::Mail).await.unwrap(), [Reservation::Joined]);
}

async fn background_work_is_claimed_as_far_as_there_is_room_for_it(stage: Stage) {
    for name in ["rescan 1", "rescan 2"] {
        submit(&*stage.here, name, Lane::Background).await;
    }
    let room = |background| Room { most: 2, background };
    assert_eq!(stage.there.claim("worker", 0, room(0), Duration::ZERO).await.unwrap(), []);
    let claims = stage.there.claim("worker", 0, room(1), SOON).await.unwrap();
    assert_eq!(names(&claims), [key("rescan 1")]);
    sleep(RECLAIM_AFTER).await; // the expiry itself is what is tested
    assert_eq!(stage.here.reclaim("next", 0, room(0)).await.unwrap(), []);
    assert_eq!(names(&stage.here.reclaim("next", 0, room(1)).await.unwrap()), [key("rescan 1")]);
}

async fn a_sample_resubmitted_while_its_job_ends_is_queued_anew(stage: Stage) {
    let first = queued(&stage, "ending", Lane::Mail).await;
    stage.there.begin(&first).await.unwrap();
    // Its lease ends with its worker; a milter owns the sample anew.
    eventually("the lease is over", async || {
        stage.here.reserve(&[key("ending")], Lane::Mail).await.unwrap() == [Reservation::Owner]
    })
    .await;
    assert_eq!(submit_again(&*stage.here, "ending", Lane::Mail).await, Admission::Queued);
    stage.there.complete(&first, &Completion::Answered(Answer::Failed("too late".into()))).await.unwrap();
    let second = claimed(&*stage.there).await;
    assert_eq!(second.job.sample, key("ending"), "the first job's end took only itself");
    assert_eq!(stage.here.queue().await.unwrap().sample_bytes, bytes("ending").len() as u64);
}

async fn the_farms_generation_makes_clean_verdicts_stale(stage: Stage) {
    report(&*stage.there, "1").await;
    store(&stage, "aging", &clean("1")).await;
    store(&stage, "found", &verdict()).await;
    let known = Reservation::Known(clean("1"));
    assert_eq!(stage.here.reserve(&[key("aging")], Lane::Mail).await.unwrap(), std::slice::from_ref(&known));
    report(&*stage.there, "2").await;
    eventually("it is stale everywhere", async || {
        stage.here.reserve(&[key("aging")], Lane::Mail).await.unwrap() == [Reservation::Owner]
    })
    .await;
    assert_eq!(stage.here.generation().signatures.as_deref(), Some("2"));
    let found = stage.here.reserve(&[key("found")], Lane::Mail).await.unwrap();
    assert_eq!(found, [Reservation::Known(verdict())], "what was found stays found");
    assert_eq!(submit_again(&*stage.here, "aging", Lane::Mail).await, Admission::Queued);
    let claim = claimed(&*stage.there).await;
    assert_eq!(stage.there.begin(&claim).await.unwrap(), Begin::Scan(bytes("aging")));
    stage.there.complete(&claim, &answered(&clean("2"))).await.unwrap();
    let known = Reservation::Known(clean("2"));
    assert_eq!(stage.here.reserve(&[key("aging")], Lane::Mail).await.unwrap(), [known]);
    assert_eq!(stage.there.farm().await.unwrap().len(), 1);
    report(&*stage.there, "1").await;
    eventually("the farm has gone back", async || stage.here.generation().signatures.as_deref() == Some("1"))
        .await;
}

async fn a_bump_makes_clean_verdicts_stale(stage: Stage) {
    store(&stage, "custom", &clean("1")).await;
    assert!(matches!(
        stage.here.reserve(&[key("custom")], Lane::Mail).await.unwrap()[..],
        [Reservation::Known(_)]
    ));
    let generation = stage.there.bump().await.unwrap();
    assert!(generation.bumped_at > 0);
    eventually("it is stale everywhere", async || {
        stage.here.reserve(&[key("custom")], Lane::Mail).await.unwrap() == [Reservation::Owner]
    })
    .await;
}

async fn a_job_needs_a_verdict_of_its_signatures(stage: Stage) {
    store(&stage, "needy", &clean("1")).await;
    assert_eq!(stage.here.submit(&[needing("needy", "2")]).await.unwrap(), [Admission::Queued]);
    stage.here.reserve(&[key("needy")], Lane::Background).await.unwrap();
    let claim = claimed(&*stage.there).await;
    assert_eq!(claim.job.needs.as_deref(), Some("2"));
    assert_eq!(stage.there.begin(&claim).await.unwrap(), Begin::Scan(bytes("needy")));
}

async fn a_known_verdict_ends_no_scan_for_a_better_one(stage: Stage) {
    store(&stage, "better", &clean("1")).await;
    stage.here.submit(&[needing("better", "2")]).await.unwrap();
    let needy = claimed(&*stage.there).await;
    assert_eq!(stage.there.begin(&needy).await.unwrap(), Begin::Scan(bytes("better")));
    submit_again(&*stage.here, "better", Lane::Mail).await;
    let content = claimed(&*stage.there).await;
    assert_eq!(stage.there.begin(&content).await.unwrap(), Begin::Nothing);
    stage.here.forget(&key("better")).await.unwrap();
    let reserved = stage.here.reserve(&[key("better")], Lane::Background).await.unwrap();
    assert_eq!(reserved, [Reservation::Joined], "the other scan still runs");
}

async fn a_scan_that_comes_late_clears_no_finding(stage: Stage) {
    let late = queued(&stage, "late", Lane::Mail).await;
    stage.there.begin(&late).await.unwrap();
    eventually("its lease is over", async || {
        stage.here.reserve(&[key("late")], Lane::Mail).await.unwrap() == [Reservation::Owner]
    })
    .await;
    submit_again(&*stage.here, "late", Lane::Mail).await;
    let in_time = claimed(&*stage.there).await;
    assert_eq!(stage.there.begin(&in_time).await.unwrap(), Begin::Scan(bytes("late")));
    stage.there.complete(&in_time, &answered(&verdict())).await.unwrap();
    stage.there.complete(&late, &answered(&clean("1"))).await.unwrap();
    assert_eq!(stage.here.look_up(&[key("late")]).await.unwrap(), [Some(verdict())]);
}

async fn a_dropped_dead_letter_is_gone(stage: Stage) {
    let claim = queued(&stage, "hopeless", Lane::Mail).await;
    stage.there.begin(&claim).await.unwrap();
    stage.there.complete(&claim, &Completion::Dead("no instance could".into())).await.unwrap();
    let letter = stage.here.dead_letters(10).await.unwrap().remove(0);
    assert!(now() - letter.buried_at < 60);
    assert!(stage.here.drop_letter(&letter).await.unwrap());
    assert!(!stage.here.drop_letter(&letter).await.unwrap());
    assert_eq!(stage.here.retry(&letter).await.unwrap(), Retried::Unknown);
    assert_eq!(stage.here.queue().await.unwrap().dead_letters, 0);
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
async fn report(hub: &dyn Hub, signatures: &str) {
    let instance = InstanceReport {
        name: "storm1".into(),
        healthy: true,
        signatures: Some(signatures.to_owned()),
        ..InstanceReport::default()
    };
    let report = FarmReport { worker: "worker".into(), at: now(), instances: vec![instance] };
    hub.report(&report, None).await.unwrap();
}
