// SPDX-License-Identifier: GPL-3.0-or-later
//! What stands behind the API in this process, and how it does what an [`Order`] says. It knows nothing of HTTP.

use super::{order::Order, refusal::Refusal, retold};
use crate::{
    api::{Answers, Endpoint, check::Checker, farm::Farm, queue, verdicts},
    clock::now,
    generation::InstanceReport,
    hub::{DeadLetter, HubError, KnownSample, Operator, Retried},
    record::{queue_id::Decisions, seen::Sought},
    sample::SampleKey,
    terminal,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// Dead letters in an answer: more than are kept.
const ALL_LETTERS: usize = 100_000;

/// Mails in an answer that says who got a sample.
const MAILS: usize = 1000;

/// Mails with one queue id.
const DECISIONS: usize = 20;

/// Samples that the hub is asked for at a time.
const AT_ONCE: usize = 16;

/// How long an order may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a check may take: its parts have time-outs of their own.
const PATIENCE_FOR_CHECKS: Duration = Duration::from_secs(300);

/// What the scanners of this process are like now.
pub type Reports = Arc<dyn Fn() -> Vec<InstanceReport> + Send + Sync>;

/// What stands behind the API in this process.
#[derive(Clone, Default)]
pub struct Backend {
    /// Queue, verdicts, records; none in a milter of a cluster.
    pub hub: Option<Arc<dyn Operator>>,
    /// Scanners, where this process has any.
    pub farm: Option<Reports>,
    /// What looks for what is wrong.
    pub checker: Option<Arc<dyn Checker>>,
}

impl Backend {
    /// Whether this process has what answers an endpoint.
    pub(super) fn offers(&self, endpoint: &Endpoint) -> Result<(), Refusal> {
        match endpoint.answers {
            Answers::Hub if self.hub.is_none() => Err(not_here()),
            Answers::All if self.checker.is_none() => Err(Refusal::nothing_there()),
            _ => Ok(()),
        }
    }

    /// Does what `order` says. The answer is JSON.
    pub(super) async fn carry_out(&self, order: Order) -> Result<String, Refusal> {
        if let Order::Check(wanted) = order {
            let Some(checker) = &self.checker else { return Err(Refusal::nothing_there()) };
            let deadline = Instant::now() + PATIENCE_FOR_CHECKS;
            return written(&in_time(deadline, async { Ok(checker.check(wanted).await) }).await?);
        }
        let hub = self.hub.as_deref().ok_or_else(not_here)?;
        let desk = Desk { hub, deadline: Instant::now() + PATIENCE };
        match order {
            Order::Queue => written(&desk.queue().await?),
            Order::Retry(letters) => written(&desk.retry(letters.ids).await?),
            Order::Drop(letters) => written(&desk.drop(letters.ids).await?),
            Order::Farm => {
                let own = self.farm.as_ref().map(|farm| farm()).unwrap_or_default();
                written(&Farm::of(own, &desk.ask(hub.farm()).await?))
            }
            Order::Generation => {
                desk.ask(hub.ping()).await?;
                written(&verdicts::Generation::from(&*hub.generation()))
            }
            Order::Bump(_) => written(&verdicts::Generation::from(&desk.ask(hub.bump()).await?)),
            Order::Verdicts(sought) => written(&desk.verdicts(&sought).await?),
            Order::Forget { sought, .. } => written(&desk.forget(sought).await?),
            Order::Seen { sought, .. } => written(&retold::seen(desk.ask(hub.seen(&sought, MAILS)).await?)),
            Order::Why(queue_id) => written(&desk.why(&queue_id).await?),
            Order::Check(_) => Err(Refusal::nothing_there()),
        }
    }
}

/// This process has no hub that people could ask.
fn not_here() -> Refusal {
    Refusal::elsewhere(
        "this milter only decides: queue, verdicts and records are the workers', ask one of them",
    )
}

fn written(answer: &impl Serialize) -> Result<String, Refusal> {
    Ok(terminal::json(answer, false).expect("texts and numbers always serialise") + "\n")
}

async fn in_time<T>(deadline: Instant, work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    let late = |_| Refusal::unavailable("it took too long: the hub is slow, or much is asked; try it again");
    timeout_at(deadline, work).await.map_err(late)?
}

/// One order at the hub.
struct Desk<'a> {
    hub: &'a dyn Operator,
    deadline: Instant,
}

impl Desk<'_> {
    async fn ask<T>(&self, asking: impl Future<Output = Result<T, HubError>>) -> Result<T, Refusal> {
        let refused = |error: HubError| Refusal::hub(&error, self.hub.trouble().as_deref());
        in_time(self.deadline, async { asking.await.map_err(refused) }).await
    }

    async fn queue(&self) -> Result<queue::Queue, Refusal> {
        let (queue, letters) =
            (self.ask(self.hub.queue()).await?, self.ask(self.hub.dead_letters(ALL_LETTERS)).await?);
        Ok(queue::Queue { queue, dead_letters: letters.iter().map(queue::Letter::from).collect() })
    }

    /// The letters with these names, each once, and the names that no letter has.
    async fn letters(&self, ids: Vec<String>) -> Result<(Vec<DeadLetter>, Vec<String>), Refusal> {
        let all = self.ask(self.hub.dead_letters(ALL_LETTERS)).await?;
        let mut by_id: HashMap<String, DeadLetter> =
            all.into_iter().map(|letter| (letter.id.clone(), letter)).collect();
        let ids: BTreeSet<String> = ids.into_iter().collect();
        let (mut found, mut unknown) = (Vec::new(), Vec::new());
        for id in ids {
            match by_id.remove(&id) {
                Some(letter) => found.push(letter),
                None => unknown.push(id),
            }
        }
        Ok((found, unknown))
    }

    async fn retry(&self, ids: Vec<String>) -> Result<queue::Retried, Refusal> {
        let (letters, unknown) = self.letters(ids).await?;
        let mut retried = queue::Retried { unknown, ..queue::Retried::default() };
        for letter in letters {
            let outcome = self.ask(self.hub.retry(&letter)).await;
            match outcome.map_err(|refusal| refusal.after(format!("{} are queued", retried.queued)))? {
                Retried::Queued => retried.queued += 1,
                Retried::BytesGone => retried.bytes_gone.push(letter.id),
                Retried::Unknown => retried.unknown.push(letter.id),
            }
        }
        Ok(retried)
    }

    async fn drop(&self, ids: Vec<String>) -> Result<queue::Dropped, Refusal> {
        let (letters, unknown) = self.letters(ids).await?;
        let mut dropped = queue::Dropped { dropped: 0, unknown };
        for letter in letters {
            let outcome = self.ask(self.hub.drop_letter(&letter)).await;
            match outcome.map_err(|refusal| refusal.after(format!("{} are dropped", dropped.dropped)))? {
                true => dropped.dropped += 1,
                false => dropped.unknown.push(letter.id),
            }
        }
        Ok(dropped)
    }

    async fn verdicts(&self, sought: &Sought) -> Result<verdicts::Known, Refusal> {
        let known = self.ask(self.hub.known(sought)).await?;
        let generation = self.hub.generation();
        let mut told = verdicts::Known::default();
        for KnownSample { key, verdict, failed } in &known {
            told.verdicts.extend(verdict.as_ref().map(|it| verdicts::Verdict::of(key, it, &generation)));
            // A mere suspicion is no failure.
            let failed = failed.as_ref().filter(|failed| failed.until > 0);
            told.failed.extend(failed.map(|it| verdicts::Failed::of(key, it)));
        }
        Ok(told)
    }

    async fn forget(&self, sought: Sought) -> Result<verdicts::Forgotten, Refusal> {
        let keys: Vec<SampleKey> = match sought.hint {
            Some(hint) => vec![SampleKey { digest: sought.digest, hint }],
            None => self.ask(self.hub.known(&sought)).await?.into_iter().map(|known| known.key).collect(),
        };
        let mut forgotten = 0;
        for key in keys {
            let outcome = self.ask(self.hub.forget(&key)).await;
            let gone = outcome.map_err(|refusal| refusal.after(format!("{forgotten} are forgotten")))?;
            forgotten += usize::from(gone);
        }
        Ok(verdicts::Forgotten { forgotten })
    }

    async fn why(&self, queue_id: &str) -> Result<crate::api::mails::Story, Refusal> {
        let decisions = self.ask(self.hub.decisions(queue_id, DECISIONS)).await?;
        let known = self.known_of(&decisions).await?;
        let now = now();
        Ok(retold::story(decisions, &known, &self.hub.generation(), now))
    }

    /// What is known now of each sample of these mails.
    async fn known_of(&self, decisions: &Decisions) -> Result<BTreeMap<SampleKey, KnownSample>, Refusal> {
        let parts = decisions.mails.iter().flat_map(|mail| &mail.parts);
        let keys: BTreeSet<SampleKey> = parts.filter_map(|part| part.sample()).collect();
        let look = |key: SampleKey| async move {
            let sought = Sought { digest: key.digest, hint: Some(key.hint) };
            self.ask(self.hub.known(&sought)).await
        };
        let known: Vec<Vec<KnownSample>> =
            stream::iter(keys).map(look).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(known.into_iter().flatten().map(|known| (known.key.clone(), known)).collect())
    }
}
