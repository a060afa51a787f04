// SPDX-License-Identifier: GPL-3.0-or-later
//! Troubles that many messages meet, told once: one line when such a trouble begins, one when it is over. It is over at
//! the first success after [`QUIET`] without it, so that one that comes and goes does not fill the log.

use crate::{inspect::blink::Absence, mail::party::Party};
use std::{
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};
use thundergate_common::hub::{Admission, HubError};

/// How long a trouble has to stay away.
const QUIET: Duration = Duration::from_secs(5);

/// The troubles there are.
#[derive(Debug, Default)]
pub struct Outages {
    hub: Outage,
    scanners: Outage,
    seats: Outage,
    crowd: Outage,
    queue: Outage,
    memory: Outage,
    /// Since when the hub is away.
    pub(crate) absence: Absence,
}

impl Outages {
    /// The hub was asked; `direct` says whether something else scans meanwhile.
    pub(crate) fn hub(&self, error: Option<&HubError>, direct: bool) {
        let now = Instant::now();
        match error {
            // [`Self::queue`] tells of it.
            Some(HubError::Full) => {}
            Some(error) if self.hub.begins(now) => {
                let error = error as &dyn std::error::Error;
                if direct {
                    tracing::warn!(
                        error,
                        "The hub does not serve; samples are scanned directly until it does"
                    );
                } else {
                    tracing::warn!(
                        error,
                        "The hub does not serve; messages get policy.on.unavailable until it does"
                    );
                }
            }
            None if self.hub.ends(now) => tracing::info!("The hub serves again"),
            _ => {}
        }
    }

    /// Somebody needs a scan; why there is none.
    pub(crate) fn scanners(&self, reason: Option<&str>) {
        let now = Instant::now();
        match reason {
            Some(reason) if self.scanners.begins(now) => tracing::warn!(
                error = reason,
                "No scanner answers; messages with new samples get policy.on.unavailable until one does"
            ),
            None if self.scanners.ends(now) => tracing::info!("A scanner answers again"),
            _ => {}
        }
    }

    /// A message wanted to wait.
    pub(crate) fn seat(&self, taken: bool) {
        let now = Instant::now();
        if !taken && self.seats.begins(now) {
            tracing::warn!(
                "All seats for waiting messages are taken; more messages get policy.on.pending at once"
            );
        } else if taken && self.seats.ends(now) {
            tracing::info!("There are seats for waiting messages again");
        }
    }

    /// A client wanted more than its share of the seats; none where one did not.
    pub(crate) fn crowd(&self, client: Option<&Party>) {
        let now = Instant::now();
        match client {
            Some(client) if self.crowd.begins(now) => tracing::warn!(
                event = "share_of_seats",
                client.party = %client,
                "A client has its share of the seats for waiting messages; more of its messages get policy.on.pending at \
                 once"
            ),
            None if self.crowd.ends(now) => {
                tracing::info!("No client wants more than its share of the seats")
            }
            _ => {}
        }
    }

    /// A job was submitted; `direct` says whether something else scans where it was refused.
    pub(crate) fn queue(&self, admission: Admission, direct: bool) {
        let now = Instant::now();
        match admission {
            Admission::Full if self.queue.begins(now) => {
                tracing::warn!("The queue is full; messages with new samples get policy.on.overload");
            }
            Admission::OutOfMemory if self.memory.begins(now) => redis_is_full(direct),
            Admission::Full | Admission::OutOfMemory => {}
            Admission::Queued => {
                if self.queue.ends(now) {
                    tracing::info!("The queue takes samples again");
                }
                if self.memory.ends(now) {
                    tracing::info!("Redis has memory for samples again");
                }
            }
        }
    }
}

fn redis_is_full(direct: bool) {
    if direct {
        tracing::warn!(
            event = "redis_full",
            "Redis is full (maxmemory); new samples are scanned directly until it has room"
        );
    } else {
        tracing::warn!(
            event = "redis_full",
            "Redis is full (maxmemory); messages with new samples get policy.on.overload until it has room"
        );
    }
}

/// One kind of trouble; remembers when it was met last, while it lasts.
#[derive(Debug, Default)]
struct Outage(Mutex<Option<Instant>>);

impl Outage {
    /// The trouble is met. True where it is news.
    fn begins(&self, now: Instant) -> bool {
        self.lock().replace(now).is_none()
    }

    /// It is not met this time. True where it is over by that.
    fn ends(&self, now: Instant) -> bool {
        self.lock().take_if(|met| now.saturating_duration_since(*met) >= QUIET).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().expect("nothing panics while it holds the time")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once_when_it_begins_and_once_when_it_is_over() {
        let (outage, began) = (Outage::default(), Instant::now());
        assert!(!outage.ends(began));
        assert!(outage.begins(began));
        let again = began + QUIET / 2;
        assert!(!outage.begins(again));
        assert!(!outage.ends(began + QUIET));
        assert!(outage.ends(again + QUIET));
        assert!(!outage.ends(again + QUIET));
        assert!(outage.begins(again + QUIET));
    }
}
