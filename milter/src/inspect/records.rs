// SPDX-License-Identifier: GPL-3.0-or-later
//! Records of mails: what is kept for people who ask later who got what.
//!
//! 1. Behind the decision the message's path hands in what it has ([`Recorder::record`]): no more than copies of the
//!    envelope and a share in the inspection.
//! 2. One task, the clerk, makes records of that and stores many of them at once.
//! 3. What the hub cannot take now is tried again for some seconds, which outlasts a hub that is away for a moment.
//!
//! Mail never waits for it. What is handed in and not stored takes at most [`BACKLOG`] bytes; beyond that, and where the
//! hub takes no records, they are dropped and counted (`records_dropped_total`). The log line of the message has
//! the same in short. Mail of the command `scan` is no mail, so there is no clerk and nothing is kept.

use crate::{
    mail::envelope::{Client, Envelope},
    observe::observer::Observer,
    outcome::{
        inspection::{Inspected, Inspection, Malformed, short},
        settings::Mode,
    },
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use thundergate_common::{
    cache::verdict_bytes,
    digest::Digest,
    hub::{self, HubError},
    record::{MailRecord, PartRecord, RecordId, VerdictUsed},
    telemetry::hostname,
    verdict::Verdict,
};
use thundergate_extract::Ambiguity;
use thundergate_policy::{Disposition, PolicyConfig};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Bytes that may wait for the hub.
const BACKLOG: usize = 8 << 20;
/// What a mail or a part of it takes beside its texts.
const BESIDE: usize = 256;
/// Records that are stored at once.
const BATCH: usize = 64;
/// Records are gathered for so long, once some were stored: among others each takes less room.
const GATHERING: Duration = Duration::from_millis(200);
/// Bytes of recipients that are copied: more do not fit into a record.
const RECIPIENTS: usize = thundergate_common::record::MOST_BYTES;
/// How often records are tried that the hub cannot take now.
const TRIES: u32 = 10;
/// The pause before another try.
const PAUSE: Duration = Duration::from_secs(1);
/// Names of rules in a record.
const RULES: usize = 8;

/// Where mails are handed in.
#[derive(Clone)]
pub struct Recorder {
    mails: mpsc::UnboundedSender<Mail>,
    room: Arc<Semaphore>,
    observer: Arc<Observer>,
}

/// The other end: stores records until every [`Recorder`] is gone.
pub struct Clerk {
    mails: mpsc::UnboundedReceiver<Mail>,
    hub: Arc<dyn hub::Milter>,
    observer: Arc<Observer>,
    host: String,
}

/// By what a mail was decided.
#[derive(Clone, Copy, Debug)]
pub struct Judge {
    /// The digest of the policy's text.
    pub policy: Digest,
    /// Whether decisions are carried out.
    pub mode: Mode,
}

/// What a record is made of.
struct Mail {
    decided: Instant,
    client: Client,
    envelope: Envelope,
    recipients: usize,
    inspection: Arc<Inspection>,
    judge: Judge,
    /// As many bytes as it takes, until it is stored or dropped.
    _room: OwnedSemaphorePermit,
}

impl Judge {
    /// Decisions by `policy`, whose text is what `check` prints of it.
    pub fn of(policy: &PolicyConfig, mode: Mode) -> Self {
        let text = toml::to_string(policy).expect("actions, texts and networks always serialise");
        Self { policy: Digest::of(text.as_bytes()), mode }
    }
}

impl Recorder {
    /// Records go to `hub`; somebody must run the clerk, or nothing is recorded.
    pub fn new(hub: Arc<dyn hub::Milter>, observer: Arc<Observer>) -> (Self, Clerk) {
        let (sender, mails) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(BACKLOG));
        let recorder = Self { mails: sender, room, observer: Arc::clone(&observer) };
        (recorder, Clerk { mails, hub, observer, host: hostname() })
    }

    /// Hands in a mail that was just decided.
    pub fn record(&self, client: &Client, envelope: &Envelope, inspection: &Arc<Inspection>, judge: Judge) {
        if self.mails.is_closed() {
            return;
        }
        let recipients = fitting(&envelope.recipients);
        let takes = bytes_of(client, envelope, recipients, &inspection.parts).min(BACKLOG);
        let takes = u32::try_from(takes).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(takes) else {
            return self.observer.metrics.records_dropped(1);
        };
        let mail = Mail {
            decided: Instant::now(),
            client: client.clone(),
            envelope: Envelope {
                queue_id: envelope.queue_id.clone(),
                sender: envelope.sender.clone(),
                recipients: recipients.to_vec(),
                authenticated: envelope.authenticated.clone(),
                declared_size: None,
            },
            recipients: envelope.recipients.len(),
            inspection: Arc::clone(inspection),
            judge,
            _room: room,
        };
        if self.mails.send(mail).is_err() {
            self.observer.metrics.records_dropped(1);
        }
    }
}

/// The first recipients, as many as a record can hold.
fn fitting(recipients: &[String]) -> &[String] {
    let mut room = RECIPIENTS;
    let fitting = recipients.iter().take_while(|address| {
        let fits = address.len() <= room;
        room = room.saturating_sub(address.len());
        fits
    });
    &recipients[..fitting.count()]
}

/// What a mail takes until it is stored. Verdicts are shared with those who remember them, but who has much found may be
/// alone with it.
fn bytes_of(client: &Client, envelope: &Envelope, recipients: &[String], parts: &[Inspected]) -> usize {
    let of_client = client.mta.len() + client.name.len() + client.helo.len();
    let authenticated = envelope.authenticated.as_ref().map_or(0, String::len);
    let of_envelope = envelope.queue_id.len() + envelope.sender.len() + authenticated;
    let of_recipients: usize = recipients.iter().map(|address| address.len() + size_of::<String>()).sum();
    let of_parts = parts.iter().map(|part| {
        let found = match &part.disposition {
            Disposition::Found(verdict) => verdict_bytes(verdict),
            _ => 0,
        };
        part.name.as_ref().map_or(0, String::len) + part.media_type.len() + found + BESIDE
    });
    BESIDE + of_client + of_envelope + of_recipients + of_parts.sum::<usize>()
}

impl Clerk {
    /// Stores records until the last [`Recorder`] is dropped and all is written.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.mails.recv_many(&mut batch, BATCH).await > 0 {
            let now = (self.hub.now_ms(), Instant::now());
            let records: Vec<_> = batch.iter().map(|mail| record_of(mail, now, &self.host)).collect();
            self.store(&records).await;
            let few = batch.len() < BATCH;
            batch.clear();
            if few && !self.mails.is_closed() {
                tokio::time::sleep(GATHERING).await;
            }
        }
    }

    async fn store(&self, records: &[MailRecord]) {
        let mut tries = 1;
        while let Err(error) = self.hub.record(records).await {
            let may_pass = !matches!(error, HubError::Unusable(_));
            if !may_pass || tries == TRIES || self.mails.is_closed() {
                self.observer.metrics.records_dropped(records.len());
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    records = records.len(),
                    "Records not stored"
                );
                return;
            }
            tries += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The record of a mail. `now` is the hub's time in milliseconds, and the moment at which it was asked.
fn record_of(mail: &Mail, (now_ms, asked): (u64, Instant), host: &str) -> MailRecord {
    let Mail { client, envelope, inspection, judge, .. } = mail;
    let ago = asked.saturating_duration_since(mail.decided).as_millis();
    let at_ms = now_ms.saturating_sub(u64::try_from(ago).unwrap_or(0));
    let left_out = mail.recipients > envelope.recipients.len();
    MailRecord {
        id: RecordId::at(at_ms),
        at_ms,
        host: host.to_owned(),
        // Fronts do not tell it yet.
        listener: String::new(),
        mta: client.mta.clone(),
        queue_id: envelope.queue_id.clone(),
        message_id: inspection.message_id.clone(),
        client_address: client.address,
        client_name: client.name.clone(),
        helo: client.helo.clone(),
        authenticated: envelope.authenticated.clone(),
        sender: envelope.sender.clone(),
        recipients: envelope.recipients.clone(),
        recipients_total: left_out.then_some(mail.recipients),
        size: inspection.size,
        troubles: inspection.troubles.iter().map(|trouble| trouble.cause().as_str().to_owned()).collect(),
        malformed: inspection.malformed.map(|malformed| Malformed::as_str(malformed).to_owned()),
        ambiguities: inspection.ambiguities.iter().map(|kind| Ambiguity::as_str(*kind).to_owned()).collect(),
        parts: inspection.parts.iter().map(part_of).collect(),
        parts_total: None,
        policy: Some(judge.policy),
        passive: judge.mode == Mode::Passive,
        action: inspection.decision.action.as_str().to_owned(),
        cause: inspection.decision.cause.as_str().to_owned(),
        total_ms: u64::try_from(inspection.duration.as_millis()).unwrap_or(u64::MAX),
    }
}

fn part_of(part: &Inspected) -> PartRecord {
    PartRecord {
        digest: part.key.as_ref().map(|key| key.digest),
        hint: part.key.as_ref().map(|key| key.hint.clone()),
        name: part.name.clone(),
        media_type: part.media_type.clone(),
        size: part.size,
        disposition: part.disposition.as_str().to_owned(),
        reason: part.disposition.reason().map(short),
        source: part.source.as_str().to_owned(),
        verdict: part.verdict.as_deref().map(used),
    }
}

fn used(verdict: &Verdict) -> VerdictUsed {
    let rules = || verdict.findings.iter().flat_map(|finding| &finding.rules);
    let total: u64 =
        verdict.findings.iter().map(|finding| finding.rules_total.max(finding.rules.len() as u64)).sum();
    VerdictUsed {
        scanned_at: verdict.scanned_at,
        signatures: verdict.signatures.clone(),
        instance: verdict.instance.clone(),
        score: verdict.score(),
        rules: rules().take(RULES).map(|rule| short(&rule.name)).collect(),
        rules_total: (total > RULES as u64).then_some(total),
    }
}
