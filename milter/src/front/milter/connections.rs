// SPDX-License-Identifier: GPL-3.0-or-later
//! How many MTAs are connected, of how many that may be.
//!
//! One more than `limits.connections` waits in the kernel, unheard: its MTA defers mail after a while. So it is said, by one
//! line, `/ready` and the status page, once it has lasted for a while; and one line says that there is room again. A
//! moment in which all are taken, or one has just ended, changes nothing.
//!
//! Metrics: `thundergate_milter_connections`, `…_connections_limit`, `…_idle_connections_closed_total`.

use crate::mail::permits::Permits;
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{MissedTickBehavior, interval},
};

/// How often it is looked whether there is room.
const BEAT: Duration = Duration::from_millis(250);

/// After so many looks that found all taken, and no more that found room, it counts.
const LASTING: u8 = 8;

/// `limits.connections`, and who has them.
#[derive(Debug)]
pub(crate) struct Connections {
    permits: Permits,
    limit: AtomicUsize,
    /// What the process can have open, whatever the configuration allows.
    most: usize,
    open: AtomicUsize,
    used_up: AtomicBool,
    gauges: Gauges,
}

#[derive(Debug, Default)]
struct Gauges {
    open: Gauge,
    limit: Gauge,
    idle: Counter,
}

/// A connection that is open.
#[derive(Debug)]
pub(super) struct Open {
    connections: Arc<Connections>,
    _permit: OwnedSemaphorePermit,
}

impl Connections {
    /// `limit` of them, `most` at most.
    pub(crate) fn new(limit: usize, most: usize, registry: &mut Registry) -> Self {
        let limit = limit.min(most);
        let gauges = Gauges::default();
        let registry = registry.sub_registry_with_prefix("thundergate_milter");
        registry.register("connections", "Connections of MTAs", gauges.open.clone());
        registry.register("connections_limit", "limits.connections", gauges.limit.clone());
        let idle = "Connections closed because the MTA sent nothing for limits.idle";
        registry.register("idle_connections_closed", idle, gauges.idle.clone());
        gauges.limit.set(limit as i64);
        Self {
            permits: Permits::new(limit),
            limit: AtomicUsize::new(limit),
            most,
            open: AtomicUsize::new(0),
            used_up: AtomicBool::new(false),
            gauges,
        }
    }

    /// From now on there may be so many.
    pub(crate) fn resize(&self, limit: usize) {
        let limit = limit.min(self.most);
        self.permits.resize(limit);
        self.limit.store(limit, Relaxed);
        self.gauges.limit.set(limit as i64);
    }

    /// Whether MTAs that connect are heard, and if not, why not.
    pub(crate) fn ready(&self) -> Result<(), String> {
        if self.used_up.load(Relaxed) { Err(self.trouble()) } else { Ok(()) }
    }

    /// Waits until there may be another one.
    pub(super) async fn free(&self) -> OwnedSemaphorePermit {
        Arc::clone(self.permits.free()).acquire_owned().await.expect("nobody closes the semaphore")
    }

    /// There is another one.
    pub(super) fn opened(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Open {
        self.open.fetch_add(1, Relaxed);
        self.gauges.open.inc();
        Open { connections: Arc::clone(self), _permit: permit }
    }

    /// Looks whether there is room, for ever.
    pub(super) async fn watch(&self) {
        let (mut strain, mut beat) = (0, interval(BEAT));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            let (open, limit) = (self.open.load(Relaxed), self.limit.load(Relaxed));
            strain = strained(strain, open, limit);
            match strain {
                LASTING if !self.used_up.swap(true, Relaxed) => {
                    tracing::warn!(
                        event = "connections_used_up",
                        connections.limit = limit,
                        "{}",
                        capital(&self.trouble())
                    );
                }
                0 if self.used_up.swap(false, Relaxed) => {
                    tracing::info!(
                        event = "connections_free",
                        connections.open = open,
                        "There is room for connections again"
                    );
                }
                _ => {}
            }
        }
    }

    fn trouble(&self) -> String {
        let limit = self.limit.load(Relaxed);
        format!("all {limit} connections are used up (limits.connections): MTAs that connect wait unheard")
    }
}

/// The strain after a look that found so many of `limit` open. In between, where only a few have ended, nothing changes.
fn strained(strain: u8, open: usize, limit: usize) -> u8 {
    let room = limit.saturating_sub((limit / 10).max(1));
    if open >= limit {
        (strain + 1).min(LASTING)
    } else if open <= room {
        strain.saturating_sub(1)
    } else {
        strain
    }
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters).collect()
}

impl Open {
    /// It is closed because nothing came for so long.
    pub(super) fn idled(&self, idle: Duration) {
        self.connections.gauges.idle.inc();
        tracing::info!(
            event = "idle_connection",
            idle_ms = idle.as_millis(),
            "An MTA sent nothing for too long (limits.idle): its connection is closed"
        );
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connections.open.fetch_sub(1, Relaxed);
        self.connections.gauges.open.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lasts_counts() {
        let after =
            |strain, seen: &[usize]| seen.iter().fold(strain, |strain, open| strained(strain, *open, 20));
        assert_eq!(after(0, &[20; 8]), LASTING);
        assert_eq!(after(0, &[20, 20, 20, 10, 10]), 1, "a moment is not enough");
        assert_eq!(after(LASTING, &[19; 100]), LASTING, "one that has ended is no room");
        assert_eq!(after(LASTING, &[18; 8]), 0);
        assert_eq!(strained(3, 1, 1), 4);
        assert_eq!(strained(3, 0, 1), 2);
    }

    #[tokio::test]
    async fn a_connection_is_counted_while_it_is_open() {
        let mut registry = Registry::default();
        let connections = Arc::new(Connections::new(5, 2, &mut registry));
        let open = connections.opened(connections.free().await);
        assert_eq!((connections.open.load(Relaxed), connections.gauges.limit.get()), (1, 2));
        drop(open);
        assert_eq!((connections.gauges.open.get(), connections.permits.free().available_permits()), (0, 2));
        connections.resize(10);
        assert_eq!(connections.permits.free().available_permits(), 2, "no more than can be open");
    }
}
