// SPDX-License-Identifier: GPL-3.0-or-later
//! Instructions of the whole path of a message whose attachment is known: header and body as the MTA hands them over, the
//! extraction, the look-up, the decision, the log line; and of the records of
//! these messages, which are made behind the reply. A count shows what a change costs on a machine that is too busy
//! to time it.
//!
//! `cargo bench -p thundergate-milter --bench message` prints the count of [`MESSAGES`] messages and how it differs from
//! the run before. It needs valgrind and gungraun-runner (CONTRIBUTING.md). valgrind knows no SHA instructions: digests
//! are computed, and counted, in software. Not counted: the kernel, and indymilter with the sockets.

#![allow(missing_docs, reason = "the macros make public items without")]

#[path = "../../common/extract/benches/mails/mod.rs"]
mod mails;

use gungraun::{library_benchmark, library_benchmark_group};
use prometheus_client::registry::Registry;
use std::{net::Ipv4Addr, sync::Arc};
use thundergate_common::{
    cache::VerdictCache,
    clock::now,
    digest::Digest,
    hub::memory::MemoryHub,
    sample::{NameHint, SampleKey},
    telemetry::{self, Guard},
    verdict::Verdict,
};
use thundergate_milter::{
    config::Config,
    inspect::{
        inspector::Gate,
        records::{Clerk, Recorder},
        resolve::Resolver,
        seats::Seats,
        shares::Shares,
    },
    mail::{
        envelope::{Client, Envelope},
        message::Collector,
    },
    observe::observer::Observer,
    outcome::inspection::Inspection,
};
use thundergate_policy::{Action, Policy, Source};
use tokio::runtime::Runtime;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// So many that what happens now and then, such as the cache's housekeeping, counts as often as it does in service.
const MESSAGES: usize = 100;
/// What happens once is not counted.
const WARMING: usize = 20;
/// The longest chunk of a body that an MTA sends.
const CHUNK: usize = 65_535;

/// A gate that knows the attachment, and what the MTA says.
struct Fixture {
    runtime: Runtime,
    gate: Gate,
    client: Client,
    header: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
    size: usize,
    _log: Guard,
    clerk: Clerk,
}

#[library_benchmark]
#[bench::of_1_kib(args = [1 << 10], setup = Fixture::new)]
#[bench::of_100_kib(args = [100 << 10], setup = Fixture::new)]
fn messages(fixture: Fixture) -> Fixture {
    for _ in 0..MESSAGES {
        fixture.message();
    }
    fixture
}

// The records of these messages, behind their replies: made, packed, stored in this process.
#[library_benchmark]
#[bench::of_1_kib(args = [1 << 10], setup = Fixture::handed_in)]
fn records(fixture: Fixture) {
    let Fixture { runtime, gate, clerk, .. } = fixture;
    drop(gate);
    runtime.block_on(clerk.run());
}

library_benchmark_group!(name = path, benchmarks = [messages, records]);

/// What the macro makes of it.
mod harness {
    use super::path;

    gungraun::main!(library_benchmark_groups = path);

    pub fn run() {
        main();
    }
}

fn main() {
    // Cargo or gungraun-runner says so where it means to measure; as a test there is nothing to do.
    if std::env::args().any(|argument| argument == "--bench" || argument == "--gungraun-run") {
        harness::run();
    }
}

impl Fixture {
    fn new(attachment: usize) -> Self {
        let config = Config::from_toml("log.file = \"/dev/null\"\nlog.rotation = \"never\"")
            .expect("the configuration is right");
        let log = telemetry::init(&config.log).expect("this process logs once");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let hub = MemoryHub::new(&config.queue, &config.cache);
        let observer = Arc::new(Observer::register(&mut Registry::default()));
        let (recorder, clerk) = Recorder::new(hub.clone(), Arc::clone(&observer));
        let resolver = Resolver {
            cache: VerdictCache::new(&config.cache),
            hub,
            direct: None,
            seats: Arc::new(Seats::new(1)),
            deadline: config.wait.deadline,
            poll: config.wait.poll,
            observer: Arc::clone(&observer),
            shares: Shares::default(),
            outages: Arc::default(),
        };
        let hint = NameHint::of(config.scan.name_hint, Some("invoice.pdf"));
        let key = SampleKey { digest: Digest::of(&mails::noise(attachment)), hint };
        resolver.cache.insert(&key, Arc::new(Verdict { scanned_at: now(), ..Verdict::default() }));
        let policy = Policy::compile(&config.policy).expect("the policy is right");
        let (message, _) = mails::with_attachment(attachment);
        let (header, body) = message.split_once("\r\n\r\n").expect("there is a header");
        let fixture = Self {
            runtime: runtime.expect("a runtime can be made"),
            gate: Gate::new(config.of_messages(), policy, resolver, recorder, observer),
            client: Client {
                mta: "mx.b.example".to_owned(),
                name: "a.example".to_owned(),
                address: Some(Ipv4Addr::new(192, 0, 2, 1).into()),
                helo: "a.example".to_owned(),
            },
            header: header.split("\r\n").map(field).collect(),
            body: body.as_bytes().to_vec(),
            size: message.len(),
            _log: log,
            clerk,
        };
        for _ in 0..WARMING {
            let inspection = fixture.message();
            assert_eq!(inspection.decision.action, Action::Accept);
            assert!(inspection.parts.iter().any(|part| part.source == Source::Local), "{inspection:?}");
        }
        fixture
    }

    /// Messages whose records nobody has made yet.
    fn handed_in(attachment: usize) -> Self {
        let fixture = Self::new(attachment);
        for _ in 0..MESSAGES - WARMING {
            fixture.message();
        }
        fixture
    }

    /// One message, as the MTA's callbacks hand it over.
    fn message(&self) -> Arc<Inspection> {
        let size = format!("SIZE={}", self.size);
        let mut envelope = Envelope::begin([b"<a@a.example>", size.as_bytes()].into_iter());
        envelope.add_recipient(b"<b@b.example>");
        envelope.queue_id = "4cXyZ12345".to_owned();
        let mut collector =
            Collector::new(&self.gate.memory, self.gate.message_bytes(), envelope.declared_size);
        for (name, value) in &self.header {
            collector.header(name, value);
        }
        collector.end_of_header();
        for chunk in self.body.chunks(CHUNK) {
            collector.body(chunk);
        }
        self.runtime.block_on(self.gate.inspect(&self.client, &envelope, collector.finish()))
    }
}

/// A header field as MTAs give it: the value with its leading blank.
fn field(line: &str) -> (Vec<u8>, Vec<u8>) {
    let (name, value) = line.split_once(':').expect("these are fields");
    (name.into(), value.into())
}
