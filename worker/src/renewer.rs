// SPDX-License-Identifier: GPL-3.0-or-later
//! Keeps the leases and claims of what is being scanned alive, all of them in one call, three times before another
//! worker would take them over. What is not renewed any more, because its delivery failed or its worker died, is
//! reclaimed.

use crate::{farm::with_causes, metrics::WorkerMetrics};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};
use thundergate_common::{
    hub::{self, Claim},
    job::Lane,
};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// The claims in this worker's hands.
#[derive(Debug, Default)]
pub(crate) struct Running(Mutex<(u64, HashMap<u64, Claim>)>);

impl Running {
    /// Adds `claim`; the number is for [`Running::remove`].
    pub(crate) fn insert(&self, claim: Claim) -> u64 {
        let mut running = self.lock();
        running.0 += 1;
        let number = running.0;
        running.1.insert(number, claim);
        number
    }

    /// Removes the claim with this number.
    pub(crate) fn remove(&self, number: u64) {
        self.lock().1.remove(&number);
    }

    /// All claims.
    pub(crate) fn all(&self) -> Vec<Claim> {
        self.lock().1.values().cloned().collect()
    }

    /// How many of them are of the background lane.
    pub(crate) fn background(&self) -> usize {
        self.lock().1.values().filter(|claim| claim.job.lane == Lane::Background).count()
    }

    /// All claims; none are left.
    pub(crate) fn take_all(&self) -> Vec<Claim> {
        self.lock().1.drain().map(|(_, claim)| claim).collect()
    }

    fn lock(&self) -> MutexGuard<'_, (u64, HashMap<u64, Claim>)> {
        self.0.lock().expect("nothing panics while it holds the claims")
    }
}

/// Renews what is `running` for `worker`, until `ended`.
pub(crate) async fn renew(
    hub: &dyn hub::Worker,
    worker: &str,
    running: &Running,
    every: Duration,
    metrics: &WorkerMetrics,
    ended: &CancellationToken,
) {
    let mut ticks = tokio::time::interval(every.max(Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut outage = false;
    while ended.run_until_cancelled(ticks.tick()).await.is_some() {
        let claims = running.all();
        if claims.is_empty() {
            continue;
        }
        match hub.renew(worker, &claims).await {
            Ok(()) => outage = false,
            Err(error) => {
                metrics.hub_errors.inc();
                metrics.renewal_failures.inc();
                if !std::mem::replace(&mut outage, true) {
                    tracing::warn!(
                        error = with_causes(&error),
                        "The hub does not renew what is being scanned; other workers may repeat it"
                    );
                }
            }
        }
    }
}
