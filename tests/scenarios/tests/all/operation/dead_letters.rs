// SPDX-License-Identifier: GPL-3.0-or-later
//! What an operator sees of samples that could not be scanned, and does about them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use thundergate_common::{
    clock::{now, now_ms},
    digest::Digest,
    failed::FailedSample,
    hub::{
        Completion, Milter as _, Observer as _, Reservation, Room, Worker as _,
        redis::{Redis, RedisHub, RedisUrl},
    },
    job::{Job, Lane},
    sample::{NameHint, Sample, SampleKey},
};
use thundergate_harness::{redis::OPERATOR, site::Site, thunderstorm::Settings};
use thundergate_milter::config::Config;

/// Long enough for anything that should happen at once.
const SOON: Duration = Duration::from_secs(5);

fn key(name: &str) -> SampleKey {
    SampleKey { digest: Digest::of(name.as_bytes()), hint: NameHint::None }
}

/// A hub at the site's Redis, as the user who may do all.
async fn hub_at(site: &Site) -> Arc<RedisHub> {
    let redis = Redis::at(RedisUrl::One(site.redis_url_of(OPERATOR).into()));
    let defaults = Config::from_toml("").unwrap();
    RedisHub::connect(&redis, &defaults.queue, &defaults.cache, "test".to_owned()).await.unwrap()
}

/// Has a worker end a sample's job so. Gives the id of its dead letter.
async fn buried(hub: &RedisHub, name: &str, completion: Completion) -> String {
    let job = Job {
        sample: key(name),
        size: name.len() as u64,
        lane: Lane::Mail,
        source: "mx1".to_owned(),
        queue_id: "4Bq".to_owned(),
        enqueued_ms: now_ms(),
        needs: None,
        reads_short: true,
        traceparent: None,
    };
    let sample = Sample { key: key(name), bytes: Bytes::from(name.to_owned()) };
    hub.reserve(&[key(name)], Lane::Mail).await.unwrap();
    hub.submit(&[(sample, job)]).await.unwrap();
    let claim = hub.claim("worker", 0, Room { most: 1, background: 0 }, SOON).await.unwrap().remove(0);
    hub.begin(&claim).await.unwrap();
    hub.complete(&claim, &completion).await.unwrap();
    hub.dead_letters(1).await.unwrap().remove(0).id
}

fn failed(reason: &str) -> Completion {
    Completion::Failed(FailedSample {
        reason: reason.to_owned(),
        instance: "storm9".to_owned(),
        failed_at: now(),
        until: now() + 600,
        ..FailedSample::default()
    })
}

fn lose_the_bytes(site: &Site, name: &str) {
    let client = redis::Client::open(site.redis_url_of(OPERATOR)).unwrap();
    let bytes = format!("tg:1:{{{}}}:-:sample", key(name).digest);
    let deleted: u64 = redis::cmd("DEL").arg(bytes).query(&mut client.get_connection().unwrap()).unwrap();
    assert_eq!(deleted, 1);
}

async fn printed(site: &Site, arguments: &[&str]) -> (Option<i32>, String) {
    let output = site.command(arguments).await;
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn dead_letters_are_shown_with_their_instance_and_reason() {
    let site = Site::cluster(1, Settings::default()).await;
    let hub = hub_at(&site).await;
    buried(&hub, "one", failed("it answered 400")).await;
    buried(&hub, "two", Completion::Dead("5 deliveries ended".to_owned())).await;
    let _worker = site.worker("").await;
    let (_, table) = printed(&site, &["queue"]).await;
    let row = |reason: &str| {
        let line = table.lines().find(|line| line.contains(reason)).unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(row("INSTANCE").ends_with(&["INSTANCE", "REASON", "SAMPLE"].map(str::to_owned)), "{table}");
    assert!(row("it answered 400").contains(&"storm9".to_owned()), "{table}");
    assert!(row("5 deliveries ended").contains(&"-".to_owned()), "{table}");
    let (_, json) = printed(&site, &["queue", "--json"]).await;
    let state: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(state["dead_letters"][1]["instance"], "storm9");
    assert_eq!(state["dead_letters"][1]["reason"], "it answered 400");
}

#[tokio::test]
async fn all_are_tried_again_but_those_without_bytes() {
    let site = Site::cluster(1, Settings::default()).await;
    let hub = hub_at(&site).await;
    buried(&hub, "here", failed("it answered 400")).await;
    let gone = buried(&hub, "gone", failed("it answered 400")).await;
    lose_the_bytes(&site, "gone");
    let _worker = site.worker("").await;
    let skipped = "1 skipped: the bytes are no longer there, only the sender can bring them again\n";

    let (status, said) = printed(&site, &["queue", "retry", &gone]).await;
    assert_eq!((status, said), (Some(69), format!("0 queued again\n{skipped}")), "it was named");
    let found = hub.reserve(&[key("gone")], Lane::Mail).await.unwrap();
    assert_eq!(found, [Reservation::Owner], "its sender may bring them");

    let (status, said) = printed(&site, &["queue", "retry", "--all"]).await;
    assert_eq!((status, said), (Some(0), format!("1 queued again\n{skipped}")));
    let (_, table) = printed(&site, &["queue"]).await;
    assert!(table.contains("Dead letters: 1") && table.contains(&gone), "{table}");
}
