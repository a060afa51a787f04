// SPDX-License-Identifier: GPL-3.0-or-later
//! `cargo run --release -p thundergate-bench --bin memory-bounds`: many connections that send large messages of unknown
//! samples at the same time. Prints how much memory milter, worker and Redis have taken at most, beside what their
//! configuration allows, and ends with status 1 where one has taken more. The mails are sent again until all are
//! accepted, as an MTA would: bounded memory must not mean that nothing gets through.

use anyhow::{Context, ensure};
use bytesize::ByteSize;
use clap::Parser;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use thundergate_harness::{
    mails::{mail, noise},
    mta::{Mail, Mta},
    process::Program,
    site::Site,
    thunderstorm::Settings,
};
use tokio::task::JoinSet;

/// What a process may take besides what is configured: itself, its stacks, samples on their way and what the allocator
/// does not give back at once.
const BESIDES: u64 = 384 << 20;
/// What Redis keeps besides samples: itself, verdicts, and the buffers of clients that send and receive samples.
const REDIS_BESIDES: u64 = 256 << 20;

/// Measures memory under large messages.
#[derive(Parser)]
struct Arguments {
    /// Connections that send at the same time.
    #[arg(long, default_value_t = 64)]
    connections: u64,
    /// Size of a message.
    #[arg(long, default_value = "49MiB")]
    message: ByteSize,
    /// `limits.memory_bytes` of the milter.
    #[arg(long, default_value = "1GiB")]
    milter: ByteSize,
    /// `limits.memory_bytes` of the worker.
    #[arg(long, default_value = "512MiB")]
    worker: ByteSize,
    /// `queue.max_bytes`.
    #[arg(long, default_value = "1GiB")]
    queue: ByteSize,
    /// After so many seconds the mails that were not accepted count as lost.
    #[arg(long, default_value_t = 300)]
    seconds: u64,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(&arguments))
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let settings = Settings { service_time: Duration::from_millis(30), threads: 16, ..Settings::default() };
    let site = Site::cluster(1, settings).await;
    let queue = format!("queue.max_bytes = \"{}B\"", arguments.queue.as_u64());
    let limits = |bytes: ByteSize| format!("{queue}\nlimits.memory_bytes = \"{}B\"", bytes.as_u64());
    let milter = site.milter(&limits(arguments.milter)).await;
    let worker = site.worker(&limits(arguments.worker)).await;

    let template = Arc::new(Template::new(arguments.message));
    println!("{} connections, messages of {}", arguments.connections, ByteSize(template.bytes.len() as u64));
    let started = Instant::now();
    let deadline = started + Duration::from_secs(arguments.seconds);
    let mut connections = JoinSet::new();
    for number in 0..arguments.connections {
        let (address, template) = (milter.address.clone(), Arc::clone(&template));
        connections
            .spawn(async move { send_until_accepted(&address, &template.mail(number), deadline).await });
    }
    let mut replies = BTreeMap::<String, u64>::new();
    while let Some(sent) = connections.join_next().await {
        sent??.into_iter().for_each(|reply| *replies.entry(reply).or_default() += 1);
        eprint!("\r{} under way after {} s ", connections.len(), started.elapsed().as_secs());
    }
    eprintln!();
    println!("all accepted after {:.1} s; {replies:?}", started.elapsed().as_secs_f64());
    for program in [&milter.program, &worker] {
        for (warning, times) in warnings(program) {
            println!("{times} times: {warning}");
        }
    }
    let redis_peak = site.redis_peak()?;
    let rows = [
        ("milter", peak(&milter.program)?, arguments.milter.as_u64() + BESIDES),
        ("worker", peak(&worker)?, arguments.worker.as_u64() + BESIDES),
        ("redis", redis_peak, arguments.queue.as_u64() + REDIS_BESIDES),
    ];
    for (name, took, bound) in rows {
        println!("{name:<7} took {:>9} at most, may take {:>9}", ByteSize(took).to_string(), ByteSize(bound));
    }
    ensure!(rows.iter().all(|(_, took, bound)| took <= bound), "more than was allowed");
    Ok(())
}

/// A message with two attachments, of which every copy has others.
struct Template {
    bytes: Vec<u8>,
    /// Where the attachments' first characters are.
    marks: Vec<usize>,
}

impl Template {
    fn new(size: ByteSize) -> Self {
        // Base64 in lines of 76 takes 78 bytes for 57; two attachments stay below limits.sample_bytes.
        let half = size.as_u64() as usize / 78 * 57 / 2;
        let attach = |message: thundergate_harness::mails::MailBuilder, seed| {
            let mut bytes = noise(seed, half);
            bytes[..MARK.len()].copy_from_slice(MARK);
            message.attach("a.bin", "application/octet-stream", bytes)
        };
        let bytes = attach(attach(mail(), 1), 2).bytes();
        let mark = &thundergate_harness::mails::base64_lines(MARK).into_bytes()[..16];
        let marks = bytes.windows(mark.len()).enumerate().filter(|(_, window)| *window == mark);
        Self { marks: marks.map(|(at, _)| at).collect(), bytes }
    }

    fn mail(&self, number: u64) -> Mail {
        let mut bytes = self.bytes.clone();
        for at in &self.marks {
            bytes[*at..*at + 8].copy_from_slice(format!("{number:08}").as_bytes());
        }
        Mail::of(bytes)
    }
}

/// Twelve bytes, sixteen characters of base64; digits are characters of base64, too.
const MARK: &[u8] = b"the mark is ";

/// The replies until the mail was accepted.
async fn send_until_accepted(address: &str, mail: &Mail, deadline: Instant) -> anyhow::Result<Vec<String>> {
    let mut replies = Vec::new();
    loop {
        let mut mta = Mta::connect(address).await?;
        let reply = mta.send(mail).await?;
        mta.quit().await?;
        replies.push(format!("{:?}", reply.action));
        if reply.delivers() {
            return Ok(replies);
        }
        ensure!(Instant::now() < deadline, "not accepted in time: {replies:?}");
        // A sender's back-off.
        tokio::time::sleep(Duration::from_millis(500 + fastrand::u64(..1000))).await;
    }
}

/// What a program warned of, and how often.
fn warnings(program: &Program) -> BTreeMap<String, u64> {
    let mut warnings = BTreeMap::new();
    for line in program.events().iter().filter(|line| line["level"] == "warning") {
        *warnings.entry(format!("{} {}", line["msg"], line["error"])).or_default() += 1;
    }
    warnings
}

/// The largest resident set that a program has had.
fn peak(program: &Program) -> anyhow::Result<u64> {
    let id = program.id().context("it has ended")?;
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
}
