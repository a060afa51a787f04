// SPDX-License-Identifier: GPL-3.0-or-later
//! A state machine against both hubs: milters, workers and operators do random things, crash, and time jumps. After
//! every step the hub's answer and its queue are compared with a simple [`model`] of what it promises. At the end all
//! grow quiet: whoever waits must get an answer from one healthy worker, and nothing may be left over.
//!
//! | file | owns |
//! |---|---|
//! | [`operations`] | what may happen |
//! | [`model`] | what the hub may answer |
//! | [`run`] | milters and workers that do it, and the quiet period |
//! | [`stage`] | the hubs, and how their time is made to jump |
//!
//! `TG_MODEL_CASES` says how many cases are tried (the same for every hub), `TG_MODEL_SEED` repeats a run: a failure
//! prints the seed, and the shortest sequence that fails. Nothing is written down.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod model;
mod operations;
mod run;
mod stage;

use model::Outcome;
use operations::Operation;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use run::Run;
use stage::Stage;
use std::{env, time::Duration};
use thundergate_common::{
    freshness::{Cache, Stale},
    hub::Queue,
};
use thundergate_harness::redis::RedisServer;
use tokio::runtime::Builder;

/// How many operations a case has at most.
const LENGTH: usize = 60;

/// All lives end five seconds after a multiple of ten, and time jumps by tens: the milliseconds that calls take do not
/// matter. All are shorter than the next one, and few things fit.
fn limits() -> Queue {
    Queue {
        max_jobs: 5,
        max_bytes: bytesize::ByteSize::b(1000),
        sample_ttl: Duration::from_secs(95),
        reserve_ttl: Duration::from_secs(25),
        lease_ttl: Duration::from_secs(35),
        reclaim_after: Duration::from_secs(15),
        max_deliveries: 3,
        failed_ttl: Duration::from_secs(55),
        records_bytes: bytesize::ByteSize::kib(64),
        records_ttl: Duration::from_secs(48 * 3600),
    }
}

fn ttls() -> Cache {
    Cache {
        clean_ttl: Duration::from_secs(2 * 3600 + 5),
        found_ttl: Duration::from_secs(30 * 24 * 3600 + 5),
        local_ttl: Duration::from_secs(10),
        local_bytes: bytesize::ByteSize::mib(1),
        redis_bytes: bytesize::ByteSize(0),
        stale: Stale::Rescan,
    }
}

#[test]
fn the_hub_of_one_process_keeps_its_promises() {
    check(1024, |operations| {
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async { Run::new(Stage::in_memory()).all(operations).await })
    });
}

#[test]
fn the_hub_over_redis_keeps_its_promises() {
    let server = RedisServer::start().unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    check(256, |operations| {
        runtime.block_on(async { Run::new(Stage::over_redis(&server).await).all(operations).await })
    });
}

/// Tries so many cases, unless the environment says otherwise.
fn check(cases: u32, run: impl Fn(&[Operation]) -> Outcome) {
    let asked = |name| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let cases = asked("TG_MODEL_CASES").map_or(cases, |cases| u32::try_from(cases).unwrap());
    let seed = asked("TG_MODEL_SEED").unwrap_or_else(|| fastrand::u64(..));
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 4096,
        max_shrink_time: 60_000,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let outcome = runner.run(&operations::cases(LENGTH), |operations| run(&operations));
    if let Err(failure) = outcome {
        panic!("TG_MODEL_SEED={seed}\n{failure}");
    }
}
