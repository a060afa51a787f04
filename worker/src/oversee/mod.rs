// SPDX-License-Identifier: GPL-3.0-or-later
//! Looks after the instances for all workers: one of them at a time does, the one that the hub lets lead.
//!
//! 1. Every few seconds it takes note of what all workers report: who is behind with signatures.
//! 2. Every `canary.every`, and when an instance appears, each instance that gets samples, or would if it were not blind,
//!    is sent a [`canary`]. One that answers and finds nothing is blind; where all that answer find nothing, the canary is
//!    in doubt. One that does not answer is neither: that is the breaker's business.
//! 3. Then it finds out how large a file each scans ([`size`]), once for each version of THOR and `farm.max_file_bytes`.
//! 4. What it found out goes to the hub, and only then to the log. Workers hold their instances to it with their next
//!    report, milters learn which clean verdicts are stale.
//!
//! What the rules are is in [`oversight`](thundergate_common::oversight). A leader that fails loses nothing: the next one
//! reads what it left. Metrics: `thundergate_farm_canary_in_doubt`, and what the instances' reports hold.

mod archive;
mod canary;
mod eicar;
mod log;
mod size;

pub use canary::Canary;

use crate::farm::Farm;
use canary::Sent;
use futures_util::future::join_all;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};
use thundergate_common::{
    generation::{InstanceReport, InstanceState},
    hub::{self, HubError, Observer},
    oversight::{Oversight, Round, SizeLimit},
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The time between two looks.
const EVERY: Duration = Duration::from_secs(2);
/// For how long one leads without renewing it.
const LEAD: Duration = Duration::from_secs(30);
/// An instance that has not answered a canary after so long does not answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What looking after the instances takes.
pub(crate) struct Overseer {
    /// Where it is kept.
    pub hub: Arc<dyn hub::Worker>,
    /// Where all reports are.
    pub observer: Arc<dyn Observer>,
    /// This worker's.
    pub worker: String,
    /// The instances.
    pub farm: Arc<Farm>,
    /// The sample.
    pub canary: Canary,
    /// What this process knows of its own rounds.
    pub memory: Mutex<Memory>,
}

/// What a leader remembers from one look to the next. A new one begins with what the hub has.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Who was there at the last look.
    present: Option<BTreeSet<String>>,
    /// Whose size was tried since the last round, and for which version of THOR and `farm.max_file_bytes`.
    tried: BTreeMap<String, (Option<String>, u64)>,
}

impl Overseer {
    /// Looks again and again, until `ended`. What fails is done again at the next look.
    pub(crate) async fn watch(&self, ended: &CancellationToken) {
        loop {
            match ended.run_until_cancelled(self.hub.lead(&self.worker, LEAD)).await {
                None => return,
                Some(Ok(true)) => {
                    let _ = ended.run_until_cancelled(self.leading(self.look())).await;
                }
                Some(_) => *self.memory() = Memory::default(),
            }
            let pause = tokio::time::sleep(EVERY.mul_f64(0.9 + fastrand::f64() / 5.0));
            if ended.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }

    /// Goes on leading while `work` takes its time.
    async fn leading<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            if let Ok(done) = timeout(LEAD / 3, work.as_mut()).await {
                return done;
            }
            // Where that fails another worker may lead as well for a while, which finds out the same.
            let _ = self.hub.lead(&self.worker, LEAD).await;
        }
    }

    async fn look(&self) -> Result<(), HubError> {
        let before = self.hub.oversight().await?;
        let mut oversight = before.clone();
        let reports = self.observer.farm().await?;
        let mut news = oversight.observe(&reports, self.hub.now(), self.farm.lag());
        let instances = self.asked();
        if self.is_due(&oversight, &instances) {
            news.extend(self.round(&mut oversight, &instances).await);
        }
        // Before the sizes, which take longer.
        self.keep(&before, &oversight).await?;
        news.iter().for_each(log::tell);
        if !self.canary.every.is_zero() {
            for instance in &instances {
                self.try_size(&mut oversight, instance).await?;
            }
        }
        Ok(())
    }

    async fn keep(&self, before: &Oversight, after: &Oversight) -> Result<(), HubError> {
        if before == after { Ok(()) } else { self.hub.oversee(after).await }
    }

    /// Those that are sent canaries, as this worker sees them.
    fn asked(&self) -> Vec<InstanceReport> {
        let asked = |report: &InstanceReport| {
            matches!(report.state, InstanceState::Closed | InstanceState::Paused | InstanceState::Blind)
        };
        self.farm.reports().into_iter().filter(asked).collect()
    }

    /// Whether an instance has appeared, or the last round is long ago.
    fn is_due(&self, oversight: &Oversight, instances: &[InstanceReport]) -> bool {
        let names: BTreeSet<String> = instances.iter().map(|instance| instance.name.clone()).collect();
        let before = self.memory().present.replace(names.clone());
        if self.canary.every.is_zero() || names.is_empty() {
            return false;
        }
        let appeared = before.is_some_and(|before| !names.is_subset(&before));
        let now = self.hub.now();
        let asked = |name: &String| oversight.instances.get(name).and_then(|known| known.asked);
        let long_ago = |name| asked(name).is_none_or(|at| at + self.canary.every.as_secs() <= now);
        appeared || names.iter().any(long_ago)
    }

    /// A canary to each at once.
    async fn round(
        &self,
        oversight: &mut Oversight,
        instances: &[InstanceReport],
    ) -> Vec<thundergate_common::oversight::News> {
        self.memory().tried.clear();
        let sent = self.hub.now();
        let sample = match self.canary.sample().await {
            Ok(sample) => sample,
            Err(error) => {
                log::no_canary(&error);
                Sent::eicar()
            }
        };
        let answers = instances.iter().map(|instance| self.ask(&instance.name, &sample));
        let answers = join_all(answers).await.into_iter().flatten().collect();
        for instance in instances {
            oversight.instances.entry(instance.name.clone()).or_default().asked = Some(sent);
        }
        oversight.judge(&Round { sent, ended: self.hub.now(), answers })
    }

    /// Whether an instance finds the canary; none where it does not answer.
    async fn ask(&self, instance: &str, canary: &Sent) -> Option<(String, bool)> {
        let sample = canary.fresh();
        let answer = timeout(PATIENCE, self.farm.check(instance, &sample, canary::SOURCE)).await;
        let findings = answer.ok()?.ok()?;
        Some((instance.to_owned(), !findings.is_empty()))
    }

    /// Finds out how large a file an instance scans, where that is not known.
    async fn try_size(&self, oversight: &mut Oversight, instance: &InstanceReport) -> Result<(), HubError> {
        let (thor, configured) = (instance.thor.clone(), self.farm.largest());
        let is_of = |size: &SizeLimit| size.configured == configured && size.thor == thor;
        let tried = || self.memory().tried.get(&instance.name) == Some(&(thor.clone(), configured));
        if oversight.size(&instance.name).is_some_and(is_of) || tried() {
            return Ok(());
        }
        self.memory().tried.insert(instance.name.clone(), (thor.clone(), configured));
        let Some((bytes, proved)) = size::try_out(&self.farm, &instance.name, configured).await else {
            return Ok(());
        };
        let known = oversight.instances.entry(instance.name.clone()).or_default();
        known.size = Some(SizeLimit { bytes, proved, configured, thor });
        self.hub.oversee(oversight).await?;
        log::size(&instance.name, bytes, proved, configured);
        Ok(())
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().expect("nothing panics while it holds the memory")
    }
}
