// SPDX-License-Identifier: GPL-3.0-or-later
//! What every hub does, over one process and over a real Redis with two processes; then what only Redis can do to one.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use thundergate_common::{
    config,
    digest::Digest,
    hub::{
        Admission, Begin, Claim, Completion, Hub, HubError, Receipt, Reservation, memory::MemoryHub,
        redis::RedisHub,
    },
    job::{Job, Lane},
    sample::{NameHint, Sample, SampleKey},
    verdict::{Answer, Finding, SkipReason, Verdict, now},
};
use thundergate_tests::harness::redis::{RedisCluster, RedisServer, WatchedRedis};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

/// Long enough for anything that should happen at once.
const SOON: Duration = Duration::from_secs(5);
/// What a Sentinel may take to promote a replica.
const FAIL_OVER: Duration = Duration::from_secs(20);
const RESERVE_TTL: Duration = Duration::from_millis(400);
const LEASE_TTL: Duration = Duration::from_millis(900);
const RECLAIM_AFTER: Duration = Duration::from_millis(300);

/// Two processes' ends of one hub, and what lies behind them.
struct Stage {
    here: Arc<dyn Hub>,
    there: Arc<dyn Hub>,
    _server: Option<RedisServer>,
}

/// Runs a scenario over both kinds of hub.
macro_rules! every_hub {
    ($($scenario:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test] async fn $scenario() { super::$scenario(super::in_memory()).await; })*
        }
        mod over_redis {
            $(#[tokio::test] async fn $scenario() { super::$scenario(super::over_redis().await).await; })*
        }
        #[tokio::test]
        async fn everything_holds_over_a_cluster() {
            let cluster = RedisCluster::start().unwrap();
            let urls = || cluster.urls().into_iter().map(Into::into).collect();
            $(
                eprintln!("{}", stringify!($scenario));
                $scenario(stage(stringify!($scenario), &config::RedisUrl::Cluster(urls())).await).await;
            )*
        }
    };
}

every_hub!(
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
    bytes_that_expired_end_their_job,
    a_verdict_expires_and_can_be_forgotten,
    receipts_come_newest_first,
);

async fn a_completed_sample_is_known(stage: Stage) {
    let (key, verdict) = (key("known"), verdict());
    assert_eq!(stage.here.look_up(std::slice::from_ref(&key)).await.unwrap(), [None]);
    let claim = queued(&stage, "known", Lane::Mail).await;
    assert_eq!(stage.there.begin(&claim).await.unwrap(), Begin::Scan(Bytes::from("known")));
    stage.there.complete(&claim, &answered(&verdict)).await.unwrap();
    assert_eq!(
        stage.here.reserve(std::slice::from_ref(&key)).await.unwrap(),
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
        reservations.spawn(async move { hub.reserve(&[key("mass mail"), key("and more")]).await.unwrap() });
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
    assert_eq!(stage.there.reserve(&[key]).await.unwrap(), [Reservation::Joined]);
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
    assert_eq!(stage.here.reserve(&[key("missed")]).await.unwrap(), [Reservation::Joined]);
    let verdict = verdict();
    stage.there.complete(&claim, &answered(&verdict)).await.unwrap();
    assert_eq!(stage.here.reserve(&[key("missed")]).await.unwrap(), [Reservation::Known(verdict)]);
}

async fn a_dead_owner_is_succeeded_after_reserve_ttl(stage: Stage) {
    let reserved = Instant::now();
    assert_eq!(stage.here.reserve(&[key("orphan")]).await.unwrap(), [Reservation::Owner]);
    eventually("there is a new owner", async || {
        stage.there.reserve(&[key("orphan")]).await.unwrap() == [Reservation::Owner]
    })
    .await;
    assert!(reserved.elapsed() >= RESERVE_TTL - Duration::from_millis(50), "{:?}", reserved.elapsed());
}

async fn a_claim_waits_for_a_job_and_mail_goes_first(stage: Stage) {
    let hub = stage.there.clone();
    let mut waiting = JoinSet::new();
    waiting.spawn(async move { hub.claim("waiting", 10, SOON).await.unwrap() });
    let started = Instant::now();
    assert_eq!(stage.here.claim("in vain", 1, Duration::from_millis(50)).await.unwrap(), []);
    assert!(started.elapsed() >= Duration::from_millis(50));
    submit(&*stage.here, "first", Lane::Mail).await;
    let claims = waiting.join_next().await.unwrap().unwrap();
    assert_eq!(names(&claims), [key("first")]);
    assert!(started.elapsed() < SOON, "it is woken, not timed out");

    submit(&*stage.here, "background", Lane::Background).await;
    for name in ["mail 1", "mail 2", "mail 3"] {
        submit(&*stage.here, name, Lane::Mail).await;
    }
    let claims = stage.there.claim("a", 2, SOON).await.unwrap();
    assert_eq!(names(&claims), [key("mail 1"), key("mail 2")], "no more than asked for");
    let claims = stage.there.claim("a", 2, SOON).await.unwrap();
    assert_eq!(names(&claims), [key("mail 3"), key("background")]);
    let queue = stage.here.queue().await.unwrap();
    assert_eq!(
        queue.lanes.iter().map(|lane| (lane.waiting, lane.claimed)).collect::<Vec<_>>(),
        [(0, 4), (0, 1)]
    );
    assert!(queue.lanes[0].oldest_ms.is_some_and(|age| age < 60_000));
    assert_eq!(queue.sample_bytes, 5 + 10 + 3 * 6);
}

async fn a_dead_workers_job_is_delivered_again(stage: Stage) {
    submit(&*stage.here, "abandoned", Lane::Mail).await;
    assert_eq!(stage.there.reclaim("next", 10).await.unwrap(), [], "nobody has claimed anything yet");
    let claim = claimed(&*stage.here).await;
    assert_eq!(claim.deliveries, 1);
    assert_eq!(stage.here.begin(&claim).await.unwrap(), Begin::Scan(Bytes::from("abandoned")));
    assert_eq!(stage.there.reclaim("next", 10).await.unwrap(), [], "its time is not over");
    let again = reclaimed(&*stage.there, "next").await;
    assert_eq!((again.deliveries, &again.id), (2, &claim.id));
    let begun = stage.there.begin(&again).await.unwrap();
    assert_eq!(begun, Begin::Scan(Bytes::from("abandoned")), "the same job takes its own lease over");
    let third = reclaimed(&*stage.here, "last").await;
    assert_eq!(third.deliveries, 3);
}

async fn a_renewed_job_is_not_reclaimed(stage: Stage) {
    let claim = queued(&stage, "renewed", Lane::Mail).await;
    stage.here.begin(&claim).await.unwrap();
    let started = Instant::now();
    while started.elapsed() < LEASE_TTL + RESERVE_TTL {
        stage.here.renew("worker", std::slice::from_ref(&claim)).await.unwrap();
        assert_eq!(stage.there.reclaim("thief", 10).await.unwrap(), []);
        sleep(RECLAIM_AFTER / 6).await;
    }
    assert_eq!(
        stage.there.reserve(&[key("renewed")]).await.unwrap(),
        [Reservation::Joined],
        "the lease lives"
    );
    stage.here.complete(&claim, &answered(&verdict())).await.unwrap();
}

async fn a_resubmitted_sample_is_queued_once(stage: Stage) {
    submit(&*stage.here, "twice", Lane::Mail).await;
    eventually("the lease is over", async || {
        stage.there.reserve(&[key("twice")]).await.unwrap() == [Reservation::Owner]
    })
    .await;
    assert_eq!(submit_again(&*stage.there, "twice", Lane::Mail).await, Admission::Queued);
    assert_eq!(stage.here.claim("worker", 10, Duration::ZERO).await.unwrap().len(), 1);
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
    stage.here.reserve(&[key("late")]).await.unwrap();
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
    stage.there.complete(&claim, &Completion::Dead("no instance could".into())).await.unwrap();
    let answer = timeout(SOON, ticket.answer()).await.expect("the failure is announced");
    assert_eq!(answer, Answer::Failed("no instance could".into()));
    assert_eq!(stage.here.look_up(&[key("poison")]).await.unwrap(), [None]);
    let letters = stage.here.dead_letters(10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((&letters[0].job, letters[0].deliveries), (&claim.job, 1));
    let queue = stage.here.queue().await.unwrap();
    assert_eq!((queue.dead_letters, queue.sample_bytes, queue.lanes[0].claimed), (1, 0, 0));
    assert_eq!(
        stage.here.reserve(&[key("poison")]).await.unwrap(),
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
    for number in 0..limits().max_jobs {
        submit(&*stage.here, &format!("job {number}"), Lane::Mail).await;
    }
    stage.here.reserve(&[key("one more")]).await.unwrap();
    assert_eq!(submit_again(&*stage.here, "one more", Lane::Mail).await, Admission::Full);
    let next = stage.there.reserve(&[key("one more")]).await.unwrap();
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
    let half = "x".repeat(limits().max_bytes.as_u64() as usize / 2 + 1);
    submit(&*stage.here, &half, Lane::Mail).await;
    let other = half.replace('x', "y");
    assert_eq!(submit_again(&*stage.there, &other, Lane::Mail).await, Admission::Full);
    let claim = claimed(&*stage.here).await;
    stage.here.begin(&claim).await.unwrap();
    stage.here.complete(&claim, &answered(&verdict())).await.unwrap();
    assert_eq!(submit_again(&*stage.there, &other, Lane::Mail).await, Admission::Queued);
}

async fn background_work_leaves_room_for_mail(stage: Stage) {
    for number in 0..limits().max_jobs / 2 {
        submit(&*stage.here, &format!("rescan {number}"), Lane::Background).await;
    }
    assert_eq!(submit_again(&*stage.here, "one more", Lane::Background).await, Admission::Full);
    assert_eq!(submit_again(&*stage.here, "one more", Lane::Mail).await, Admission::Queued);
}

async fn a_handed_back_job_is_claimed_at_once_and_not_counted(stage: Stage) {
    let claim = queued(&stage, "returned", Lane::Mail).await;
    stage.here.begin(&claim).await.unwrap();
    stage.here.hand_back(&claim).await.unwrap();
    stage.here.hand_back(&claim).await.unwrap(); // a repetition does nothing
    let again = stage.there.claim("other", 10, Duration::ZERO).await.unwrap();
    assert_eq!(names(&again), [key("returned")]);
    assert_eq!(again[0].deliveries, 1);
    assert_eq!(stage.there.begin(&again[0]).await.unwrap(), Begin::Scan(Bytes::from("returned")));
    assert_eq!(stage.here.queue().await.unwrap().sample_bytes, 8);
}

async fn bytes_that_expired_end_their_job(stage: Stage) {
    let claim = queued(&stage, "expired", Lane::Mail).await;
    sleep(limits().sample_ttl).await; // the expiry itself is what is tested
    assert_eq!(stage.there.begin(&claim).await.unwrap(), Begin::Nothing);
    assert_eq!(stage.here.reserve(&[key("expired")]).await.unwrap(), [Reservation::Owner]);
    assert_eq!(stage.here.queue().await.unwrap().lanes[0].claimed, 0);
}

async fn a_verdict_expires_and_can_be_forgotten(stage: Stage) {
    let clean = Arc::new(Verdict { scanned_at: now(), ..Verdict::default() });
    store(&stage, "clean", &clean).await;
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

#[tokio::test]
async fn a_queued_sample_keeps_no_message_alive() {
    let hub = in_memory().here;
    let message = Bytes::from("a sample in a long message".to_owned());
    let (mut sample, job) = job("a sample", Lane::Mail);
    sample.bytes = message.slice(..sample.bytes.len());
    assert_eq!(hub.submit(&[(sample, job)]).await.unwrap(), [Admission::Queued]);
    assert!(message.is_unique());
}

#[tokio::test]
async fn a_receipt_takes_little_memory() {
    let stage = over_redis().await;
    let server = stage._server.as_ref().unwrap();
    let receipt = Receipt {
        at: 1,
        queue_id: "4Bq".into(),
        sender: "a@example.org".into(),
        recipients: ["b@example.org".into()].into(),
        name: None,
        decision: "accept".into(),
    };
    stage.here.record(&[(key("received"), receipt)]).await.unwrap();
    let name = format!("tg:1:{{{}}}:-:receipts", key("received").digest);
    let used = format!("{:?}", server.command(&format!("MEMORY USAGE {name}")).unwrap());
    let used: u64 = used.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap();
    assert!(used < 1000, "{used} bytes: most samples are received once, and all are kept for weeks");
}

#[tokio::test]
async fn another_versions_verdict_is_a_miss_and_overwritten() {
    let stage = over_redis().await;
    let server = stage._server.as_ref().unwrap();
    let name = format!("tg:1:{{{}}}:-:verdict", key("foreign").digest);
    server.command(&format!("SET {name} {{\"v\":2}}")).unwrap();
    assert_eq!(stage.here.look_up(&[key("foreign")]).await.unwrap(), [None]);
    let reserved = stage.here.reserve(&[key("a"), key("foreign"), key("b")]).await.unwrap();
    assert_eq!(reserved, [const { Reservation::Owner }; 3]);
    assert_eq!(submit_again(&*stage.here, "foreign", Lane::Mail).await, Admission::Queued);
    let claim = claimed(&*stage.there).await;
    assert_eq!(stage.there.begin(&claim).await.unwrap(), Begin::Scan(Bytes::from("foreign")));
    stage.there.complete(&claim, &answered(&verdict())).await.unwrap();
    assert!(matches!(stage.here.reserve(&[key("foreign")]).await.unwrap()[..], [Reservation::Known(_)]));
}

#[tokio::test]
async fn full_memory_is_a_full_queue_which_still_drains() {
    let server =
        RedisServer::start_with(&["--maxmemory", "64mb", "--maxmemory-policy", "noeviction"]).unwrap();
    let stage = redis_stage(server).await;
    let server = stage._server.as_ref().unwrap();
    // A worker is there already: a consumer group cannot be made without memory.
    assert_eq!(stage.there.claim("worker", 1, Duration::ZERO).await.unwrap(), []);
    submit(&*stage.here, "before", Lane::Mail).await;
    server.command("CONFIG SET maxmemory 1mb").unwrap();
    assert_eq!(stage.here.reserve(&[key("during")]).await.unwrap(), [Reservation::Owner]);
    assert_eq!(submit_again(&*stage.here, "during", Lane::Mail).await, Admission::Full);
    let claim = claimed(&*stage.there).await;
    assert_eq!(stage.there.begin(&claim).await.unwrap(), Begin::Scan(Bytes::from("before")));
    stage.there.complete(&claim, &answered(&verdict())).await.unwrap();
    assert_eq!(stage.here.look_up(&[key("before")]).await.unwrap(), [Some(verdict())]);
    server.command("CONFIG SET maxmemory 64mb").unwrap();
    assert_eq!(submit_again(&*stage.here, "during", Lane::Mail).await, Admission::Queued);
}

#[tokio::test]
async fn a_stopped_redis_is_unavailable_at_once_and_back_within_five_seconds() {
    let mut stage = over_redis().await;
    submit(&*stage.here, "lost", Lane::Mail).await;
    claimed(&*stage.there).await;
    stage._server.as_mut().unwrap().stop();
    for _ in 0..3 {
        let started = Instant::now();
        assert!(matches!(stage.here.reserve(&[key("x")]).await, Err(HubError::Unavailable(_))));
        assert!(matches!(stage.here.submit(&[job("x", Lane::Mail)]).await, Err(HubError::Unavailable(_))));
        assert!(matches!(stage.there.claim("w", 1, SOON).await, Err(HubError::Unavailable(_))));
        assert!(matches!(stage.there.ping().await, Err(HubError::Unavailable(_))));
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    }
    stage._server.as_mut().unwrap().start_again().unwrap();
    let restarted = Instant::now();
    let mut ticket = stage.here.announcements().subscribe(&key("after"));
    eventually("it reserves again", async || stage.here.reserve(&[key("after")]).await.is_ok()).await;
    eventually("it submits again", async || stage.here.submit(&[job("after", Lane::Mail)]).await.is_ok())
        .await;
    eventually("so does the other process", async || stage.there.ping().await.is_ok()).await;
    let claim = claimed(&*stage.there).await;
    stage.there.begin(&claim).await.unwrap();
    // Announced until it is heard, as waiters reserve until they hear.
    eventually("announcements arrive again", async || {
        stage.here.reserve(&[key("after")]).await.unwrap();
        stage.there.complete(&claim, &answered(&verdict())).await.unwrap();
        let heard = timeout(Duration::from_millis(50), ticket.answer()).await.is_ok();
        stage.here.forget(&key("after")).await.unwrap();
        heard
    })
    .await;
    assert!(restarted.elapsed() < SOON, "{:?}", restarted.elapsed());
}

#[tokio::test]
async fn a_hub_starts_while_redis_is_down() {
    let mut server = RedisServer::start().unwrap();
    server.stop();
    let hub = connect("tg", &config::RedisUrl::One(server.url().into()), "early").await;
    assert!(matches!(hub.ping().await, Err(HubError::Unavailable(_))));
    server.start_again().unwrap();
    eventually("it finds Redis", async || hub.ping().await.is_ok()).await;
    eventually("it listens", async || hub.listens()).await;
}

#[tokio::test]
async fn a_hung_redis_is_unavailable_within_the_timeout() {
    let stage = over_redis().await;
    stage.here.ping().await.unwrap();
    let server = stage._server.as_ref().unwrap();
    server.command("CLIENT PAUSE 3000 ALL").unwrap();
    let started = Instant::now();
    assert!(matches!(stage.here.reserve(&[key("x")]).await, Err(HubError::Unavailable(_))));
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    eventually("it answers again", async || stage.here.ping().await.is_ok()).await;
}

#[tokio::test]
async fn forgotten_scripts_and_groups_are_made_anew() {
    let stage = over_redis().await;
    queued(&stage, "before", Lane::Mail).await;
    let server = stage._server.as_ref().unwrap();
    server.command("SCRIPT FLUSH").unwrap();
    server.command("FLUSHALL").unwrap();
    let claim = queued(&stage, "after", Lane::Mail).await;
    assert_eq!(stage.there.begin(&claim).await.unwrap(), Begin::Scan(Bytes::from("after")));
}

#[tokio::test]
async fn a_claim_that_is_given_up_takes_no_job_with_it() {
    let stage = over_redis().await;
    let server = stage._server.as_ref().unwrap();
    let blocked =
        |count| format!("{:?}", server.command("INFO clients")).contains(&format!("blocked_clients:{count}"));
    let mut claims = JoinSet::new();
    let hub = stage.here.clone();
    claims.spawn(async move { hub.claim("gone", 1, Duration::from_secs(60)).await });
    eventually("it waits", async || blocked(1)).await;
    claims.shutdown().await;
    eventually("nobody waits", async || blocked(0)).await;
    let claim = queued(&stage, "kept", Lane::Mail).await;
    assert_eq!((claim.job.sample, claim.deliveries), (key("kept"), 1));
}

#[tokio::test]
async fn an_unreadable_job_is_dropped() {
    let stage = over_redis().await;
    let server = stage._server.as_ref().unwrap();
    server.command("XADD tg:1:{jobs-0}:mail * sample x size 0 tries 0 job {}").unwrap();
    assert_eq!(stage.here.claim("worker", 10, Duration::ZERO).await.unwrap(), []);
    assert_eq!(stage.here.queue().await.unwrap().lanes[0].claimed, 0);
}

#[tokio::test]
async fn a_unix_socket_will_do() {
    let server = RedisServer::start().unwrap();
    let hub = connect("tg", &config::RedisUrl::One(server.unix_url().into()), "unix").await;
    assert_eq!(hub.reserve(&[key("x")]).await.unwrap(), [Reservation::Owner]);
}

#[tokio::test]
async fn a_fail_over_is_survived() {
    let mut watched = WatchedRedis::start().unwrap();
    let stage = stage("tg", &config::RedisUrl::One(watched.url().into())).await;
    store(&stage, "kept", &verdict()).await;
    stage.here.ping().await.unwrap();
    watched.lose_the_master();
    assert!(matches!(stage.here.ping().await, Err(HubError::Unavailable(_))));
    let promoted = Instant::now();
    while stage.here.reserve(&[key("after")]).await.is_err() {
        assert!(promoted.elapsed() < FAIL_OVER, "the replica is not found");
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(stage.here.look_up(&[key("kept")]).await.unwrap(), [Some(verdict())]);
    let claim = {
        assert_eq!(submit_again(&*stage.here, "after", Lane::Mail).await, Admission::Queued);
        claimed(&*stage.there).await
    };
    assert_eq!(stage.there.begin(&claim).await.unwrap(), Begin::Scan(Bytes::from("after")));
}

fn limits() -> config::Queue {
    config::Queue {
        max_jobs: 8,
        max_bytes: bytesize::ByteSize::kib(64),
        sample_ttl: Duration::from_secs(3),
        reserve_ttl: RESERVE_TTL,
        lease_ttl: LEASE_TTL,
        reclaim_after: RECLAIM_AFTER,
        max_deliveries: 3,
    }
}

fn ttls() -> config::Cache {
    config::Cache {
        clean_ttl: Duration::from_secs(2),
        found_ttl: Duration::from_secs(600),
        local_ttl: Duration::from_secs(10),
        local_bytes: bytesize::ByteSize::mib(1),
    }
}

fn in_memory() -> Stage {
    let hub = MemoryHub::new(&limits(), &ttls());
    Stage { here: hub.clone(), there: hub, _server: None }
}

async fn over_redis() -> Stage {
    redis_stage(RedisServer::start().unwrap()).await
}

async fn redis_stage(server: RedisServer) -> Stage {
    let stage = stage("tg", &config::RedisUrl::One(server.url().into())).await;
    Stage { _server: Some(server), ..stage }
}

async fn stage(prefix: &str, url: &config::RedisUrl) -> Stage {
    let (here, there) = (connect(prefix, url, "here").await, connect(prefix, url, "there").await);
    Stage { here, there, _server: None }
}

async fn connect(prefix: &str, url: &config::RedisUrl, process: &str) -> Arc<RedisHub> {
    let (url, prefix) = (url.clone(), prefix.to_owned());
    let redis = config::Redis { prefix, ..config::Redis::at(url) };
    RedisHub::connect(&redis, &limits(), &ttls(), process.to_owned()).await.unwrap()
}

fn key(name: &str) -> SampleKey {
    SampleKey { digest: Digest::of(name.as_bytes()), hint: NameHint::None }
}

fn job(name: &str, lane: Lane) -> (Sample, Job) {
    let enqueued_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let sample = Sample { key: key(name), bytes: Bytes::from(name.to_owned()) };
    let (source, queue_id) = ("mx1".to_owned(), "4Bq".to_owned());
    let job =
        Job { sample: key(name), size: name.len() as u64, lane, source, queue_id, enqueued_ms, needs: None };
    (sample, job)
}

fn verdict() -> Arc<Verdict> {
    static SCANNED: std::sync::LazyLock<u64> = std::sync::LazyLock::new(now);
    let findings = vec![Finding { score: 95, ..Finding::default() }];
    Arc::new(Verdict { findings, scanned_at: *SCANNED, ..Verdict::default() })
}

fn answered(verdict: &Arc<Verdict>) -> Completion {
    Completion::Answered(Answer::Verdict(verdict.clone()))
}

fn names(claims: &[Claim]) -> Vec<SampleKey> {
    claims.iter().map(|claim| claim.job.sample.clone()).collect()
}

/// Reserves and submits a sample of which nobody has heard.
async fn submit(hub: &dyn Hub, name: &str, lane: Lane) {
    assert_eq!(hub.reserve(&[key(name)]).await.unwrap(), [Reservation::Owner]);
    assert_eq!(submit_again(hub, name, lane).await, Admission::Queued);
}

async fn submit_again(hub: &dyn Hub, name: &str, lane: Lane) -> Admission {
    hub.submit(&[job(name, lane)]).await.unwrap()[0]
}

async fn claimed(hub: &dyn Hub) -> Claim {
    let mut claims = hub.claim("worker", 1, SOON).await.unwrap();
    claims.pop().expect("there is a job")
}

async fn queued(stage: &Stage, name: &str, lane: Lane) -> Claim {
    submit(&*stage.here, name, lane).await;
    claimed(&*stage.there).await
}

async fn reclaimed(hub: &dyn Hub, worker: &str) -> Claim {
    let started = Instant::now();
    loop {
        if let Some(claim) = hub.reclaim(worker, 10).await.unwrap().pop() {
            return claim;
        }
        assert!(started.elapsed() < SOON, "nothing to reclaim");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Gives a sample a verdict, by way of a job.
async fn store(stage: &Stage, name: &str, verdict: &Arc<Verdict>) {
    let claim = Claim { id: "0-0".into(), job: job(name, Lane::Mail).1, deliveries: 1 };
    stage.there.complete(&claim, &answered(verdict)).await.unwrap();
}

async fn eventually(what: &str, mut happens: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !happens().await {
        assert!(started.elapsed() < SOON, "never: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
