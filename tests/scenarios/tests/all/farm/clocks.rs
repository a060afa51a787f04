// SPDX-License-Identifier: GPL-3.0-or-later
//! Hosts whose clocks are wrong: an operator bumps the generation, and clean mail passes all the same.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use std::time::{Duration, Instant};
use thundergate_common::{
    clock::{Clock, now},
    hub::{
        Operator as _,
        redis::{Redis, RedisHub, RedisUrl},
    },
    metrics,
};
use thundergate_harness::{
    eventually,
    mails::{mail, noise},
    mta::Mail,
    redis::WORKER,
    site::Site,
    thunderstorm::Settings,
};
use thundergate_worker::{Worker, config, containers::Open, memory::Memory};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);
/// Far less than the clock is wrong by, and than a mail waits.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A worker in this process whose clock is ahead by so many milliseconds, until the tasks are dropped.
async fn worker(site: &Site, ahead_ms: i64) -> JoinSet<()> {
    let defaults: config::Config = toml::from_str(config::DEFAULTS).unwrap();
    let farm: toml::Table = site.farm_section().parse().unwrap();
    let farm: thundergate_common::config::Farm = farm["farm"].clone().try_into().unwrap();
    let redis = Redis::at(RedisUrl::One(site.redis_url_of(WORKER).into()));
    let clock = Clock::ahead_by(ahead_ms);
    let hub = RedisHub::connect_with(&redis, &defaults.queue, &defaults.cache, "wrong".to_owned(), clock);
    let hub = hub.await.unwrap();
    let mut registry = metrics::registry("clocks");
    let worker = Worker::new(
        hub.clone(),
        hub,
        &farm,
        &defaults.queue,
        Memory::shared(),
        &Open::default(),
        &mut registry,
    )
    .unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(worker.run(CancellationToken::new(), CancellationToken::new()));
    tasks
}

/// Bumps the generation, as a worker does for an operator.
async fn bump(site: &Site) {
    let defaults: config::Config = toml::from_str(config::DEFAULTS).unwrap();
    let redis = Redis::at(RedisUrl::One(site.redis_url_of(WORKER).into()));
    let hub = RedisHub::connect(&redis, &defaults.queue, &defaults.cache, "right".to_owned()).await.unwrap();
    hub.bump().await.unwrap();
}

#[tokio::test]
async fn after_a_bump_clean_mail_waits_for_no_clock() {
    for ahead_ms in [-120_000, 120_000] {
        let site = Site::cluster(1, Settings::default()).await;
        let milter = site.milter("wait.deadline = \"15s\"").await;
        let _worker = worker(&site, ahead_ms).await;
        bump(&site).await;
        let bumped = |line: &serde_json::Value| line["farm.bumped_at"].as_u64().is_some_and(|at| at > 0);
        let learnt = milter.program.wait_for(bumped, PATIENCE).await.expect("the milter learns of it");
        let second = learnt["farm.bumped_at"].as_u64().unwrap();
        // What began in the same second may have begun before it, so it is scanned again.
        eventually(PATIENCE, "the second of the bump is over", async || now() > second).await;
        let since = Instant::now();
        for seed in 0..5 {
            let mail =
                Mail::of(mail().attach("a.bin", "application/octet-stream", noise(seed, 1000)).bytes());
            assert!(milter.send(&mail).await.delivers(), "a clock {ahead_ms} ms ahead");
        }
        assert!(since.elapsed() < AT_ONCE, "a clock {ahead_ms} ms ahead: {:?}", since.elapsed());
        assert_eq!(site.scans(), 5, "no sample is scanned again");
    }
}
