// SPDX-License-Identifier: GPL-3.0-or-later
//! The scanner inside this process: a worker over an in-process hub, with the same semantics as over Redis. It is the
//! whole gateway where there is no `[redis]`, and the fallback where Redis is unreachable and `[farm]` is configured.
//! The only file of the milter that knows the worker.

use prometheus_client::registry::Registry;
use std::{sync::Arc, time::Duration};
use thundergate_common::{
    admin::backend::Reports,
    config::Farm,
    freshness::Cache,
    hub::{Queue, memory::MemoryHub},
};
use thundergate_worker::{
    Worker,
    containers::Open,
    farm,
    memory::Memory,
    oversee::Canary,
    thunderstorm::{complaint::Complaint, settings::SetupError},
};
use tokio_util::sync::CancellationToken;

/// A worker and the hub it serves.
pub(crate) struct Standalone {
    hub: Arc<MemoryHub>,
    worker: Worker,
}

/// The farm of a worker that may run already.
pub struct Scanners(Arc<farm::Farm>);

impl Scanners {
    /// From now on they are those of `farm`; scans that run are finished.
    ///
    /// # Errors
    ///
    /// HTTP cannot be set up as `farm` says; all stays as it is.
    pub fn reconfigure(&self, farm: &Farm) -> Result<(), SetupError> {
        self.0.reconfigure(farm).map(drop)
    }
}

impl Scanners {
    /// Waits until one of them scans, or until it is known that none does, for `patience` at most.
    ///
    /// # Errors
    ///
    /// What is wrong with each of them.
    pub async fn first_look(&self, patience: Duration) -> Result<(), Vec<String>> {
        let told = |(instance, Complaint { text, cure, .. })| format!("{instance}: {text}\n  -> {cure}");
        self.0.first_look(patience).await.map_err(|all| all.into_iter().map(told).collect())
    }
}

impl Standalone {
    /// A worker for `farm`; it scans once [`Standalone::run`] is called.
    pub(crate) fn new(
        farm: &Farm,
        queue: &Queue,
        cache: &Cache,
        open: &Open,
        registry: &mut Registry,
    ) -> Result<Self, SetupError> {
        let hub = MemoryHub::new(queue, cache);
        let worker = Worker::new(hub.clone(), hub.clone(), farm, queue, Memory::shared(), open, registry)?;
        Ok(Self { hub, worker })
    }

    /// It looks after its scanners with this canary. Beside Redis the workers do.
    pub(crate) fn overseeing(self, canary: &Canary) -> Self {
        Self { worker: self.worker.overseeing(canary), ..self }
    }

    /// Where its samples and verdicts meet.
    pub(crate) fn hub(&self) -> Arc<MemoryHub> {
        Arc::clone(&self.hub)
    }

    /// Its scanners.
    pub(crate) fn scanners(&self) -> Scanners {
        Scanners(self.worker.farm())
    }

    /// How they are.
    pub(crate) fn reports(&self) -> Reports {
        let farm = self.worker.farm();
        Arc::new(move || farm.reports())
    }

    /// Says whether the scanner can work now, and if not, why.
    pub(crate) fn health(&self) -> impl Fn() -> Result<(), String> + Send + Sync + use<> {
        self.worker.health()
    }

    /// Scans until `drain`, then finishes what runs, until `leave` at the latest.
    pub(crate) async fn run(self, drain: CancellationToken, leave: CancellationToken) {
        self.worker.run(drain, leave).await;
    }
}
