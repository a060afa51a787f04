// SPDX-License-Identifier: GPL-3.0-or-later
//! `cargo run --release -p thundergate-bench --bin redis-memory`: what one of each thing takes in Redis, as the delivered
//! settings have it. Each thing is written many times over the hub to a redis-server of its own; `bytes` is what the
//! server's `used_memory` has grown by each, `key` what MEMORY USAGE says of one key. Prints TOML. cluster.md's table is
//! worked from it.

use anyhow::{Context, ensure};
use bytes::Bytes;
use clap::Parser;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::{sync::Arc, time::Duration};
use thundergate_common::{
    clock::{now, now_ms},
    digest::Digest,
    hub::{
        Admission, Claim, Completion, Milter, Worker,
        redis::{Redis, RedisHub, RedisUrl},
    },
    job::{Job, Lane},
    sample::{NameHint, Sample, SampleKey},
    verdict::{Answer, FileFacts, Finding, Rule, Verdict},
};
use thundergate_harness::redis::{OPERATOR, RedisServer};
use thundergate_milter::config::Config;

/// Calls under way at a time.
const AT_ONCE: usize = 32;
/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The size of a sample whose own memory is measured.
const SAMPLE: usize = 10 << 10;
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Measures what things take in Redis.
#[derive(Parser)]
struct Arguments {
    /// How many of each; the queue takes 10000 jobs.
    #[arg(long, default_value_t = 9000)]
    things: u32,
}

/// A server that holds one kind of thing.
struct Stage {
    server: RedisServer,
    hub: Arc<RedisHub>,
    things: u32,
    _secret: Option<tempfile::NamedTempFile>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(arguments.things))
}

async fn measure(things: u32) -> anyhow::Result<()> {
    ensure!((1..=10_000).contains(&things), "between 1 and 10000 things");
    println!("things = {things}\n");
    for (name, sealed, verdict, reads_short) in [
        ("clean_verdict", false, clean as fn() -> Verdict, true),
        ("clean_verdict_sealed", true, clean, true),
        ("clean_verdict_long_form", false, clean, false),
        ("clean_verdict_long_form_sealed", true, clean, false),
        ("found_verdict", false, found, true),
        ("found_verdict_sealed", true, found, true),
    ] {
        let stage = Stage::set(things, sealed).await?;
        let bytes = stage.verdicts(verdict, reads_short).await?;
        tell(name, bytes, stage.key("verdict")?);
    }
    for (name, sealed, size) in [
        ("job_and_empty_sample", false, 0),
        ("job_and_empty_sample_sealed", true, 0),
        ("job_and_sample_of_10_kib", false, SAMPLE),
    ] {
        let stage = Stage::set(things, sealed).await?;
        let bytes = stage.jobs(size).await?;
        tell(name, bytes, stage.key("sample")?);
    }
    Ok(())
}

fn tell(name: &str, bytes: u64, key: u64) {
    println!("[{name}]\nbytes = {bytes}\nkey = {key}\n");
}

impl Stage {
    async fn set(things: u32, sealed: bool) -> anyhow::Result<Self> {
        let server = RedisServer::start()?;
        let mut redis = Redis::at(RedisUrl::One(server.unix_url_of(OPERATOR).into()));
        // It is not time that is measured here.
        redis.timeout = PATIENCE;
        let mut secret = None;
        if sealed {
            let file = tempfile::NamedTempFile::new()?;
            std::fs::write(file.path(), SECRET)?;
            redis.secret_file = Some(file.path().into());
            secret = Some(file);
        }
        let defaults = Config::from_toml("")?;
        let hub = RedisHub::connect(&redis, &defaults.queue, &defaults.cache, "bench".to_owned()).await?;
        Ok(Self { server, hub, things, _secret: secret })
    }

    /// What a verdict takes.
    async fn verdicts(&self, verdict: fn() -> Verdict, reads_short: bool) -> anyhow::Result<u64> {
        let store = |number| async move {
            let job = Job { reads_short, ..job(number, 0) };
            let claim = Claim { id: "0-0".to_owned(), job, deliveries: 1 };
            let answer = Answer::Verdict(Arc::new(verdict()));
            self.hub.complete(&claim, &Completion::Answered(answer)).await.context("a verdict is stored")
        };
        // The names are there, and the connection.
        store(0).await?;
        let before = self.used()?;
        let all = stream::iter(1..=self.things).map(store).buffer_unordered(AT_ONCE);
        all.try_collect::<()>().await?;
        Ok(self.used()?.saturating_sub(before) / u64::from(self.things))
    }

    /// What a job takes, with its sample of so many bytes.
    async fn jobs(&self, size: usize) -> anyhow::Result<u64> {
        let submit = |number| async move {
            let job = job(number, size);
            self.hub.reserve(std::slice::from_ref(&job.sample), Lane::Mail).await?;
            let sample = Sample { key: job.sample.clone(), bytes: Bytes::from(vec![0x5a; size]) };
            let admitted = self.hub.submit(&[(sample, job)]).await?;
            ensure!(admitted == [Admission::Queued], "{admitted:?}");
            Ok(())
        };
        submit(0).await?;
        let before = self.used()?;
        stream::iter(1..self.things).map(submit).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        Ok(self.used()?.saturating_sub(before) / u64::from(self.things - 1).max(1))
    }

    fn used(&self) -> anyhow::Result<u64> {
        let info: String = self.server.ask("INFO memory")?;
        let used =
            info.lines().find_map(|line| line.strip_prefix("used_memory:")).context("no used_memory")?;
        Ok(used.trim().parse()?)
    }

    /// What Redis says of the key of one thing.
    fn key(&self, kept: &str) -> anyhow::Result<u64> {
        let digest = job(1, 0).sample.digest;
        self.server.ask(&format!("MEMORY USAGE tg:1:{{{digest}}}:.pdf:{kept}"))
    }
}

fn job(number: u32, size: usize) -> Job {
    let digest = Digest::of(&number.to_be_bytes());
    Job {
        sample: SampleKey { digest, hint: NameHint::Extension("pdf".to_owned()) },
        size: size as u64,
        lane: Lane::Mail,
        source: "mx1.example.org".to_owned(),
        queue_id: "4cXyZ12345".to_owned(),
        enqueued_ms: now_ms(),
        needs: Some("2026/01/12-160550".to_owned()),
        reads_short: true,
        traceparent: None,
    }
}

fn clean() -> Verdict {
    Verdict {
        signatures: Some("2026/01/12-160550".to_owned()),
        scanned_at: now(),
        scan_ms: 152,
        instance: "storm1.example.org:8080".to_owned(),
        ..Verdict::default()
    }
}

/// With three rules and what a scanner usually says of them.
fn found() -> Verdict {
    let rule = |subscore| Rule {
        name: "SUSP_Encoded_Powershell_In_Document_Jan26".to_owned(),
        subscore,
        reason: "Detects a document that holds an encoded command of a well-known kind".to_owned(),
        author: "A. Author (Nextron Systems)".to_owned(),
        reference: "https://example.org/reports/2026/01/an-encoded-command".to_owned(),
        date: "2026-01-07".to_owned(),
        class: "YARA Rule".to_owned(),
        origin: "internal".to_owned(),
        tags: vec!["SUSP".to_owned(), "T1059_001".to_owned(), "SCRIPT".to_owned()],
        matched: vec!["\"powershell -enc\" at 0x2f1".to_owned(), "\"FromBase64String\" at 0x54a".to_owned()],
    };
    let finding = Finding {
        level: "Alert".to_owned(),
        module: "Filescan".to_owned(),
        message: "Malware file found".to_owned(),
        score: 95,
        file: FileFacts {
            name: "invoice.pdf".to_owned(),
            extension: ".pdf".to_owned(),
            kind: "PDF".to_owned(),
            size: 148_223,
            first_bytes: "255044462d312e370d0a25b5b5b5b50d0a312030 / %PDF-1.7".to_owned(),
            md5: "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
            sha1: "da39a3ee5e6b4b0d3255bfef95601890afd80709".to_owned(),
            sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".to_owned(),
        },
        rules_total: 3,
        rules: [75, 60, 40].map(rule).into(),
    };
    Verdict { findings: vec![finding], ..clean() }
}
