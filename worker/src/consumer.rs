// SPDX-License-Identifier: GPL-3.0-or-later
//! Gets jobs from the hub: first what was left behind ([`reclaimer`](crate::reclaimer)), then the queue.
//!
//! A claim that is under way is never dropped while the worker lives, since its jobs would have an owner who does not
//! know of them: it is kept here between calls.
//!
//! An outage of the hub is logged when it begins and when it ends; between two tries there is up to a second, at random,
//! so that all workers of a site do not come back in the same moment.

use crate::{farm::with_causes, metrics::WorkerMetrics, reclaimer::Reclaimer};
use futures_util::future::BoxFuture;
use std::{sync::Arc, time::Duration};
use thundergate_common::hub::{Claim, Hub, HubError};

/// How long the hub waits for the first job.
const PATIENCE: Duration = Duration::from_secs(2);
/// The shortest and the longest pause after an error.
const PAUSE: (f64, f64) = (0.1, 1.0);

/// Gets jobs from the hub.
pub struct Consumer {
    /// Away while a claim is under way.
    source: Option<Source>,
    claiming: Option<BoxFuture<'static, (Source, Vec<Claim>)>>,
}

struct Source {
    hub: Arc<dyn Hub>,
    worker: String,
    reclaimer: Reclaimer,
    /// Errors in a row.
    errors: u32,
    metrics: WorkerMetrics,
}

impl Consumer {
    /// Gets jobs for `worker`.
    pub fn new(hub: Arc<dyn Hub>, worker: &str, metrics: WorkerMetrics) -> Self {
        let worker = worker.to_owned();
        let source = Source { hub, worker, reclaimer: Reclaimer::default(), errors: 0, metrics };
        Self { source: Some(source), claiming: None }
    }

    /// Whether a claim is under way.
    pub fn is_claiming(&self) -> bool {
        self.claiming.is_some()
    }

    /// At most `most` jobs; none after a while without any. May be dropped and called again: a claim under way goes on,
    /// with the `most` that it began with.
    pub async fn claims(&mut self, most: usize) -> Vec<Claim> {
        if let Some(source) = self.source.take() {
            self.claiming = Some(Box::pin(source.claims(most)));
        }
        let Some(claiming) = &mut self.claiming else { return Vec::new() };
        let (source, claims) = claiming.await;
        self.claiming = None;
        self.source = Some(source);
        claims
    }
}

impl Source {
    async fn claims(mut self, most: usize) -> (Self, Vec<Claim>) {
        match self.reclaim_or_claim(most).await {
            Ok(claims) => {
                self.metrics.hub_up.set(1);
                if std::mem::take(&mut self.errors) > 0 {
                    tracing::info!("The hub answers again");
                }
                (self, claims)
            }
            Err(error) => {
                self.pause(&error).await;
                (self, Vec::new())
            }
        }
    }

    async fn reclaim_or_claim(&mut self, most: usize) -> Result<Vec<Claim>, HubError> {
        let claims = self.reclaimer.reclaim(&*self.hub, &self.worker, most).await?;
        if !claims.is_empty() || most == 0 {
            return Ok(claims);
        }
        self.hub.claim(&self.worker, most, PATIENCE).await
    }

    async fn pause(&mut self, error: &HubError) {
        self.metrics.hub_errors.inc();
        self.metrics.hub_up.set(0);
        if self.errors == 0 {
            tracing::warn!(error = with_causes(error), "The hub gives no jobs; trying again until it does");
        }
        let longest = (PAUSE.0 * f64::from(1 << self.errors.min(8))).min(PAUSE.1);
        self.errors = self.errors.saturating_add(1);
        tokio::time::sleep(Duration::from_secs_f64(longest * (0.5 + fastrand::f64() / 2.0))).await;
    }
}
