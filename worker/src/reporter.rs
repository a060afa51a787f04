// SPDX-License-Identifier: GPL-3.0-or-later
//! Reports the farm to the hub every few seconds: from all workers' reports follows the generation, and
//! operators see what each worker sees. What comes back is what the workers together know of their instances; the farm is
//! held to it. A report that fails is made up for by the next one; that the hub is away, those
//! say who need it for jobs.

use crate::farm::Farm;
use std::time::Duration;
use thundergate_common::{
    generation::{FarmReport, InstanceState},
    hub,
};
use tokio_util::sync::CancellationToken;

/// The time between two reports: milters learn of new signatures within 10 s.
const EVERY: Duration = Duration::from_secs(2);

/// Reports for `worker`, until `ended`.
pub(crate) async fn report(hub: &dyn hub::Worker, worker: &str, farm: &Farm, ended: &CancellationToken) {
    loop {
        let (at, instances, doubt) = (hub.now(), farm.reports(), farm.doubt());
        let report = FarmReport { worker: worker.to_owned(), at, instances, doubt };
        // Before the first probe nothing is known, and nothing to be told.
        let known = report.instances.iter().any(|instance| instance.state != InstanceState::Unheard);
        if known
            && let Some(Ok(oversight)) = ended.run_until_cancelled(hub.report(&report, farm.quorum())).await
        {
            farm.hold_to(&oversight);
        }
        // Jitter: the workers of a site shall not all report in the same moment.
        let pause = EVERY.mul_f64(0.9 + fastrand::f64() / 5.0);
        let news = tokio::time::timeout(pause, health_changes(farm));
        if ended.run_until_cancelled(news).await.is_none() {
            return;
        }
    }
}

/// Returns once the farm scans where it did not, or no longer does: milters wait for neither.
async fn health_changes(farm: &Farm) {
    let before = farm.scans();
    while farm.scans() == before {
        farm.changed().await;
    }
}
