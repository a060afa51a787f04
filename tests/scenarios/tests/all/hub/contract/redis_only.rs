// SPDX-License-Identifier: GPL-3.0-or-later
//! What only Redis can do to a hub: stop, hang, forget, fill up, fail over.

use super::*;
use std::collections::BTreeSet;
use thundergate_common::{
    clock::Clock,
    hub::{Begin, HubError, Operator as _, Retried, Worker as _},
};
use thundergate_harness::redis::WatchedRedis;
use tokio::{task::JoinSet, time::timeout};

/// What a Sentinel may take to promote a replica.
const FAIL_OVER: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_dead_letter_is_scanned_once_more_while_its_bytes_are_there() {
    let stage = over_redis().await;
    for number in 0..3 {
        // Together above what dead letters may keep.
        let name = format!("{number}{}", "x".repeat(7000));
        let claim = queued(&stage, &name, Lane::Mail).await;
        stage.there.worker.begin(&claim).await.unwrap();
        stage.there.worker.complete(&claim, &Completion::Dead("no instance could".into())).await.unwrap();
    }
    let letters = stage.here.operator.dead_letters(10).await.unwrap();
    assert_eq!(letters.len(), 3);
    let retried = [
        stage.here.operator.retry(&letters[2]).await.unwrap(),
        stage.here.operator.retry(&letters[0]).await.unwrap(),
    ];
    assert_eq!(retried, [Retried::Queued, Retried::BytesGone]);
    assert_eq!(stage.here.operator.retry(&letters[2]).await.unwrap(), Retried::Unknown, "it was taken");
    let claim = claimed(&*stage.there.worker).await;
    assert_eq!((claim.job.lane, claim.deliveries), (Lane::Background, 1));
    assert!(matches!(stage.there.worker.begin(&claim).await.unwrap(), Begin::Scan { .. }));
    stage.there.worker.complete(&claim, &answered(&verdict())).await.unwrap();
    let queue = stage.here.operator.queue().await.unwrap();
    assert_eq!((queue.dead_letters, queue.sample_bytes), (2, 0));
}

#[tokio::test]
async fn a_queued_sample_keeps_no_message_alive() {
    let hub = in_memory().here.milter;
    let (mut sample, job) = job("a sample", Lane::Mail);
    let message = Bytes::from([&sample.bytes[..], b" in a long message"].concat());
    sample.bytes = message.slice(..sample.bytes.len());
    assert_eq!(hub.submit(&[(sample, job)]).await.unwrap(), [Admission::Queued]);
    assert!(message.is_unique());
}

#[tokio::test]
async fn another_versions_verdict_is_a_miss_and_overwritten() {
    let stage = over_redis().await;
    let server = stage._server.as_ref().unwrap();
    let name = format!("tg:1:{{{}}}:-:verdict", key("foreign").digest);
    server.command(&format!("SET {name} {{\"v\":2}}")).unwrap();
    assert_eq!(stage.here.milter.look_up(&[key("foreign")]).await.unwrap(), [None]);
    let reserved =
        stage.here.milter.reserve(&[key("a"), key("foreign"), key("b")], Lane::Mail).await.unwrap();
    assert_eq!(reserved, [const { Reservation::Owner }; 3]);
    assert_eq!(submit_again(&*stage.here.milter, "foreign", Lane::Mail).await, Admission::Queued);
    let claim = claimed(&*stage.there.worker).await;
    assert_eq!(
        stage.there.worker.begin(&claim).await.unwrap(),
        Begin::Scan { bytes: bytes("foreign"), failed: None }
    );
    stage.there.worker.complete(&claim, &answered(&verdict())).await.unwrap();
    assert!(matches!(
        stage.here.milter.reserve(&[key("foreign")], Lane::Mail).await.unwrap()[..],
        [Reservation::Known(_)]
    ));
}

#[tokio::test]
async fn full_memory_is_told_as_that_and_the_queue_still_drains() {
    let server = RedisServer::start_with(&["--maxmemory", "64mb"]).unwrap();
    let stage = redis_stage(server).await;
    let server = stage._server.as_ref().unwrap();
    // A worker is there already: a consumer group cannot be made without memory.
    assert_eq!(stage.there.worker.claim("worker", 0, room(1), Duration::ZERO).await.unwrap(), []);
    submit(&*stage.here.milter, "before", Lane::Mail).await;
    server.command("CONFIG SET maxmemory 1mb").unwrap();
    assert_eq!(stage.here.milter.reserve(&[key("during")], Lane::Mail).await.unwrap(), [Reservation::Owner]);
    assert_eq!(submit_again(&*stage.here.milter, "during", Lane::Mail).await, Admission::OutOfMemory);
    for trouble in [stage.here.milter.probe().await, stage.there.worker.probe().await] {
        assert!(trouble.is_err_and(|trouble| trouble.full), "it takes nothing new");
    }
    let claim = claimed(&*stage.there.worker).await;
    assert_eq!(
        stage.there.worker.begin(&claim).await.unwrap(),
        Begin::Scan { bytes: bytes("before"), failed: None }
    );
    stage.there.worker.complete(&claim, &answered(&verdict())).await.unwrap();
    assert_eq!(stage.here.milter.look_up(&[key("before")]).await.unwrap(), [Some(verdict())]);
    server.command("CONFIG SET maxmemory 64mb").unwrap();
    assert_eq!(submit_again(&*stage.here.milter, "during", Lane::Mail).await, Admission::Queued);
    assert_eq!(stage.here.milter.probe().await, Ok(()));
}

#[tokio::test]
async fn a_reservation_whose_answer_was_lost_is_made_again() {
    let stage = over_redis().await;
    let (milter, worker) = (&*stage.here.milter, &*stage.there.worker);
    milter.ping().await.unwrap();
    // What was sent is done once the pause is over, and nobody hears of it.
    stage._server.as_ref().unwrap().command("CLIENT PAUSE 2000 ALL").unwrap();
    let lost = milter.reserve(&[key("reserved")], Lane::Mail).await;
    assert!(matches!(lost, Err(HubError::Unavailable(_))), "{lost:?}");
    eventually("it answers again", async || milter.ping().await.is_ok()).await;
    let reserved = milter.reserve(&[key("reserved")], Lane::Mail).await.unwrap();
    assert_eq!(reserved, [Reservation::Owner], "it has not joined itself");
    assert_eq!(submit_again(milter, "reserved", Lane::Mail).await, Admission::Queued);
    let there = stage.there.milter.reserve(&[key("reserved")], Lane::Mail).await.unwrap();
    assert_eq!(there, [Reservation::Joined], "and others join it");
    let claim = claimed(worker).await;
    worker.complete(&claim, &answered(&verdict())).await.unwrap();
}

#[tokio::test]
async fn a_stopped_redis_is_unavailable_at_once_and_back_within_five_seconds() {
    let mut stage = over_redis().await;
    submit(&*stage.here.milter, "lost", Lane::Mail).await;
    claimed(&*stage.there.worker).await;
    stage._server.as_mut().unwrap().stop();
    for _ in 0..3 {
        let started = Instant::now();
        assert!(matches!(
            stage.here.milter.reserve(&[key("x")], Lane::Mail).await,
            Err(HubError::Unavailable(_))
        ));
        assert!(matches!(
            stage.here.milter.submit(&[job("x", Lane::Mail)]).await,
            Err(HubError::Unavailable(_))
        ));
        assert!(matches!(
            stage.there.worker.claim("w", 0, room(1), SOON).await,
            Err(HubError::Unavailable(_))
        ));
        assert!(matches!(stage.there.milter.ping().await, Err(HubError::Unavailable(_))));
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    }
    stage._server.as_mut().unwrap().start_again().unwrap();
    let restarted = Instant::now();
    let mut ticket = stage.here.milter.announcements().subscribe(&key("after"));
    eventually("it reserves again", async || {
        stage.here.milter.reserve(&[key("after")], Lane::Mail).await.is_ok()
    })
    .await;
    eventually("it submits again", async || {
        stage.here.milter.submit(&[job("after", Lane::Mail)]).await.is_ok()
    })
    .await;
    eventually("so does the other process", async || stage.there.milter.ping().await.is_ok()).await;
    let claim = claimed(&*stage.there.worker).await;
    stage.there.worker.begin(&claim).await.unwrap();
    // Announced until it is heard, as waiters reserve until they hear.
    eventually("announcements arrive again", async || {
        stage.here.milter.reserve(&[key("after")], Lane::Mail).await.unwrap();
        stage.there.worker.complete(&claim, &answered(&verdict())).await.unwrap();
        let heard = timeout(Duration::from_millis(50), ticket.answer()).await.is_ok();
        stage.here.operator.forget(&key("after")).await.unwrap();
        heard
    })
    .await;
    assert!(restarted.elapsed() < SOON, "{:?}", restarted.elapsed());
}

#[tokio::test]
async fn a_hub_starts_while_redis_is_down() {
    let mut server = RedisServer::start().unwrap();
    server.stop();
    let hub = connect_as_one(&at(server.url_of(MILTER)), "early").await;
    assert!(matches!(hub.ping().await, Err(HubError::Unavailable(_))));
    server.start_again().unwrap();
    eventually("it finds Redis", async || hub.ping().await.is_ok()).await;
    eventually("it listens", async || hub.listens()).await;
}

#[tokio::test]
async fn a_hung_redis_is_unavailable_within_the_timeout() {
    let stage = over_redis().await;
    stage.here.milter.ping().await.unwrap();
    let server = stage._server.as_ref().unwrap();
    server.command("CLIENT PAUSE 3000 ALL").unwrap();
    let started = Instant::now();
    assert!(matches!(
        stage.here.milter.reserve(&[key("x")], Lane::Mail).await,
        Err(HubError::Unavailable(_))
    ));
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    eventually("it answers again", async || stage.here.milter.ping().await.is_ok()).await;
}

#[tokio::test]
async fn forgotten_scripts_and_groups_are_made_anew() {
    let stage = over_redis().await;
    queued(&stage, "before", Lane::Mail).await;
    let server = stage._server.as_ref().unwrap();
    server.command("SCRIPT FLUSH").unwrap();
    server.command("FLUSHALL").unwrap();
    let claim = queued(&stage, "after", Lane::Mail).await;
    assert_eq!(
        stage.there.worker.begin(&claim).await.unwrap(),
        Begin::Scan { bytes: bytes("after"), failed: None }
    );
}

#[tokio::test]
async fn a_claim_that_is_given_up_takes_no_job_with_it() {
    let stage = over_redis().await;
    let server = stage._server.as_ref().unwrap();
    let blocked =
        |count| format!("{:?}", server.command("INFO clients")).contains(&format!("blocked_clients:{count}"));
    let mut claims = JoinSet::new();
    let hub = stage.here.worker.clone();
    claims.spawn(async move { hub.claim("gone", 0, room(1), Duration::from_secs(60)).await });
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
    assert_eq!(stage.here.worker.claim("worker", 0, room(10), Duration::ZERO).await.unwrap(), []);
    assert_eq!(stage.here.operator.queue().await.unwrap().lanes[0].claimed, 0);
}

/// A process whose clock is ahead by so many milliseconds.
async fn with_clock(server: &RedisServer, user: &str, ahead_ms: i64) -> Arc<RedisHub> {
    let (redis, clock) = (at(server.url_of(user)), Clock::ahead_by(ahead_ms));
    RedisHub::connect_with(&redis, &limits(), &ttls(), user.to_owned(), clock).await.unwrap()
}

#[tokio::test]
async fn a_wrong_clock_is_measured_and_neither_bumps_nor_reports_by_it() {
    let server = RedisServer::start().unwrap();
    for ahead_ms in [-120_000, 120_000] {
        let (worker, operator) =
            (with_clock(&server, WORKER, ahead_ms).await, with_clock(&server, OPERATOR, ahead_ms).await);
        assert!(worker.now().abs_diff(now()) <= 1, "{ahead_ms}: {} at {}", worker.now(), now());
        let bumped_at = operator.bump().await.unwrap().bumped_at;
        assert!(bumped_at.abs_diff(now()) <= 1, "{ahead_ms}: {bumped_at} at {}", now());
    }
}

#[tokio::test]
async fn a_verdict_lives_as_long_whatever_the_clock_of_who_stores_it() {
    let stage = over_redis().await;
    let server = stage._server.as_ref().unwrap();
    let hasty = with_clock(server, WORKER, 3_600_000).await;
    let claim = Claim { id: "0-0".into(), job: job("timed", Lane::Mail).1, deliveries: 1 };
    let clean = Arc::new(Verdict { scanned_at: hasty.now(), ..Verdict::default() });
    hasty.complete(&claim, &answered(&clean)).await.unwrap();
    assert_eq!(stage.here.milter.look_up(&[key("timed")]).await.unwrap(), [Some(clean.clone())]);
    assert_eq!(hasty.look_up(&[key("timed")]).await.unwrap(), [Some(clean)]);
}

#[tokio::test]
async fn a_user_of_an_older_users_acl_learns_of_the_generation() {
    let server = RedisServer::start().unwrap();
    // As before there was either: no TIME, and only two keys of the farm.
    server.command(&format!("ACL SETUSER {MILTER} -time resetkeys ~tg:1:{{jobs-*}}:bytes")).unwrap();
    server
        .command(&format!("ACL SETUSER {MILTER} %R~tg:1:{{farm}}:signatures %R~tg:1:{{farm}}:bumped"))
        .unwrap();
    let milter = with_clock(&server, MILTER, 120_000).await;
    let operator = with_clock(&server, OPERATOR, 0).await;
    let generation = operator.bump().await.unwrap();
    eventually("it learns of the bump", async || *milter.generation() == generation).await;
    assert!(milter.now() > now() + 60, "nothing was measured, so its own clock is all it has");
}

#[tokio::test]
async fn a_fail_over_is_survived() {
    let mut watched = WatchedRedis::start().unwrap();
    let stage = stage(|user| at(watched.url_of(user))).await;
    store(&stage, "kept", &verdict()).await;
    stage.here.milter.ping().await.unwrap();
    watched.lose_the_master();
    assert!(matches!(stage.here.milter.ping().await, Err(HubError::Unavailable(_))));
    let promoted = Instant::now();
    while stage.here.milter.reserve(&[key("after")], Lane::Mail).await.is_err() {
        assert!(promoted.elapsed() < FAIL_OVER, "the replica is not found");
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(stage.here.milter.look_up(&[key("kept")]).await.unwrap(), [Some(verdict())]);
    let claim = {
        assert_eq!(submit_again(&*stage.here.milter, "after", Lane::Mail).await, Admission::Queued);
        claimed(&*stage.there.worker).await
    };
    assert_eq!(
        stage.there.worker.begin(&claim).await.unwrap(),
        Begin::Scan { bytes: bytes("after"), failed: None }
    );
}

#[tokio::test]
async fn a_clusters_queue_is_spread_over_shards_on_several_nodes() {
    let cluster = RedisCluster::start().unwrap();
    let stage = stage(|user| over(&cluster, user)).await;
    assert_eq!(stage.here.worker.shards(), CLUSTER_SHARDS);
    let count = stage.here.worker.shards() * 4;
    for number in 0..count {
        let bytes = Bytes::from(number.to_string());
        let key = SampleKey { digest: Digest::of(&bytes), hint: NameHint::None };
        let job = Job { sample: key.clone(), size: bytes.len() as u64, ..job("", Lane::Mail).1 };
        stage.here.milter.reserve(std::slice::from_ref(&key), Lane::Mail).await.unwrap();
        let admitted = stage.here.milter.submit(&[(Sample { key, bytes }, job)]).await.unwrap();
        assert_eq!(admitted, [Admission::Queued]);
    }
    assert_eq!(stage.there.operator.queue().await.unwrap().lanes[0].waiting, count as u64);
    let mut claimed = 0;
    for shard in 0..stage.there.worker.shards() {
        let claims = stage.there.worker.claim("worker", shard, room(count), SOON).await.unwrap();
        assert!(!claims.is_empty(), "shard {shard} has no job");
        for claim in claims {
            assert!(matches!(stage.there.worker.begin(&claim).await.unwrap(), Begin::Scan { .. }));
            stage.there.worker.complete(&claim, &answered(&verdict())).await.unwrap();
            claimed += 1;
        }
    }
    assert_eq!(claimed, count);
    let holder = |shard| cluster.holder_of(&format!("tg:1:{{jobs-{shard}}}:mail")).unwrap();
    let nodes: BTreeSet<usize> = (0..CLUSTER_SHARDS).map(holder).collect();
    assert!(nodes.len() > 1, "all shards are on one node");
}

#[tokio::test]
async fn one_worker_at_a_time_scans_suspects_and_all_know_where() {
    let stage = over_redis().await;
    let (one, two) = (&stage.here.worker, &stage.there.worker);
    let ttl = Duration::from_millis(300);
    assert_eq!(one.turn().await.unwrap(), None);
    assert!(one.take_turn("one", "storm1", ttl).await.unwrap());
    assert!(!two.take_turn("two", "storm2", ttl).await.unwrap());
    assert!(one.take_turn("one", "storm3", ttl).await.unwrap(), "it may go elsewhere");
    assert_eq!(two.turn().await.unwrap(), Some(("one".to_owned(), "storm3".to_owned())));
    two.end_turn("two").await.unwrap();
    assert!(two.turn().await.unwrap().is_some(), "nobody ends another's");
    one.end_turn("one").await.unwrap();
    assert!(two.take_turn("two", "storm2", ttl).await.unwrap());
    eventually("a turn that is not kept is over", async || one.take_turn("one", "a b", ttl).await.unwrap())
        .await;
    assert_eq!(two.turn().await.unwrap(), Some(("one".to_owned(), "a b".to_owned())));
}
