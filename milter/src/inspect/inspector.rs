// SPDX-License-Identifier: GPL-3.0-or-later
//! What happens to one message, in one function: [`Gate::inspect`].
//!
//! 1. Mail that the policy trusts is not scanned.
//! 2. The message is taken apart and every part digested (off the reactor threads where it is large).
//! 3. The verdicts of all samples are looked up, or scanned for and awaited ([`crate::inspect::resolve`]).
//! 4. [`decide`] decides; in passive mode the decision is only logged.
//! 5. One line in the log, one more for each finding; a record for people. What is delivered unscanned is owed a scan.
//!
//! A panic anywhere in here is a bug, and a bug is a temporary failure: the sender keeps the message.

use crate::{
    inspect::{
        believed::Believed,
        records::{Judge, Recorder},
        resolve::{Asker, Resolver, Wanted},
        settings::{Scan, Wait},
    },
    mail::{
        envelope::{Client, Envelope},
        limits::Limits,
        message::{Lost, Memory, Message},
    },
    observe::{
        observer::{Decided, Observer},
        report, spans,
    },
    outcome::{
        inspection::{Inspected, Inspection, Malformed, short, troubles},
        settings::{Mode, Tag},
    },
};
use bytes::Bytes;
use futures_util::FutureExt;
use std::{
    collections::HashSet,
    num::NonZeroUsize,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    thread::available_parallelism,
};
use thundergate_common::{
    clock,
    sample::{NameHint, SampleKey},
    traces::Span,
    verdict::SkipReason,
};
use thundergate_extract::{Ambiguity, Extraction, Part, Recall, extract_recalling, passwords};
use thundergate_policy::{
    Action, Cause, Decision, Disposition, Facts, Failure, Policy, PolicyConfig, Source, Trouble, decide,
};
use tokio::{sync::Semaphore, time::Instant};

/// Messages above this are taken apart on a thread of their own: digesting 2 MiB takes about 1 ms, and handing it over
/// and back costs a tenth of what a known one of 1 MiB takes.
const OFF_REACTOR_BYTES: usize = 2 << 20;

/// Everything that inspecting a message needs; one for the whole process, another one after each reload.
pub struct Gate {
    /// From verdicts and troubles to an action.
    pub policy: Policy,
    /// Look-ups, scans, waiting.
    pub resolver: Resolver,
    /// What all messages in flight may use.
    pub memory: Memory,
    /// Keeps what people ask later.
    pub recorder: Recorder,
    /// Is told of every decision.
    pub observer: Arc<Observer>,
    /// What the configuration says of messages.
    pub settings: Settings,
    /// By what mails are decided, for their records.
    judge: Judge,
    /// Mails that clean verdicts let through.
    pub(crate) believed: Believed,
    /// Attachments that came before.
    recall: Recall,
    /// Turns for taking large messages apart: as many as there are processors, so that the parts decoded meanwhile take
    /// memory for so many messages only.
    turns: Arc<Semaphore>,
}

/// What the configuration says of messages.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether decisions are carried out.
    pub mode: Mode,
    /// What is a sample.
    pub scan: Scan,
    /// The failure table, and whose mail is not scanned.
    pub policy: PolicyConfig,
    /// How long a message waits.
    pub wait: Wait,
    /// What a message may take.
    pub limits: Limits,
    /// The mark of a tagged message.
    pub tag: Tag,
    /// `log.findings`.
    pub findings: usize,
}

impl Gate {
    /// The gate that `settings` describe, `policy` compiled, with `resolver` behind it.
    pub fn new(
        settings: Settings,
        policy: Policy,
        resolver: Resolver,
        recorder: Recorder,
        observer: Arc<Observer>,
    ) -> Self {
        let judge = Judge::of(&settings.policy, settings.mode);
        observer.configured(settings.mode, settings.wait.sessions, settings.wait.deadline);
        let shares = resolver.shares.with(&settings.limits);
        Self {
            policy,
            resolver: Resolver { shares, ..resolver },
            recorder,
            judge,
            observer,
            memory: Memory::new(settings.limits.memory_bytes.as_u64()),
            believed: Believed::default(),
            recall: Recall::default(),
            settings,
            turns: Arc::new(Semaphore::new(available_parallelism().map_or(1, NonZeroUsize::get))),
        }
    }

    /// The same with other settings: what is remembered, counted and taken stays. Messages under way keep the gate that
    /// they came to.
    pub(crate) fn reconfigured(&self, settings: Settings, policy: Policy) -> Self {
        let wait = &settings.wait;
        let resolver = Resolver { deadline: wait.deadline, poll: wait.poll, ..self.resolver.clone() };
        resolver.seats.resize(wait.sessions);
        self.memory.resize(settings.limits.memory_bytes.as_u64());
        Self {
            memory: self.memory.clone(),
            believed: self.believed.clone(),
            recall: self.recall.clone(),
            turns: Arc::clone(&self.turns),
            ..Self::new(settings, policy, resolver, self.recorder.clone(), Arc::clone(&self.observer))
        }
    }

    /// The largest message that is kept, in bytes.
    pub fn message_bytes(&self) -> usize {
        usize::try_from(self.settings.limits.message_bytes.as_u64()).unwrap_or(usize::MAX)
    }

    /// Decides what happens to `message`, logs it and counts it.
    pub async fn inspect(&self, client: &Client, envelope: &Envelope, message: Message) -> Arc<Inspection> {
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
        inspection.action = match self.settings.mode {
            Mode::Active => inspection.decision.action,
            Mode::Passive => Action::Accept,
        };
        self.observer.decided(Decided {
            client,
            envelope,
            inspection: &inspection,
            mode: self.settings.mode,
            findings: self.settings.findings,
            span: &span,
        });
        self.owe(envelope, &inspection).await;
        let inspection = Arc::new(inspection);
        self.recorder.record(client, envelope, &inspection, self.judge);
        self.believed.note(&envelope.queue_id, &inspection, clock::now());
        inspection
    }

    /// What is delivered although its scan failed or is still to come.
    async fn owe(&self, envelope: &Envelope, inspection: &Inspection) {
        if !matches!(inspection.action, Action::Accept | Action::Tag) {
            return;
        }
        let mut owed = Vec::new();
        for part in &inspection.parts {
            let is_owed = matches!(
                part.disposition,
                Disposition::Pending | Disposition::Failed(Failure::Scan(_) | Failure::NoScanner(_))
            );
            if let Some(key) = part.key.as_ref().filter(|_| is_owed) {
                owed.push(key.clone());
            }
        }
        if !owed.is_empty() {
            self.resolver.owe(&owed, &envelope.queue_id).await;
        }
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
        if self.settings.policy.trust.covers(client.address, envelope.authenticated.as_deref()) {
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
        let samples = extraction.parts.iter().filter(|part| part.size <= self.sample_bytes());
        let wanted = samples.map(|part| Wanted { key: self.key(part), part });
        let wanted: Vec<_> = wanted.filter(|want| seen.insert(want.key.clone())).collect();
        let passwords = || {
            let all = passwords(&bytes, &extraction, &[]);
            all.iter().map(|candidate| candidate.as_str().into()).collect()
        };
        let asker = Asker { client, envelope, span, bytes_of: &decode, passwords: &passwords };
        let answers = self.resolver.resolve(&wanted, asker).await;
        for part in &mut parts {
            if let Some(answer) = part.key.as_ref().and_then(|key| answers.get(key)) {
                part.disposition = answer.disposition.clone();
                part.verdict = answer.verdict.clone();
                part.source = answer.source;
            }
        }
        self.conclude(message_id, parts, malformed, extraction.ambiguities)
    }

    async fn take_apart(&self, message: Bytes) -> Extraction {
        let Settings { scan, limits, .. } = &self.settings;
        let (bodies, budget, recall) = (scan.bodies, limits.budget(), self.recall.clone());
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
        let disposition = if part.size > self.sample_bytes() {
            Disposition::Skipped(SkipReason::TooLarge)
        } else {
            Disposition::Pending
        };
        let key = Some(self.key(part));
        Inspected {
            name: part.name.as_deref().map(short),
            within: part.within.as_deref().map(short),
            media_type: short(&part.media_type),
            unopened: part.unopened,
            size: part.size,
            key,
            disposition,
            verdict: None,
            source: Source::None,
        }
    }

    fn sample_bytes(&self) -> u64 {
        self.settings.limits.sample_bytes.as_u64()
    }

    fn key(&self, part: &Part) -> SampleKey {
        SampleKey {
            digest: part.digest,
            hint: NameHint::of(self.settings.scan.name_hint, part.name.as_deref()),
        }
    }

    fn conclude(
        &self,
        message_id: Option<String>,
        parts: Vec<Inspected>,
        malformed: Option<Malformed>,
        ambiguities: Vec<Ambiguity>,
    ) -> Inspection {
        let dispositions: Vec<_> = parts.iter().map(|part| part.disposition.clone()).collect();
        let troubles = troubles(malformed, &ambiguities, &parts);
        let facts = Facts { parts: &dispositions, troubles: &troubles };
        let decision = decide(facts, &self.policy, &self.settings.policy.on);
        Inspection { message_id, malformed, ambiguities, troubles, parts, ..Inspection::of(decision) }
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
        if self.settings.policy.trust.covers(client.address, envelope.authenticated.as_deref()) {
            return Inspection::of(Decision { action: Action::Accept, cause: Cause::Trusted });
        }
        let trouble = match lost {
            Lost::Oversize => Trouble::Oversize,
            Lost::Overload => Trouble::Overload,
        };
        let facts = Facts { parts: &[], troubles: &[trouble] };
        let decision = decide(facts, &self.policy, &self.settings.policy.on);
        Inspection { troubles: vec![trouble], ..Inspection::of(decision) }
    }
}
