// SPDX-License-Identifier: GPL-3.0-or-later
//! Whose fault a failed scan was, and what follows for the instance.

use super::{Instance, Whose};
use crate::{
    farm::with_causes,
    farm::{
        proof::{self, Proof},
        standing::{Condition, Proved},
    },
    thunderstorm::error::{CallError, Meaning},
};
use std::time::{Duration, Instant};

/// A proof may take so many times as long as scans do at the moment: a busy scanner is slow, not broken.
const PROOF_SCANS: u32 = 8;
/// How long a proof may take at an instance that gets no samples yet.
const FIRST_PROOF: Duration = Duration::from_secs(20);
/// How long an instance that is too busy for the proof is asked again, where a sample would be blamed wrongly.
const BUSY_PATIENCE: Duration = Duration::from_secs(10);

impl Instance {
    /// Whose fault a failed scan was. `ended` is when it failed.
    pub(super) async fn whose(&self, error: &CallError, bytes: u64, ended: Instant) -> Whose {
        match (error.meaning(), error) {
            (Meaning::Busy, CallError::Busy { pause, .. }) => self.busy(*pause),
            (Meaning::TooLarge, _) => self.too_large(bytes),
            (Meaning::Unreachable, _) => {
                let mut condition = self.lock();
                let opened = condition.breaker.unreachable(Instant::now());
                self.failed(&mut condition, error, opened);
                return Whose::Instance;
            }
            (Meaning::Lost | Meaning::Refused, _) => {
                return match self.prove(ended, BUSY_PATIENCE).await {
                    Proof::Passed => Whose::Sample,
                    Proof::Failed => Whose::Instance,
                    Proof::Busy => Whose::Unknown,
                };
            }
            (Meaning::Busy | Meaning::Moved, _) => {}
        }
        Whose::Nobody
    }

    fn busy(&self, pause: Option<Duration>) {
        let now = Instant::now();
        let mut condition = self.lock();
        // This one is in flight still.
        let others = self.in_flight().saturating_sub(1);
        condition.limit.refused(others, now);
        if others == 0 {
            condition.breaker.busy(pause, now);
        }
    }

    fn too_large(&self, bytes: u64) {
        let now = Instant::now();
        let mut condition = self.lock();
        if condition.takes(bytes, now) {
            tracing::warn!(
                farm.instance = self.name,
                sample.size_bytes = bytes,
                "An instance, or a proxy before it, refuses a sample for its size (413); it gets none as large for a \
                 while"
            );
        }
        condition.refuse(bytes, now);
    }

    /// Takes note of a failure of the instance. Where that `opened` the breaker, what is in flight moves elsewhere.
    pub(super) fn failed(&self, condition: &mut Condition, error: &CallError, opened: bool) {
        let reason = with_causes(error);
        if opened {
            tracing::warn!(
                farm.instance = self.name,
                error = reason,
                "An instance failed too often and gets no samples until it answers again"
            );
            self.standing.moves.send_modify(|moves| *moves += 1);
        }
        condition.last_error = Some(reason);
    }

    /// Whether the instance scans a known sample, as it was at or after `since`. One proof serves all who wait for it; a
    /// busy instance is asked again for `patience`.
    pub(super) async fn prove(&self, since: Instant, patience: Duration) -> Proof {
        let known = || {
            let proved = self.lock().proved.filter(|proved| proved.began >= since)?;
            (proved.proof != Proof::Busy || patience.is_zero()).then_some(proved.proof)
        };
        if let Some(proof) = known() {
            return proof;
        }
        let _proving = self.standing.proving.lock().await;
        if let Some(proof) = known() {
            return proof;
        }
        let began = Instant::now();
        let limit = self.proof_limit(began);
        let outcome = proof::scan_known(&self.client, limit, patience.min(self.settings.timeout)).await;
        let mut condition = self.lock();
        let proof = self.note_proof(&mut condition, outcome);
        condition.proved = Some(Proved { began, took: began.elapsed(), proof });
        proof
    }

    /// How long a proof may take. Where samples are in flight they wait for it; an instance that gets none has time.
    fn proof_limit(&self, now: Instant) -> Duration {
        let condition = self.lock();
        if condition.breaker.wants_proof(now) {
            return FIRST_PROOF.min(self.settings.timeout);
        }
        let last = condition.proved.map(|proved| proved.took);
        let usual = condition.latency.average().max(last).unwrap_or_default();
        usual.saturating_mul(PROOF_SCANS).max(self.client.probe_timeout()).min(self.settings.timeout)
    }

    fn note_proof(&self, condition: &mut Condition, outcome: Result<(), CallError>) -> Proof {
        let now = Instant::now();
        let (closed, proof) = match outcome {
            Ok(()) => (condition.breaker.proved(now), Proof::Passed),
            Err(CallError::Busy { .. }) => (condition.breaker.too_busy_for_proof(now), Proof::Busy),
            Err(error) => {
                let opened = match error.meaning() {
                    Meaning::Unreachable => condition.breaker.gone(now),
                    _ => condition.breaker.disproved(now),
                };
                self.failed(condition, &error, opened);
                (false, Proof::Failed)
            }
        };
        if closed {
            condition.last_error = None;
            tracing::info!(farm.instance = self.name, "An instance is available");
        }
        proof
    }
}
