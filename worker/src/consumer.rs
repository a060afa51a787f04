// SPDX-License-Identifier: GPL-3.0-or-later
//! Gets jobs from the hub: first what was left behind ([`reclaimer`](crate::reclaimer)), then the queue.
//!
//! Every shard of the queue is asked by itself, at the same time as the others. Each gets its part of the room there is,
//! so that all of them together never bring more than there is room for. Where there is not enough room for all shards
//! they take turns.
//!
//! A claim that is under way is never dropped while the worker lives, since its jobs would have an owner who does not
//! know of them: it is kept here between calls.
//!
//! An outage of the hub is logged when it begins and when it ends; between two tries there is up to a second, at random,
//! so that all workers of a site do not come back in the same moment.

use crate::{farm::with_causes, metrics::WorkerMetrics, reclaimer::Reclaimer};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use thundergate_common::hub::{self, Claim, HubError, Room};

/// How long the hub waits for the first job of the only shard, of one of several, and of one that holds others up.
const PATIENCE: [Duration; 3] =
    [Duration::from_secs(2), Duration::from_millis(250), Duration::from_millis(20)];
/// The shortest and the longest pause after an error.
const PAUSE: (f64, f64) = (0.1, 1.0);

/// Gets jobs from the hub.
pub(crate) struct Consumer {
    /// Those without a claim under way, the one that has waited longest first.
    idle: VecDeque<Source>,
    claiming: FuturesUnordered<BoxFuture<'static, (Source, Room, Vec<Claim>)>>,
    shards: usize,
    /// The room of all claims under way.
    given: Room,
}

/// One shard of the queue.
struct Source {
    hub: Arc<dyn hub::Worker>,
    worker: String,
    shard: usize,
    reclaimer: Reclaimer,
    /// Errors in a row.
    errors: u32,
    metrics: WorkerMetrics,
}

impl Consumer {
    /// Gets jobs for `worker`.
    pub(crate) fn new(hub: Arc<dyn hub::Worker>, worker: &str, metrics: WorkerMetrics) -> Self {
        let source = |shard| Source {
            hub: Arc::clone(&hub),
            worker: worker.to_owned(),
            shard,
            reclaimer: Reclaimer::default(),
            errors: 0,
            metrics: metrics.clone(),
        };
        Self {
            idle: (0..hub.shards()).map(source).collect(),
            claiming: FuturesUnordered::new(),
            shards: hub.shards(),
            given: Room { most: 0, background: 0 },
        }
    }

    /// Whether a claim is under way.
    pub(crate) fn is_claiming(&self) -> bool {
        !self.claiming.is_empty()
    }

    /// As many jobs as there is room for; none after a while without any. May be dropped and called again: claims under
    /// way go on, with the room that they began with.
    pub(crate) async fn claims(&mut self, room: Room) -> Vec<Claim> {
        self.begin(room);
        let Some((source, given, claims)) = self.claiming.next().await else { return Vec::new() };
        self.given.most -= given.most;
        self.given.background -= given.background;
        self.idle.push_back(source);
        claims
    }

    /// Divides what room is left among the idle shards.
    fn begin(&mut self, room: Room) {
        let mut most = room.most.saturating_sub(self.given.most);
        let mut background = room.background.saturating_sub(self.given.background);
        let patience = match (self.shards, most < self.idle.len()) {
            (1, _) => PATIENCE[0],
            (_, false) => PATIENCE[1],
            (_, true) => PATIENCE[2],
        };
        while most > 0 && !self.idle.is_empty() {
            let share = |room: usize| room.div_ceil(self.idle.len());
            let given = Room { most: share(most), background: share(background).min(share(most)) };
            let Some(source) = self.idle.pop_front() else { break };
            self.claiming.push(Box::pin(source.claims(given, patience)));
            most -= given.most;
            background -= given.background;
            self.given.most += given.most;
            self.given.background += given.background;
        }
    }
}

impl Source {
    async fn claims(mut self, room: Room, patience: Duration) -> (Self, Room, Vec<Claim>) {
        match self.reclaim_or_claim(room, patience).await {
            Ok(claims) => {
                self.metrics.hub_up.set(1);
                if std::mem::take(&mut self.errors) > 0 {
                    tracing::info!(queue.shard = self.shard, "The hub answers again");
                }
                (self, room, claims)
            }
            Err(error) => {
                self.pause(&error).await;
                (self, room, Vec::new())
            }
        }
    }

    async fn reclaim_or_claim(&mut self, room: Room, patience: Duration) -> Result<Vec<Claim>, HubError> {
        let claims = self.reclaimer.reclaim(&*self.hub, &self.worker, self.shard, room).await?;
        if !claims.is_empty() {
            self.metrics.reclaimed.inc_by(claims.len() as u64);
            return Ok(claims);
        }
        self.hub.claim(&self.worker, self.shard, room, patience).await
    }

    async fn pause(&mut self, error: &HubError) {
        self.metrics.hub_errors.inc();
        self.metrics.hub_up.set(0);
        if self.errors == 0 {
            tracing::warn!(
                queue.shard = self.shard,
                error = with_causes(error),
                "The hub gives no jobs; trying again until it does"
            );
        }
        let longest = (PAUSE.0 * f64::from(1 << self.errors.min(8))).min(PAUSE.1);
        self.errors = self.errors.saturating_add(1);
        tokio::time::sleep(Duration::from_secs_f64(longest * (0.5 + fastrand::f64() / 2.0))).await;
    }
}
