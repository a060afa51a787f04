// SPDX-License-Identifier: GPL-3.0-or-later
//! Messages against a hub that is deaf or panics: what no well-behaved part can provoke from outside.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use async_trait::async_trait;
use bytes::Bytes;
use prometheus_client::registry::Registry;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use thundergate_common::{
    cache::VerdictCache,
    clock::now,
    digest::Digest,
    failed::FailedSample,
    generation::Generation,
    hub::{
        Admission, Announcements, Begin, Completion, Hub, HubError, Milter, Observer as _, Operator as _,
        Reservation, Room, Worker, memory::MemoryHub,
    },
    job::{Job, Lane},
    record::{
        MailRecord,
        seen::{Seen, Sought},
    },
    sample::{Sample, SampleKey},
    verdict::{Answer, Verdict},
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
    /// How many more times it takes no records.
    away: AtomicU32,
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
    async fn record(&self, records: &[MailRecord]) -> Result<(), HubError> {
        let away = self.away.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |times| times.checked_sub(1));
        if away.is_ok() { Err(HubError::Unavailable("away".into())) } else { self.hub.record(records).await }
    }
}

/// A gate over a nasty hub, and the well-behaved one behind it. Nobody stores records.
fn gate(panics: bool) -> (Gate, Arc<MemoryHub>) {
    let Site { gate, hub, .. } = site(panics, 0);
    (gate, hub)
}

struct Site {
    gate: Gate,
    hub: Arc<MemoryHub>,
    nasty: Arc<Nasty>,
    clerk: Clerk,
    registry: Registry,
}

fn site(panics: bool, away: u32) -> Site {
    let toml = "wait.poll = \"100ms\"\nwait.deadline = \"30s\"\npolicy.on.pending = \"accept\"";
    site_of(toml, panics, away)
}

fn site_of(toml: &str, panics: bool, away: u32) -> Site {
    let config = Config::from_toml(toml).unwrap();
    let hub = MemoryHub::new(&config.queue, &config.cache);
    let (unheard, owed) = (Announcements::default(), Mutex::default());
    let nasty = Arc::new(Nasty { hub: Arc::clone(&hub), unheard, panics, away: AtomicU32::new(away), owed });
    let mut registry = Registry::default();
    let observer = Arc::new(Observer::register(&mut registry));
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
    let (recorder, clerk) = Recorder::new(nasty.clone(), Arc::clone(&observer));
    let policy = Policy::compile(&config.policy).unwrap();
    let gate = Gate::new(config.of_messages(), policy, resolver, recorder, observer);
    Site { gate, hub, nasty, clerk, registry }
}

async fn inspect(gate: &Gate) -> Arc<Inspection> {
    inspect_for(gate, vec!["a@b.example".to_owned()]).await
}

async fn inspect_for(gate: &Gate, recipients: Vec<String>) -> Arc<Inspection> {
    let bytes = Bytes::from_static(b"Content-Type: application/pdf\r\n\r\n%PDF-1.7\r\n");
    let message = Message {
        size: bytes.len() as u64,
        bytes: Ok(bytes),
        share: gate.memory.share(),
        forged: Forged::default(),
    };
    let envelope = Envelope { queue_id: "4Bq".to_owned(), recipients, ..Envelope::default() };
    gate.inspect(&Client::default(), &envelope, message).await
}

fn told(inspection: &Inspection) -> (&'static str, &'static str) {
    (inspection.action.as_str(), inspection.decision.cause.as_str())
}

#[tokio::test]
async fn a_panic_defers_the_message_and_only_that() {
    let (gate, _) = gate(true);
    for _ in 0..2 {
        let inspection = inspect(&gate).await;
        assert_eq!(told(&inspection), ("tempfail", "bug"));
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

/// The mails with the attachment of [`inspect`].
async fn seen(hub: &MemoryHub) -> Seen {
    hub.seen(&Sought { digest: Digest::of(b"%PDF-1.7\r\n"), hint: None }, 10_000).await.unwrap()
}

fn dropped(registry: &Registry) -> usize {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    let name = "thundergate_milter_records_dropped_total ";
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    assert!(
        text.contains(&format!("thundergate_milter_receipts_dropped_total {line}\n")),
        "the old name stays"
    );
    line.parse().unwrap()
}

#[tokio::test]
async fn records_that_the_hub_cannot_take_now_are_stored_when_it_can() {
    let Site { gate, hub, clerk, registry, .. } = site(true, 2);
    inspect(&gate).await;
    let stored = async {
        while hub.seen(&Sought { digest: Digest::of(b"x"), hint: None }, 1).await.unwrap().since_ms.is_none()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(gate);
    };
    let patience = Duration::from_secs(30);
    tokio::time::timeout(patience, async { tokio::join!(clerk.run(), stored) }).await.expect("it is stored");
    assert_eq!(dropped(&registry), 0);
}

#[tokio::test]
async fn what_waits_for_a_hub_is_bounded_in_bytes_and_the_rest_is_counted() {
    let Site { gate, hub, clerk, registry, .. } = site(true, 0);
    let recipients: Vec<_> = (0..2000).map(|number| format!("recipient{number}@example.org")).collect();
    const MAILS: usize = 400;
    for _ in 0..MAILS {
        // Decided on all the same.
        let inspection = inspect_for(&gate, recipients.clone()).await;
        assert_eq!(told(&inspection), ("tempfail", "bug"));
    }
    let dropped = dropped(&registry);
    // Each takes some 60 KiB of 8 MiB.
    assert!((200..300).contains(&dropped), "{dropped}");
    drop(gate);
    clerk.run().await;
    assert!(hub.seen(&Sought { digest: Digest::of(b"x"), hint: None }, 1).await.unwrap().since_ms.is_some());
}

#[tokio::test]
async fn a_record_holds_what_was_decided_and_why() {
    let Site { gate, hub, clerk, .. } = site(false, 0);
    let scan = async {
        let claims =
            hub.claim("worker", 0, Room { most: 1, background: 0 }, Duration::from_secs(10)).await.unwrap();
        assert!(matches!(hub.begin(&claims[0]).await.unwrap(), Begin::Scan { .. }));
        let verdict = Verdict { scanned_at: now(), ..Verdict::default() };
        hub.complete(&claims[0], &Completion::Answered(Answer::Verdict(Arc::new(verdict)))).await.unwrap();
    };
    tokio::join!(inspect(&gate), scan);
    drop(gate);
    clerk.run().await;
    let seen = seen(&hub).await;
    assert!(!seen.is_at_least());
    let mail = &seen.mails[0];
    assert_eq!((mail.queue_id.as_str(), mail.decision.as_str()), ("4Bq", "accept"));
    assert_eq!(
        (mail.recipients.as_slice(), mail.disposition.as_deref()),
        (&["a@b.example".to_owned()][..], Some("clean"))
    );
}

#[tokio::test]
async fn without_a_clerk_nothing_is_recorded_and_nothing_counted() {
    let Site { gate, clerk, registry, .. } = site(true, 0);
    drop(clerk);
    inspect(&gate).await;
    assert_eq!(dropped(&registry), 0);
}

#[tokio::test]
async fn what_is_delivered_unscanned_is_owed_and_what_is_deferred_is_not() {
    for (row, owed) in [("accept", 1), ("tag", 1), ("tempfail", 0), ("quarantine", 0)] {
        let toml = format!("wait.deadline = \"50ms\"\npolicy.on.pending = \"{row}\"");
        let Site { gate, nasty, .. } = site_of(&toml, false, 0);
        assert_eq!(told(&*inspect(&gate).await), (row, "pending"));
        assert_eq!(
            nasty.owed.lock().unwrap().iter().map(|(_, samples)| samples).sum::<usize>(),
            owed,
            "{row}"
        );
    }
    let Site { gate, nasty, .. } = site_of("mode = \"passive\"\nwait.deadline = \"50ms\"", false, 0);
    assert_eq!(told(&*inspect(&gate).await), ("accept", "pending"));
    assert_eq!(*nasty.owed.lock().unwrap(), [("4Bq".to_owned(), 1)], "passive mode delivers everything");
}
