// SPDX-License-Identifier: GPL-3.0-or-later
//! Messages against a hub that is deaf or panics: what no well-behaved part can provoke from outside.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use async_trait::async_trait;
use bytes::Bytes;
use prometheus_client::registry::Registry;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use thundergate_common::{
    cache::VerdictCache,
    clock::now,
    failed::FailedSample,
    generation::Generation,
    hub::{
        Admission, Announcements, Begin, Completion, Hub, HubError, Milter, Observer as _, Receipt,
        Reservation, Room, Worker, memory::MemoryHub,
    },
    job::{Job, Lane},
    sample::{Sample, SampleKey},
    verdict::{Answer, Verdict},
};
use thundergate_milter::{
    config::Config,
    inspect::{inspector::Gate, ledger::Ledger, resolve::Resolver, seats::Seats, shares::Shares},
    mail::{
        envelope::{Client, Envelope},
        forged::Forged,
        message::Message,
    },
    observe::observer::Observer,
    outcome::inspection::Inspection,
};
use thundergate_policy::Policy;

/// Passes everything on to an in-process hub, but for announcements, which nobody hears, and look-ups, which may panic.
struct Nasty {
    hub: Arc<MemoryHub>,
    unheard: Announcements,
    panics: bool,
    /// What was delivered unscanned: the queue id, how many samples.
    owed: Mutex<Vec<(String, usize)>>,
}

#[async_trait]
impl Hub for Nasty {
    async fn look_up(&self, keys: &[SampleKey]) -> Result<Vec<Option<Arc<Verdict>>>, HubError> {
        assert!(!self.panics, "a bug");
        self.hub.look_up(keys).await
    }
    fn generation(&self) -> Arc<Generation> {
        self.hub.generation()
    }
    async fn ping(&self) -> Result<(), HubError> {
        self.hub.ping().await
    }
}

#[async_trait]
impl Milter for Nasty {
    async fn reserve(&self, keys: &[SampleKey], lane: Lane) -> Result<Vec<Reservation>, HubError> {
        self.hub.reserve(keys, lane).await
    }
    async fn submit(&self, jobs: &[(Sample, Job)]) -> Result<Vec<Admission>, HubError> {
        self.hub.submit(jobs).await
    }
    fn announcements(&self) -> &Announcements {
        &self.unheard
    }
    async fn leave(&self, keys: &[SampleKey]) -> Result<(), HubError> {
        self.hub.leave(keys).await
    }
    async fn owe(&self, keys: &[SampleKey], queue_id: &str) -> Result<(), HubError> {
        self.owed.lock().unwrap().push((queue_id.to_owned(), keys.len()));
        self.hub.owe(keys, queue_id).await
    }
    async fn record(&self, receipts: &[(SampleKey, Receipt)]) -> Result<(), HubError> {
        self.hub.record(receipts).await
    }
}

/// A gate over a nasty hub, and the well-behaved one behind it.
fn gate(panics: bool) -> (Gate, Arc<MemoryHub>) {
    let (gate, nasty) =
        gate_of("wait.poll = \"100ms\"\nwait.deadline = \"30s\"\npolicy.on.pending = \"accept\"", panics);
    (gate, Arc::clone(&nasty.hub))
}

fn gate_of(toml: &str, panics: bool) -> (Gate, Arc<Nasty>) {
    let config = Config::from_toml(toml).unwrap();
    let hub = MemoryHub::new(&config.queue, &config.cache);
    let unheard = Announcements::default();
    let nasty = Arc::new(Nasty { hub, unheard, panics, owed: Mutex::default() });
    let observer = Arc::new(Observer::register(&mut Registry::default()));
    let resolver = Resolver {
        cache: VerdictCache::new(&config.cache),
        hub: nasty.clone(),
        direct: None,
        seats: Arc::new(Seats::new(1)),
        deadline: config.wait.deadline,
        poll: config.wait.poll,
        observer: Arc::clone(&observer),
        shares: Shares::default(),
        outages: Arc::default(),
    };
    let (ledger, _) = Ledger::new(nasty.clone(), Arc::clone(&observer));
    let policy = Policy::compile(&config.policy).unwrap();
    (Gate::new(config.of_messages(), policy, resolver, ledger, observer), nasty)
}

async fn inspect(gate: &Gate) -> Inspection {
    let bytes = Bytes::from_static(b"Content-Type: application/pdf\r\n\r\n%PDF-1.7\r\n");
    let message = Message {
        size: bytes.len() as u64,
        bytes: Ok(bytes),
        share: gate.memory.share(),
        forged: Forged::default(),
    };
    gate.inspect(&Client::default(), &Envelope::default(), message).await
}

fn told(inspection: &Inspection) -> (&'static str, &'static str) {
    (inspection.action.as_str(), inspection.decision.cause.as_str())
}

#[tokio::test]
async fn a_panic_defers_the_message_and_only_that() {
    let (gate, _) = gate(true);
    for _ in 0..2 {
        assert_eq!(told(&inspect(&gate).await), ("tempfail", "bug"));
    }
}

#[tokio::test]
async fn a_lost_announcement_costs_time_and_nothing_else() {
    let (gate, hub) = gate(false);
    let scan = async {
        let claims =
            hub.claim("worker", 0, Room { most: 1, background: 0 }, Duration::from_secs(10)).await.unwrap();
        assert!(matches!(hub.begin(&claims[0]).await.unwrap(), Begin::Scan { .. }));
        let verdict = Verdict { scanned_at: now(), ..Verdict::default() };
        hub.complete(&claims[0], &Completion::Answered(Answer::Verdict(Arc::new(verdict)))).await.unwrap();
    };
    let (inspection, ()) = tokio::join!(inspect(&gate), scan);
    assert_eq!(told(&inspection), ("accept", "clean"));
    assert!(inspection.duration < Duration::from_secs(10), "{:?}", inspection.duration);
}

#[tokio::test]
async fn a_sample_that_failed_a_short_time_ago_is_told_at_once_and_not_queued_again() {
    let (gate, hub) = gate(false);
    let failure = async {
        let claims =
            hub.claim("worker", 0, Room { most: 1, background: 0 }, Duration::from_secs(10)).await.unwrap();
        assert!(matches!(hub.begin(&claims[0]).await.unwrap(), Begin::Scan { .. }));
        let reason = "it answered 400".to_owned();
        let failed = FailedSample { reason, until: now() + 600, ..FailedSample::default() };
        hub.complete(&claims[0], &Completion::Failed(failed)).await.unwrap();
    };
    let (inspection, ()) = tokio::join!(inspect(&gate), failure);
    assert_eq!(told(&inspection), ("tempfail", "scan_failed"));
    let again = inspect(&gate).await;
    assert_eq!(told(&again), ("tempfail", "scan_failed"));
    assert!(again.duration < Duration::from_secs(10), "{:?}", again.duration);
    let queue = hub.queue().await.unwrap();
    assert_eq!(
        queue.lanes.iter().map(|lane| lane.waiting + lane.claimed).sum::<u64>(),
        0,
        "nothing is queued"
    );
}

#[tokio::test]
async fn what_is_delivered_unscanned_is_owed_and_what_is_deferred_is_not() {
    for (row, owed) in [("accept", 1), ("tag", 1), ("tempfail", 0), ("quarantine", 0)] {
        let toml = format!("wait.deadline = \"50ms\"\npolicy.on.pending = \"{row}\"");
        let (gate, nasty) = gate_of(&toml, false);
        assert_eq!(told(&inspect(&gate).await), (row, "pending"));
        assert_eq!(
            nasty.owed.lock().unwrap().iter().map(|(_, samples)| samples).sum::<usize>(),
            owed,
            "{row}"
        );
    }
    let (gate, nasty) = gate_of("mode = \"passive\"\nwait.deadline = \"50ms\"", false);
    assert_eq!(told(&inspect(&gate).await), ("accept", "pending"));
    assert_eq!(*nasty.owed.lock().unwrap(), [(String::new(), 1)], "passive mode delivers everything");
}
