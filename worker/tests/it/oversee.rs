// SPDX-License-Identifier: GPL-3.0-or-later
//! Instances that are blind, late, or scan only small files: who finds out, and what follows.

use crate::{
    eventually,
    stub::{Reply, Stub, Upload, alert, farm_with, info, instance, sample},
};
use std::{sync::Arc, time::Duration};
use thundergate_common::{
    generation::{InstanceReport, InstanceState},
    hub::{Hub as _, Worker as _, memory::MemoryHub},
    metrics,
};
use thundergate_worker::{
    Worker,
    config::{Config, DEFAULTS},
    containers::Open,
    farm::Farm,
    memory::Memory,
    oversee::Canary,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const OLD: &str = "2026/01/01-000000";
const NEW: &str = "2026/02/02-000000";

/// A worker that looks after its instances, until it is dropped.
struct Running {
    hub: Arc<MemoryHub>,
    farm: Arc<Farm>,
    _tasks: JoinSet<()>,
}

fn start(stubs: &[&Stub], keys: &str, every: Duration) -> Running {
    let defaults: Config = toml::from_str(DEFAULTS).unwrap();
    let queue = &defaults.queue;
    let hub = MemoryHub::new(queue, &defaults.cache);
    let names = ["one", "two", "three"].iter().zip(stubs);
    let instances: Vec<_> = names.map(|(name, stub)| instance(name, &stub.url)).collect();
    let size = if keys.contains("max_file_bytes") { "" } else { "max_file_bytes = \"1MiB\"\n" };
    let farm = farm_with(&instances, &format!("{size}{keys}"));
    let mut registry = metrics::registry("test");
    let worker = Worker::new(
        hub.clone(),
        hub.clone(),
        &farm,
        queue,
        Memory::shared(),
        &Open::default(),
        &mut registry,
    )
    .unwrap();
    let canary = Canary { every, ..Canary::default() };
    let (farm, mut tasks) = (worker.farm(), JoinSet::new());
    let never = CancellationToken::new();
    tasks.spawn(worker.overseeing(&canary).run(never.clone(), never));
    Running { hub, farm, _tasks: tasks }
}

impl Running {
    fn report(&self, number: usize) -> InstanceReport {
        self.farm.reports().swap_remove(number)
    }

    async fn is(&self, number: usize, state: InstanceState) {
        eventually(&format!("{number} is {state}"), async || self.report(number).state == state).await;
    }
}

/// Uploads from this source.
fn from(stub: &Stub, source: &str) -> Vec<Upload> {
    let query = format!("source={source}");
    stub.own_uploads().into_iter().filter(|upload| upload.query == query).collect()
}

fn sees(stub: &Stub) {
    stub.answer(alert);
}

fn is_blind(stub: &Stub) {
    stub.answer(|_| Reply::new(200, "[]"));
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn one_that_misses_the_canary_gets_no_samples_until_it_finds_one_again() {
    let (one, two) = (Stub::start().await, Stub::start().await);
    sees(&one);
    sees(&two);
    let running = start(&[&one, &two], "", SECOND);
    eventually("both have had one", async || running.hub.oversight().await.unwrap().instances.len() == 2)
        .await;
    running.is(1, InstanceState::Closed).await;
    is_blind(&two);
    running.is(1, InstanceState::Blind).await;
    let report = running.report(1);
    assert_eq!((report.healthy, report.capacity), (false, 0));
    let blind = running.hub.generation().blind.clone();
    assert_eq!((blind.len(), blind[0].instance.as_str(), blind[0].to), (1, "two", None));
    assert!(blind[0].from > 0, "it has had a good one");
    running.is(0, InstanceState::Closed).await;
    sees(&two);
    running.is(1, InstanceState::Closed).await;
    assert!(running.hub.generation().blind[0].to.is_some());
    let canaries = from(&one, "thundergate-canary");
    assert!(canaries.len() > 2);
    assert!(canaries.iter().all(|upload| upload.bytes.len() == 100));
    assert!(canaries.windows(2).all(|two| two[0].bytes != two[1].bytes), "each is another one");
}

#[tokio::test]
async fn where_all_miss_or_there_is_only_one_the_canary_is_in_doubt_and_all_go_on() {
    for count in [1, 2] {
        let (one, two) = (Stub::start().await, Stub::start().await);
        let running = start(&[&one, &two][..count], "", SECOND);
        let doubt = async || running.hub.oversight().await.unwrap().doubt;
        eventually("it is in doubt", async || doubt().await.is_some()).await;
        let rounds = from(&one, "thundergate-canary").len();
        eventually("two rounds later", async || from(&one, "thundergate-canary").len() > rounds + 1).await;
        assert!(running.farm.reports().iter().all(|report| report.state == InstanceState::Closed));
        assert_eq!(running.hub.generation().blind, []);
        sees(&one);
        eventually("it is found", async || doubt().await.is_none()).await;
    }
}

#[tokio::test]
async fn one_that_does_not_answer_the_canary_is_neither_good_nor_blind() {
    let (one, two) = (Stub::start().await, Stub::start().await);
    sees(&one);
    two.answer(|upload| {
        let canary = upload.query.contains("canary");
        if canary { Reply::new(500, "") } else { Reply::new(200, "[]") }
    });
    let running = start(&[&one, &two], "", SECOND);
    eventually("three rounds", async || from(&two, "thundergate-canary").len() > 2).await;
    assert_eq!(running.report(1).state, InstanceState::Closed, "that is the breaker's business");
    assert_eq!(running.hub.oversight().await.unwrap().instances["two"].answered, None);
}

#[tokio::test]
async fn without_canaries_nothing_is_sent_and_nobody_is_blind() {
    let stub = Stub::start().await;
    let running = start(&[&stub], "", Duration::ZERO);
    let seen = async || !running.hub.oversight().await.unwrap().instances.is_empty();
    eventually("it has looked", async || seen().await).await;
    let infos = stub.infos();
    eventually("time passes", async || stub.infos() > infos + 40).await;
    assert!(from(&stub, "thundergate-canary").is_empty() && from(&stub, "thundergate-size").is_empty());
}

#[tokio::test]
async fn an_instance_behind_for_longer_than_the_lag_gets_no_samples_until_it_has_caught_up() {
    let (one, two) = (Stub::start().await, Stub::start().await);
    one.info(info(OLD, 4));
    two.info(info(OLD, 4));
    let running = start(&[&one, &two], "lag = \"1s\"", Duration::ZERO);
    running.is(0, InstanceState::Closed).await;
    let known = async || running.hub.generation().signatures.as_deref() == Some(OLD);
    eventually("the farm has old ones", async || known().await).await;
    one.info(info(NEW, 4));
    running.is(1, InstanceState::Late).await;
    assert_eq!(running.report(1).capacity, 0);
    let reached = async || running.hub.generation().signatures.as_deref() == Some(NEW);
    eventually("a late one does not count", async || reached().await).await;
    two.info(info(NEW, 4));
    running.is(1, InstanceState::Closed).await;
}

/// Finds something in files up to so many bytes, and answers larger ones with `status`.
fn up_to(stub: &Stub, bytes: usize, status: u16) {
    stub.answer(
        move |upload| if upload.bytes.len() <= bytes { alert(upload) } else { Reply::new(status, "[]") },
    );
}

#[tokio::test]
async fn how_large_a_file_an_instance_scans_is_tried_once_and_larger_ones_are_not_sent_there() {
    let keys = "max_file_bytes = \"1536KiB\"";
    let cases = [
        (usize::MAX, 200, (1536 << 10, true)),
        (1_200_000, 200, (1 << 20, true)),
        (1_200_000, 413, (1 << 20, true)),
        (200, 200, (1536 << 10, false)),
    ];
    for (bytes, status, expected) in cases {
        let stub = Stub::start().await;
        up_to(&stub, bytes, status);
        let running = start(&[&stub], keys, SECOND);
        let limit = || {
            let report = running.report(0);
            report.max_file_bytes.zip(report.size_proved)
        };
        eventually("it is known", async || limit().is_some()).await;
        assert_eq!(limit(), Some(expected), "finds in {bytes} bytes");
        assert_eq!(running.report(0).state, InstanceState::Closed, "and never a sign of blindness");
        let tried = from(&stub, "thundergate-size").len();
        let rounds = from(&stub, "thundergate-canary").len();
        eventually("rounds later", async || from(&stub, "thundergate-canary").len() > rounds + 2).await;
        assert_eq!(from(&stub, "thundergate-size").len(), tried, "it is not tried again");
        assert!(from(&stub, "thundergate-size").iter().all(|upload| upload.name.ends_with(".zip")));
        let scanned = running.farm.scan(&sample(&vec![b'x'; 1_300_000]), "mx1", None).await;
        let (is_sent, was_sent) = (expected.0 > 1_300_000, !stub.uploads().is_empty());
        assert_eq!((scanned.is_ok(), was_sent), (is_sent, is_sent), "{scanned:?}");
    }
}

#[tokio::test]
async fn an_instance_that_does_not_answer_the_probe_of_its_size_is_tried_again() {
    let stub = Stub::start().await;
    stub.answer(|upload| if upload.query.contains("size") { Reply::new(500, "") } else { alert(upload) });
    let running = start(&[&stub], "max_file_bytes = \"1536KiB\"", SECOND);
    eventually("it gets samples", async || running.farm.available()).await;
    let (farm, mut large) = (Arc::clone(&running.farm), JoinSet::new());
    large.spawn(async move { farm.scan(&sample(&vec![b'x'; 1_300_000]), "mx1", None).await });
    eventually("it is tried twice", async || from(&stub, "thundergate-size").len() > 1).await;
    assert_eq!(running.report(0).max_file_bytes, None);
    running.farm.scan(&sample(b"small"), "mx1", None).await.unwrap();
    assert_eq!(stub.uploads().len(), 1, "a large one waits: it could be called clean without a look");
    sees(&stub);
    eventually("it is known", async || running.report(0).max_file_bytes == Some(1536 << 10)).await;
    large.join_next().await.unwrap().unwrap().unwrap();
}
