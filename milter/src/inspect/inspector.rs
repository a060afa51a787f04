// SPDX-License-Identifier: GPL-3.0-or-later
//! What happens to one message, in one function: [`Gate::inspect`].
//!
//! 1. Mail that the policy trusts is not scanned.
//! 2. The message is taken apart and every part digested (off the reactor threads where it is large).
//! 3. The verdicts of all samples are looked up, or scanned for and awaited ([`crate::inspect::resolve`]).
//! 4. [`decide`] decides; in passive mode the decision is only logged.
//! 5. One line in the log, one more for each finding; receipts for the ledger.
//!
//! A panic anywhere in here is a bug, and a bug is a temporary failure: the sender keeps the message.

use crate::{
    config::{Config, Mode, Tag},
    inspect::{
        ledger::Ledger,
        resolve::{Asker, Resolver, Wanted},
    },
    mail::{
        envelope::{Client, Envelope},
        message::{Lost, Memory, Message},
    },
    observe::{metrics::Metrics, report, spans},
    outcome::inspection::{Inspected, Inspection, Malformed, short, troubles},
};
use bytes::Bytes;
use futures_util::FutureExt;
use std::{
    collections::HashSet,
    num::NonZeroUsize,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    thread::available_parallelism,
    time::Duration,
};
use thundergate_common::{
    sample::{HintStyle, NameHint, SampleKey},
    traces::Span,
    verdict::SkipReason,
};
use thundergate_extract::{Ambiguity, Bodies, Budget, Extraction, Part, Recall, extract_recalling};
use thundergate_policy::{
    Action, Cause, Decision, Disposition, Facts, On, Policy, Source, Trouble, Trust, decide,
};
use tokio::{sync::Semaphore, time::Instant};

/// Messages above this are taken apart on a thread of their own: digesting 2 MiB takes about 1 ms, and handing it over
/// and back costs a tenth of what a known one of 1 MiB takes.
const OFF_REACTOR_BYTES: usize = 2 << 20;

/// Everything that inspecting a message needs; one for the whole process, another one after each reload.
pub struct Gate {
    /// From verdicts and troubles to an action.
    pub policy: Policy,
    /// The failure table.
    pub on: On,
    /// Whose mail is not scanned.
    pub trust: Trust,
    /// Look-ups, scans, waiting.
    pub resolver: Resolver,
    /// What all messages in flight may use.
    pub memory: Memory,
    /// Who received what.
    pub ledger: Ledger,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Active or passive.
    pub mode: Mode,
    /// `scan.bodies`.
    pub bodies: Bodies,
    /// `scan.name_hint`.
    pub name_hint: HintStyle,
    /// `limits.parts` and the like.
    pub budget: Budget,
    /// Attachments that came before.
    recall: Recall,
    /// `limits.sample_bytes`.
    pub sample_bytes: u64,
    /// `limits.message_bytes`.
    pub message_bytes: usize,
    /// How often the MTA hears that we are still at it.
    pub progress: Duration,
    /// The header fields that a tagged message gets.
    pub tag: Tag,
    /// `log.findings`.
    pub findings: usize,
    /// Turns for taking large messages apart: as many as there are processors, so that the parts decoded meanwhile take
    /// memory for so many messages only.
    turns: Arc<Semaphore>,
}

impl Gate {
    /// The gate that `config` describes, with `resolver` behind it.
    pub fn new(
        config: &Config,
        policy: Policy,
        resolver: Resolver,
        ledger: Ledger,
        metrics: Arc<Metrics>,
    ) -> Self {
        metrics.configured(config);
        let limits = &config.limits;
        resolver.activity.configured(config);
        Self {
            policy,
            on: config.policy.on.clone(),
            trust: config.policy.trust.clone(),
            resolver,
            ledger,
            metrics,
            memory: Memory::new(limits.memory_bytes.as_u64()),
            mode: config.mode,
            bodies: config.scan.bodies,
            name_hint: config.scan.name_hint,
            budget: limits.budget(),
            recall: Recall::default(),
            sample_bytes: limits.sample_bytes.as_u64(),
            message_bytes: usize::try_from(limits.message_bytes.as_u64()).unwrap_or(usize::MAX),
            progress: config.wait.progress,
            tag: config.tag.clone(),
            findings: config.log.findings.expect("the defaults have it"),
            turns: Arc::new(Semaphore::new(available_parallelism().map_or(1, NonZeroUsize::get))),
        }
    }

    /// The same with another configuration: what is remembered, counted and taken stays. Messages under way keep the
    /// gate that they came to.
    pub fn reconfigured(&self, config: &Config, policy: Policy) -> Self {
        let resolver =
            Resolver { deadline: config.wait.deadline, poll: config.wait.poll, ..self.resolver.clone() };
        resolver.seats.resize(config.wait.sessions);
        self.memory.resize(config.limits.memory_bytes.as_u64());
        Self {
            memory: self.memory.clone(),
            recall: self.recall.clone(),
            turns: Arc::clone(&self.turns),
            ..Self::new(config, policy, resolver, self.ledger.clone(), Arc::clone(&self.metrics))
        }
    }

    /// Decides what happens to `message`, logs it and counts it.
    pub async fn inspect(&self, client: &Client, envelope: &Envelope, message: Message) -> Inspection {
        let began = Instant::now();
        let (size, forged) = (message.size, message.forged);
        let span = spans::message(&envelope.queue_id, size);
        let inspected = AssertUnwindSafe(self.look_at(client, envelope, message, &span)).catch_unwind().await;
        let mut inspection = inspected.unwrap_or_else(|_| {
            tracing::error!(queue.id = envelope.queue_id, "inspection panicked, the message is deferred");
            Inspection::of_a_bug()
        });
        inspection.size = size;
        inspection.forged = forged;
        inspection.trace_id = span.trace_id();
        inspection.duration = began.elapsed();
        inspection.action = match self.mode {
            Mode::Active => inspection.decision.action,
            Mode::Passive => Action::Accept,
        };
        self.metrics.decided(&inspection);
        self.resolver.activity.decided(&envelope.queue_id, &inspection);
        report::log(client, envelope, &inspection, self.mode, self.findings);
        spans::decided(&span, &inspection, self.mode);
        self.ledger.record(envelope, &inspection);
        inspection
    }

    async fn look_at(
        &self,
        client: &Client,
        envelope: &Envelope,
        message: Message,
        span: &Span,
    ) -> Inspection {
        let (bytes, mut share) = match message.bytes {
            Ok(bytes) => (bytes, message.share),
            Err(lost) => return self.of_a_lost_message(client, envelope, lost),
        };
        let message_id = report::message_id(&bytes);
        let extraction = self.take_apart(bytes.clone()).await;
        let removable = message.forged.are_removable();
        let malformed = extraction.malformed.map(Malformed::Exceeded);
        let malformed = malformed.or((!removable).then_some(Malformed::ForgedHeaders));
        if self.trust.covers(client.address, envelope.authenticated.as_deref()) {
            return self.trusted(message_id, extraction);
        }
        if !share.take(extraction.held_bytes) {
            return self.of_a_lost_message(client, envelope, Lost::Overload);
        }
        let mut parts: Vec<_> = extraction.skipped.iter().map(Inspected::skipped).collect();
        parts.extend(extraction.parts.iter().map(|part| self.undecided(part)));

        // Samples are decoded again only when they are submitted; they need memory beside the message, each once.
        let room = Mutex::new((share, HashSet::new()));
        let decode = |part: &Part| -> Option<Bytes> {
            let (share, counted) = &mut *room.lock().expect("nothing panics while it holds the share");
            if !counted.contains(&part.digest) {
                share.take(usize::try_from(part.size).ok()?).then(|| counted.insert(part.digest))?;
            }
            Some(part.content.bytes())
        };
        let mut seen = HashSet::new();
        let samples = extraction.parts.iter().filter(|part| part.size <= self.sample_bytes);
        let wanted = samples.map(|part| Wanted { key: self.key(part), part });
        let wanted: Vec<_> = wanted.filter(|want| seen.insert(want.key.clone())).collect();
        let asker = Asker { queue_id: &envelope.queue_id, source: &client.mta, span, bytes_of: &decode };
        let answers = self.resolver.resolve(&wanted, asker).await;
        for part in &mut parts {
            if let Some(answer) = part.key.as_ref().and_then(|key| answers.get(key)) {
                (part.disposition, part.source) = (answer.disposition.clone(), answer.source);
            }
        }
        self.conclude(message_id, parts, malformed, extraction.ambiguities)
    }

    async fn take_apart(&self, message: Bytes) -> Extraction {
        let (bodies, budget, recall) = (self.bodies, self.budget, self.recall.clone());
        let off_reactor = message.len() > OFF_REACTOR_BYTES;
        let extract = move || extract_recalling(&message, bodies, &budget, &recall);
        if !off_reactor {
            return extract();
        }
        let _turn = self.turns.acquire().await.expect("the semaphore is never closed");
        let extraction = tokio::task::spawn_blocking(extract).await;
        // A panic over there is a panic here: it ends in the same place.
        extraction.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    /// A sample without an answer; one that is too large will get none.
    fn undecided(&self, part: &Part) -> Inspected {
        let disposition = if part.size > self.sample_bytes {
            Disposition::Skipped(SkipReason::TooLarge)
        } else {
            Disposition::Pending
        };
        let key = Some(self.key(part));
        let (name, media_type) = (part.name.as_deref().map(short), short(&part.media_type));
        Inspected { name, media_type, size: part.size, key, disposition, source: Source::None }
    }

    fn key(&self, part: &Part) -> SampleKey {
        SampleKey { digest: part.digest, hint: NameHint::of(self.name_hint, part.name.as_deref()) }
    }

    fn conclude(
        &self,
        message_id: Option<String>,
        parts: Vec<Inspected>,
        malformed: Option<Malformed>,
        ambiguities: Vec<Ambiguity>,
    ) -> Inspection {
        let dispositions: Vec<_> = parts.iter().map(|part| part.disposition.clone()).collect();
        let troubles = troubles(malformed, &ambiguities);
        let facts = Facts { parts: &dispositions, troubles: &troubles };
        let decision = decide(facts, &self.policy, &self.on);
        Inspection { message_id, malformed, ambiguities, parts, ..Inspection::of(decision) }
    }

    fn trusted(&self, message_id: Option<String>, extraction: Extraction) -> Inspection {
        let all = extraction.skipped.iter().map(Inspected::skipped);
        let all = all.chain(extraction.parts.iter().map(|part| self.undecided(part)));
        let disposition = Disposition::Skipped(SkipReason::Trusted);
        let parts = all.map(|part| Inspected { disposition: disposition.clone(), ..part }).collect();
        let decision = Decision { action: Action::Accept, cause: Cause::Trusted };
        Inspection { message_id, parts, ..Inspection::of(decision) }
    }

    fn of_a_lost_message(&self, client: &Client, envelope: &Envelope, lost: Lost) -> Inspection {
        if self.trust.covers(client.address, envelope.authenticated.as_deref()) {
            return Inspection::of(Decision { action: Action::Accept, cause: Cause::Trusted });
        }
        let trouble = match lost {
            Lost::Oversize => Trouble::Oversize,
            Lost::Overload => Trouble::Overload,
        };
        let facts = Facts { parts: &[], troubles: &[trouble] };
        Inspection::of(decide(facts, &self.policy, &self.on))
    }
}
