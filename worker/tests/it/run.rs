// SPDX-License-Identifier: GPL-3.0-or-later
use crate::{
    eventually,
    faulty::{Faults, Faulty},
    stub::{Reply, Stub, alert, farm, farm_with, info, instance, sample},
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use thundergate_common::{
    config,
    hub::{
        Admission, Hub as _, Milter as _, Observer as _, Queue, Reservation, Room, Ticket, Worker as _,
        memory::MemoryHub,
    },
    job::{Job, Lane},
    sample::Sample,
    verdict::{Answer, SkipReason},
};
use thundergate_worker::{Worker, containers::Open, memory::Memory};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A worker that runs over a hub in memory.
struct Running {
    hub: Arc<MemoryHub>,
    registry: Registry,
    drain: CancellationToken,
    leave: CancellationToken,
    tasks: JoinSet<()>,
}

fn queue(keys: &str) -> Queue {
    let text = format!(
        "max_jobs = 100\nmax_bytes = \"64MiB\"\nsample_ttl = \"1h\"\nreserve_ttl = \"30s\"\nmax_deliveries = 2\nrecords_bytes = \"1MiB\"\nrecords_ttl = \"48h\"\n{keys}"
    );
    let failed_ttl = if keys.contains("failed_ttl") { "" } else { "\nfailed_ttl = \"10min\"" };
    toml::from_str(&(text + failed_ttl)).unwrap()
}

fn start(farm: &config::Farm, keys: &str) -> Running {
    start_with(farm, keys, Faults::default())
}

fn start_with(farm: &config::Farm, keys: &str, faults: Faults) -> Running {
    let cache = "clean_ttl = \"1h\"\nfound_ttl = \"1h\"\nlocal_ttl = \"1h\"\nlocal_bytes = \"1MiB\"";
    let queue = queue(keys);
    let hub = MemoryHub::new(&queue, &toml::from_str(cache).unwrap());
    let mut registry = Registry::default();
    let faulty = Arc::new(Faulty { hub: hub.clone(), faults });
    let worker =
        Worker::new(faulty, hub.clone(), farm, &queue, Memory::shared(), &Open::default(), &mut registry)
            .unwrap();
    let (drain, leave) = (CancellationToken::new(), CancellationToken::new());
    let mut tasks = JoinSet::new();
    tasks.spawn(worker.run(drain.clone(), leave.clone()));
    Running { hub, registry, drain, leave, tasks }
}

const SOON: &str = "lease_ttl = \"300ms\"\nreclaim_after = \"300ms\"";

impl Running {
    async fn submit(&self, sample: &Sample) -> Ticket {
        let ticket = self.hub.announcements().subscribe(&sample.key);
        let reserved = self.hub.reserve(std::slice::from_ref(&sample.key), Lane::Mail).await.unwrap();
        assert_eq!(reserved, [Reservation::Owner]);
        let job = Job {
            sample: sample.key.clone(),
            size: sample.bytes.len() as u64,
            lane: Lane::Mail,
            source: "mx1".into(),
            queue_id: "4XYZ".into(),
            enqueued_ms: 0,
            needs: None,
            reads_short: true,
            traceparent: None,
        };
        assert_eq!(self.hub.submit(&[(sample.clone(), job)]).await.unwrap(), [Admission::Queued]);
        ticket
    }

    async fn mail_lane(&self) -> (u64, u64) {
        let queue = self.hub.queue().await.unwrap();
        let mail = queue.lanes.iter().find(|lane| lane.lane == Lane::Mail).unwrap();
        (mail.waiting, mail.claimed)
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        text
    }

    async fn ended(&mut self) {
        tokio::time::timeout(crate::PATIENCE, self.tasks.join_next())
            .await
            .expect("it ends")
            .unwrap()
            .unwrap();
    }

    async fn stop(mut self) {
        self.drain.cancel();
        self.ended().await;
    }
}

async fn answer(mut ticket: Ticket) -> Answer {
    tokio::time::timeout(crate::PATIENCE, ticket.answer()).await.expect("an answer")
}

#[tokio::test]
async fn a_job_becomes_a_verdict_that_is_stored_and_announced() {
    let stub = Stub::start().await;
    stub.answer(alert);
    let worker = start(&farm(&[instance("one", &stub.url)]), SOON);
    let sample = sample(b"malware");
    let ticket = worker.submit(&sample).await;
    let Answer::Verdict(verdict) = answer(ticket).await else { panic!("no verdict") };
    assert_eq!((verdict.score(), verdict.instance.as_str()), (90, "one"));
    assert_eq!(worker.hub.look_up(&[sample.key]).await.unwrap(), [Some(verdict)]);
    eventually("it is acknowledged", async || worker.mail_lane().await == (0, 0)).await;
    assert_eq!(stub.uploads()[0].query, "source=mx1");
    let metrics = worker.metrics();
    for line in [
        "thundergate_worker_scans_total{result=\"found\"} 1",
        "thundergate_farm_attempts_total{farm_instance=\"one\",result=\"ok\"} 1",
        "thundergate_farm_instance_available{farm_instance=\"one\"} 1",
        "thundergate_farm_scan_duration_seconds_count{farm_instance=\"one\"} 1",
        "thundergate_worker_queue_wait_seconds_count{lane=\"mail\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    worker.stop().await;
}

#[tokio::test]
async fn without_an_instance_nothing_is_claimed() {
    let stub = Stub::start().await;
    stub.info(Reply::new(500, ""));
    let worker = start(&farm(&[instance("one", &stub.url)]), SOON);
    let ticket = worker.submit(&sample(b"x")).await;
    let before = stub.infos();
    eventually("it goes on probing", async || stub.infos() > before + 5).await;
    assert_eq!(worker.mail_lane().await, (1, 0));
    assert!(stub.uploads().is_empty());
    stub.info(info("2026/01/01-000000", 4));
    assert!(matches!(answer(ticket).await, Answer::Verdict(_)));
    worker.stop().await;
}

#[tokio::test]
async fn no_more_is_claimed_than_the_instances_have_room_for() {
    let stub = Stub::start().await;
    stub.hold();
    let limited = format!("{{ name = \"one\", url = {:?}, concurrency = 3 }}", stub.url);
    let worker = start(&farm(&[limited]), "lease_ttl = \"10s\"\nreclaim_after = \"10s\"");
    let mut tickets = Vec::new();
    for n in 0..8_u8 {
        tickets.push(worker.submit(&sample(&[n])).await);
    }
    eventually("three are being scanned", async || stub.uploads().len() == 3).await;
    assert_eq!(worker.mail_lane().await, (5, 3));
    stub.let_pass(8);
    for ticket in tickets {
        assert!(matches!(answer(ticket).await, Answer::Verdict(_)));
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_sample_above_the_scanners_limit_is_skipped_and_never_sent() {
    let stub = Stub::start().await;
    let worker = start(&farm_with(&[instance("one", &stub.url)], "max_file_bytes = \"10B\""), SOON);
    let ticket = worker.submit(&sample(&[0; 11])).await;
    assert_eq!(answer(ticket).await, Answer::Skipped(SkipReason::TooLarge));
    assert!(stub.uploads().is_empty());
    let ticket = worker.submit(&sample(&[0; 10])).await;
    assert!(matches!(answer(ticket).await, Answer::Verdict(_)));
    worker.stop().await;
}

#[tokio::test]
async fn a_sample_that_the_scanner_refuses_for_its_size_is_skipped_and_no_dead_letter() {
    let stub = Stub::start().await;
    stub.answer(|upload| {
        if upload.bytes.len() > 10 && !upload.is_own() { Reply::new(413, "") } else { Reply::new(200, "[]") }
    });
    let worker = start(&farm_with(&[instance("one", &stub.url)], "breaker_failures = 1"), SOON);
    for sample in [sample(&[1; 11]), sample(&[2; 11])] {
        assert_eq!(answer(worker.submit(&sample).await).await, Answer::Skipped(SkipReason::TooLarge));
        assert_eq!(worker.hub.look_up(&[sample.key]).await.unwrap(), [None], "that is no verdict");
    }
    assert_eq!(stub.uploads().len(), 1);
    assert!(matches!(answer(worker.submit(&sample(&[0; 10])).await).await, Answer::Verdict(_)));
    assert!(worker.hub.dead_letters(9).await.unwrap().is_empty());
    worker.stop().await;
}

#[tokio::test]
async fn a_sample_that_cannot_be_scanned_fails_at_once_and_is_remembered() {
    let stub = Stub::start().await;
    stub.answer(|upload| if upload.is_own() { Reply::new(200, "[]") } else { Reply::new(500, "") });
    let worker = start(&farm(&[instance("one", &stub.url)]), SOON);
    let sample = sample(b"x");
    let ticket = worker.submit(&sample).await;
    let Answer::Failed(reason) = answer(ticket).await else { panic!("no failure") };
    assert!(reason.contains("500"), "{reason}");
    assert_eq!(stub.uploads().len(), 2, "in one delivery");
    assert_eq!(
        worker.hub.look_up(std::slice::from_ref(&sample.key)).await.unwrap(),
        [None],
        "a failure is no verdict"
    );
    let letters = worker.hub.dead_letters(9).await.unwrap();
    assert_eq!((letters.len(), letters[0].deliveries, letters[0].instance.as_str()), (1, 1, "one"));
    assert!(worker.metrics().contains("thundergate_worker_dead_letters_total 1"));
    let again = worker.hub.reserve(&[sample.key], Lane::Mail).await.unwrap();
    let [Reservation::Failed(failed)] = &again[..] else { panic!("{again:?}") };
    assert!(!failed.suspect && failed.reason.contains("500"), "{failed:?}");
    worker.stop().await;
}

#[tokio::test]
async fn a_suspect_is_scanned_alone_and_so_is_its_next_delivery() {
    let (one, two) = (Stub::start().await, Stub::start().await);
    let hangs_up = Arc::new(AtomicBool::new(true));
    for stub in [&one, &two] {
        let hangs_up = Arc::clone(&hangs_up);
        stub.answer(move |upload| {
            let refuses = hangs_up.load(Ordering::Relaxed) && !upload.is_own();
            if refuses { Reply::hang_up() } else { Reply::new(200, "[]") }
        });
    }
    let instances = [instance("one", &one.url), instance("two", &two.url)];
    let worker = start(&farm(&instances), &format!("{SOON}\nfailed_ttl = \"1s\""));
    let sample = sample(b"x");
    let Answer::Failed(_) = answer(worker.submit(&sample).await).await else { panic!("no failure") };
    assert_eq!((one.uploads().len(), two.uploads().len()), (1, 1));
    let held = async || {
        let again = worker.hub.reserve(std::slice::from_ref(&sample.key), Lane::Mail).await.unwrap();
        match &again[..] {
            [Reservation::Failed(failed)] => Some((failed.suspect, failed.times)),
            _ => None,
        }
    };
    assert_eq!(held().await, Some((true, 1)));
    eventually("that is forgotten", async || held().await.is_none()).await;
    worker.hub.leave(std::slice::from_ref(&sample.key)).await.unwrap();
    worker.stop().await;
}

#[tokio::test]
async fn what_is_being_scanned_is_not_reclaimed() {
    let stub = Stub::start().await;
    stub.hold();
    let worker = start(&farm(&[instance("one", &stub.url)]), SOON);
    let ticket = worker.submit(&sample(b"x")).await;
    let started = std::time::Instant::now();
    eventually("four leases have passed", async || {
        assert!(
            worker.hub.reclaim("another", 0, Room { most: 10, background: 10 }).await.unwrap().is_empty()
        );
        !stub.uploads().is_empty() && started.elapsed() > Duration::from_millis(1200)
    })
    .await;
    stub.let_pass(1);
    assert!(matches!(answer(ticket).await, Answer::Verdict(_)));
    assert_eq!(stub.uploads().len(), 1);
    worker.stop().await;
}

#[tokio::test]
async fn a_drain_finishes_what_runs_and_begins_nothing() {
    let stub = Stub::start().await;
    stub.hold();
    let limited = format!("{{ name = \"one\", url = {:?}, concurrency = 1 }}", stub.url);
    let mut worker = start(&farm(&[limited]), SOON);
    let first = worker.submit(&sample(b"1")).await;
    eventually("the first is being scanned", async || stub.uploads().len() == 1).await;
    let _second = worker.submit(&sample(b"2")).await;
    worker.drain.cancel();
    stub.let_pass(9);
    assert!(matches!(answer(first).await, Answer::Verdict(_)));
    worker.ended().await;
    assert_eq!(stub.uploads().len(), 1);
    assert_eq!(worker.mail_lane().await, (1, 0));
}

#[tokio::test]
async fn at_the_end_of_the_grace_period_the_rest_is_handed_back() {
    let stub = Stub::start().await;
    stub.hold();
    let mut worker = start(&farm(&[instance("one", &stub.url)]), SOON);
    let _ticket = worker.submit(&sample(b"1")).await;
    eventually("it is being scanned", async || stub.uploads().len() == 1).await;
    worker.drain.cancel();
    worker.leave.cancel();
    worker.ended().await;
    let claims =
        worker.hub.claim("another", 0, Room { most: 9, background: 9 }, Duration::ZERO).await.unwrap();
    assert_eq!((claims.len(), claims[0].deliveries), (1, 1), "the delivery does not count");
}

#[tokio::test]
async fn an_idle_worker_leaves_at_once() {
    let stub = Stub::start().await;
    let mut worker = start(&farm(&[instance("one", &stub.url)]), SOON);
    eventually("it is up", async || stub.infos() > 1).await;
    let started = std::time::Instant::now();
    worker.drain.cancel();
    worker.ended().await;
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_panic_is_a_failed_delivery_and_no_dead_worker() {
    let stub = Stub::start().await;
    let faults = Faults { begins_that_panic: 1.into(), ..Faults::default() };
    let worker = start_with(&farm(&[instance("one", &stub.url)]), SOON, faults);
    let ticket = worker.submit(&sample(b"x")).await;
    assert!(matches!(answer(ticket).await, Answer::Verdict(_)));
    assert!(worker.metrics().contains("thundergate_worker_scans_total{result=\"failed\"} 1"));
    worker.stop().await;
}

#[tokio::test]
async fn a_sample_that_arrives_cut_short_is_not_sent() {
    let stub = Stub::start().await;
    let faults = Faults { begins_cut_short: 1.into(), ..Faults::default() };
    let worker = start_with(&farm(&[instance("one", &stub.url)]), SOON, faults);
    let ticket = worker.submit(&sample(b"malware")).await;
    assert!(matches!(answer(ticket).await, Answer::Verdict(_)));
    assert!(stub.uploads().iter().all(|upload| upload.bytes == "malware"));
    worker.stop().await;
}

#[tokio::test]
async fn an_outage_of_the_hub_costs_time_and_no_work() {
    let stub = Stub::start().await;
    let faults = Faults { claims: 3.into(), completes: 3.into(), ..Faults::default() };
    let worker = start_with(&farm(&[instance("one", &stub.url)]), SOON, faults);
    let ticket = worker.submit(&sample(b"x")).await;
    assert!(matches!(answer(ticket).await, Answer::Verdict(_)));
    assert_eq!(stub.uploads().len(), 1, "the verdict is kept until the hub takes it");
    assert!(worker.metrics().contains("thundergate_worker_hub_errors_total 3"));
    worker.stop().await;
}

#[tokio::test]
async fn the_end_of_a_licence_is_a_metric() {
    let stub = Stub::start().await;
    stub.info(Reply::new(200, "{\"threads\": 4, \"license_expiration_date\": \"2030/01/30\"}"));
    let running = start(&farm(&[instance("one", &stub.url)]), SOON);
    let line = "thundergate_farm_instance_licence_expiry_timestamp_seconds{farm_instance=\"one\"} 1895961600";
    eventually("it is there", async || running.metrics().contains(line)).await;
    running.stop().await;
}
