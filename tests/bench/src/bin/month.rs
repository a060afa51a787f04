// SPDX-License-Identifier: GPL-3.0-or-later
//! `cargo run --release -p thundergate-bench --bin month`: a month of ordinary mail in less than an hour. Newsletters, many
//! of them with a body of their own, go through a milter, Redis as it is delivered, a worker and a scanner; what is kept is
//! kept for as much less time as a day here is shorter than a day. Prints, for each day, what everything takes, and ends with
//! status 1 where something still grows in the last third of the month.

use anyhow::{Context as _, ensure};
use clap::Parser;
use std::time::{Duration, Instant};
use thundergate_bench::{
    load::{Length, Look, Mix, Plan, Process, run_beside, usage::Usage},
    performance::programs::{self, Started},
};
use thundergate_harness::{
    redis::{MILTER, RedisServer, WORKER},
    thunderstorm::{Settings, Standin},
};
use tokio::time::sleep_until;

/// What a site keeps, and for how long; by the keys of `[cache]` and `[queue]`.
const KEPT: [(&str, Duration); 5] = [
    ("cache.local_ttl", Duration::from_secs(10)),
    ("cache.clean_ttl", Duration::from_secs(24 * 3600)),
    ("cache.found_ttl", Duration::from_secs(7 * 24 * 3600)),
    ("queue.failed_ttl", Duration::from_secs(600)),
    ("queue.records_ttl", Duration::from_secs(48 * 3600)),
];
/// Nothing is kept for less, or it would be gone before it was used.
const SHORTEST: Duration = Duration::from_secs(2);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// What the last third of the month may have at most, of what the second had.
const GROWTH: f64 = 1.1;
const CONNECTIONS: usize = 48;
/// At a time; a scan takes the scanner no time.
const SCANS: usize = 32;
/// Newsletters that come again and again.
const KNOWN: u64 = 10_000;

/// Sends a month of mail.
#[derive(Parser)]
struct Arguments {
    /// Mails in all.
    #[arg(long, default_value_t = 3_000_000)]
    mails: u64,
    /// In so many days.
    #[arg(long, default_value_t = 30)]
    days: u32,
    /// Mails a second; with the others this says how long a day is.
    #[arg(long, default_value_t = 2000.0)]
    rate: f64,
    /// Share of mails whose body nobody has seen before, in percent.
    #[arg(long, default_value_t = 30.0)]
    new: f64,
    /// Whether anything grows is only told: a short month is over before what is kept is complete.
    #[arg(long)]
    unjudged: bool,
}

/// What everything takes at the end of a day, in bytes unless it says otherwise.
struct Evening {
    milter: u64,
    worker: u64,
    redis: u64,
    /// What Redis says that its data takes.
    redis_data: u64,
    /// How many keys it has.
    keys: u64,
    /// What the milter has logged so far.
    log: u64,
}

/// The programs of a site, but for the scanner.
struct Site {
    redis: RedisServer,
    milter: Started,
    worker: Started,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(&arguments))
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let seconds = arguments.mails as f64 / arguments.rate;
    let day = Duration::from_secs_f64(seconds / f64::from(arguments.days.max(3)));
    let scanner = Standin::start(Settings { threads: SCANS, waiting: 1000, ..Settings::default() }).await;
    let redis = RedisServer::start()?;
    let kept = kept(day);
    let hub = |user| format!("{kept}[redis]\nurl = \"{}\"\n", redis.url_of(user));
    let worker = programs::worker(&format!("{}{}", hub(WORKER), programs::farm(&scanner)))?;
    // All of it comes from one sender here, and from many at a site.
    let milter = programs::milter(&format!("limits.share = 0\nwait.sessions = 200\n{}", hub(MILTER)))?;
    let site = Site { milter, worker, redis };
    println!(
        "{} mails in {} days of {:.1} s, {:.0} % of them new; for a day's time is kept:\n{kept}",
        arguments.mails,
        arguments.days,
        day.as_secs_f64(),
        arguments.new,
    );
    let plan = plan(arguments, &site, Duration::from_secs_f64(seconds))?;
    let (report, evenings) = tokio::join!(run_beside(&plan), evenings(arguments, &site, day));
    let (report, evenings) = (report?, evenings?);
    println!("\n{:.0} mails/s; {:?}; {:?}", report.messages_per_second, report.decisions, report.errors);
    let log = evenings.last().map_or(0, |last| last.log);
    println!("log: {:.0} bytes a mail", log as f64 / report.messages as f64);
    ensure!(report.messages > 0 && report.decisions.accept == report.messages, "not all was accepted");
    let growing = growing(&evenings);
    let all = report.messages * 100 >= arguments.mails * 99;
    ensure!(all || arguments.unjudged, "the machine is too slow for this rate");
    ensure!(growing.is_empty() || arguments.unjudged, "still growing: {}", growing.join(", "));
    Ok(())
}

/// `[cache]` and `[queue]` with times as much shorter as `day` is.
fn kept(day: Duration) -> String {
    let shorter = day.as_secs_f64() / DAY.as_secs_f64();
    let key = |(key, time): (&str, Duration)| {
        format!("{key} = \"{}ms\"\n", time.mul_f64(shorter).max(SHORTEST).as_millis())
    };
    KEPT.into_iter().map(key).collect()
}

fn plan(arguments: &Arguments, site: &Site, time: Duration) -> anyhow::Result<Plan> {
    let plan = Plan::to(&site.milter.address()?)?;
    let look = Look { attachments: 1, text: true, distinct_names: false };
    let repeats = 100.0 - arguments.new;
    let mix = Mix { sizes: vec![1024], look, message: Some(newsletter()), repeats, pool: KNOWN };
    Ok(Plan {
        connections: CONNECTIONS,
        length: Length::Time(time),
        rate: Some(arguments.rate),
        messages_per_connection: 100,
        mix,
        progress: true,
        ..plan
    })
}

/// HTML beside plain text, as newsletters are. The load generator fills in what differs.
fn newsletter() -> Vec<u8> {
    let paragraphs: String =
        (0..40).map(|n| format!("<p>Offer {n}: as good as the one before.</p>\n")).collect();
    format!(
        "From: Shop <news@shop.example>\nTo: you@example.net\nSubject: This week\n\
         Date: Sun, 01 Nov 2026 12:00:00 +0000\nMessage-ID: <@QUEUE-ID@@shop.example>\nMIME-Version: 1.0\n\
         Content-Type: multipart/alternative; boundary=\"=_newsletter\"\n\n\
         --=_newsletter\nContent-Type: text/plain; charset=utf-8\n\nThis week's offers are on our page.\n\
         --=_newsletter\nContent-Type: text/html; charset=utf-8\n\n<html><body>\n{paragraphs}\
         <a href=\"https://shop.example/leave/@NUMBER-000@\">leave</a>\n</body></html>\n--=_newsletter--\n"
    )
    .into_bytes()
}

async fn evenings(arguments: &Arguments, site: &Site, day: Duration) -> anyhow::Result<Vec<Evening>> {
    println!(
        "\n  day  {:>9}  {:>9}  {:>9}  {:>10}  {:>9}  {:>9}",
        "milter", "worker", "Redis", "its data", "keys", "log"
    );
    let began = Instant::now();
    let mut evenings = Vec::new();
    for number in 1..=arguments.days {
        sleep_until((began + day * number).into()).await;
        let evening = Evening::of(site)?;
        evening.print(number);
        evenings.push(evening);
    }
    Ok(evenings)
}

impl Evening {
    fn of(site: &Site) -> anyhow::Result<Self> {
        let redis = Process { name: "Redis".to_owned(), id: site.redis.id().context("Redis has ended")? };
        let memory: String = site.redis.ask("INFO memory")?;
        let data = memory.lines().find_map(|line| line.strip_prefix("used_memory:"));
        Ok(Self {
            milter: Usage::of(&site.milter.process()).resident,
            worker: Usage::of(&site.worker.process()).resident,
            redis: Usage::of(&redis).resident,
            redis_data: data.context("Redis says nothing of its memory")?.trim().parse()?,
            keys: site.redis.ask("DBSIZE")?,
            log: std::fs::metadata(site.milter.dir().join("log"))?.len(),
        })
    }

    fn print(&self, number: u32) {
        let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        let Self { milter, worker, redis, redis_data, keys, log } = self;
        let [milter, worker, redis, data, log] = [milter, worker, redis, redis_data, log].map(|it| mib(*it));
        println!("  {number:>3}  {milter:>9}  {worker:>9}  {redis:>9}  {data:>10}  {keys:>9}  {log:>9}");
    }
}

/// What still grows in the last third.
fn growing(evenings: &[Evening]) -> Vec<&'static str> {
    let third = evenings.len() / 3;
    let (second, last) = evenings[third..].split_at(third);
    let grown = |name: &'static str, of: fn(&Evening) -> u64| {
        let most = |days: &[Evening]| days.iter().map(of).max().unwrap_or_default() as f64;
        let growth = most(last) / most(second);
        println!("{name}: {growth:.3} of what the third before had");
        (growth > GROWTH).then_some(name)
    };
    let all = [
        grown("milter", |it| it.milter),
        grown("worker", |it| it.worker),
        grown("Redis", |it| it.redis),
        grown("Redis's data", |it| it.redis_data),
    ];
    all.into_iter().flatten().collect()
}
