// SPDX-License-Identifier: GPL-3.0-or-later
//! The turn to scan suspects, which one worker of the site has at a time, and at one instance: the others leave that one
//! alone meanwhile. Without that a suspect would be blamed for what another one did beside it.

use crate::farm::{Farm, with_causes};
use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};
use thundergate_common::hub;
use tokio_util::sync::CancellationToken;

/// How long the turn lasts without being renewed.
const TURN: Duration = Duration::from_secs(5);
/// How long a worker keeps it while others may want it.
const LONGEST: Duration = Duration::from_secs(10);
/// How often workers look who has it.
const LOOK: Duration = Duration::from_millis(200);
/// How long an instance is left alone after such a look.
const MOMENT: Duration = Duration::from_secs(1);
/// Until all others have looked, and most of what they had in flight is over.
const NOTICE: Duration = Duration::from_millis(500);

/// This worker's turns.
pub(crate) struct Turns {
    hub: Arc<dyn hub::Worker>,
    worker: String,
    held: Mutex<Option<Held>>,
}

#[derive(Clone, Debug)]
struct Held {
    instance: String,
    since: Instant,
}

impl Turns {
    /// The turns of `worker`.
    pub(crate) fn new(hub: Arc<dyn hub::Worker>, worker: &str) -> Self {
        Self { hub, worker: worker.to_owned(), held: Mutex::default() }
    }

    /// Whether this worker has its turn at `instance` now. Where it is new the others have had time to notice.
    pub(crate) async fn claim(&self, instance: &str) -> bool {
        match self.hub.take_turn(&self.worker, instance, TURN).await {
            Ok(true) => {}
            Ok(false) => return false,
            Err(error) => {
                tracing::debug!(error = with_causes(&error), "The hub gives no turn to scan a suspect");
                return false;
            }
        }
        if self.lock().as_ref().is_some_and(|held| held.instance == instance) {
            return true;
        }
        *self.lock() = Some(Held { instance: instance.to_owned(), since: Instant::now() });
        tokio::time::sleep(NOTICE).await;
        true
    }

    /// Keeps the turn, if there is one, while `scan` takes its time.
    pub(crate) async fn keep<T>(&self, scan: impl Future<Output = T>) -> T {
        let mut scan = std::pin::pin!(scan);
        loop {
            if let Ok(done) = tokio::time::timeout(TURN / 3, scan.as_mut()).await {
                return done;
            }
            let held = self.lock().clone();
            if let Some(held) = held {
                // Where that fails another worker may scan a suspect at the same time.
                let _ = self.hub.take_turn(&self.worker, &held.instance, TURN).await;
            }
        }
    }

    /// A suspect was scanned; `more` says whether others of this worker wait.
    pub(crate) async fn scanned(&self, more: bool) {
        let ends = self.lock().take_if(|held| !more || held.since.elapsed() > LONGEST).is_some();
        if ends {
            // Where that fails the turn is over by itself.
            let _ = self.hub.end_turn(&self.worker).await;
        }
    }

    /// Has `farm` leave alone where another worker scans suspects, until `ended`.
    pub(crate) async fn watch(&self, farm: &Farm, ended: &CancellationToken) {
        let watch = async {
            loop {
                tokio::time::sleep(LOOK.mul_f64(0.8 + fastrand::f64() / 5.0)).await;
                match self.hub.turn().await {
                    Ok(Some((worker, instance))) if worker != self.worker => {
                        farm.leave_alone(&instance, MOMENT);
                    }
                    Ok(_) | Err(_) => {}
                }
            }
        };
        let () = ended.run_until_cancelled(watch).await.unwrap_or_default();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().expect("nothing panics while it holds the turn")
    }
}
