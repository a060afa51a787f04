// SPDX-License-Identifier: GPL-3.0-or-later
//! The ledger: who received which sample, for the SOC's question "who got this?".
//!
//! Written beside the mail, never in its way: receipts go through a bounded channel to one task, which stores them in
//! batches. When the hub cannot keep up receipts are dropped and counted; the log line of the message has them anyway.

use crate::{mail::envelope::Envelope, observe::observer::Observer, outcome::inspection::Inspection};
use std::{collections::HashSet, sync::Arc, time::Duration};
use thundergate_common::{
    clock,
    hub::{self, Receipt},
    sample::SampleKey,
};
use tokio::sync::mpsc;

/// Receipts that may wait for the hub.
const BACKLOG: usize = 4096;
/// Receipts in one round trip.
const BATCH: usize = 256;
/// For so long receipts are gathered, once some were stored: under load many of them cost one wake-up and one round trip.
const GATHERING: Duration = Duration::from_millis(5);

type Entry = (SampleKey, Receipt);

/// Where receipts are handed in.
#[derive(Clone)]
pub struct Ledger {
    entries: mpsc::Sender<Entry>,
    observer: Arc<Observer>,
}

/// The other end: stores them until every [`Ledger`] is gone.
pub struct Clerk {
    entries: mpsc::Receiver<Entry>,
    hub: Arc<dyn hub::Milter>,
    observer: Arc<Observer>,
}

impl Ledger {
    /// A ledger that writes to `hub`; somebody must run the clerk.
    pub fn new(hub: Arc<dyn hub::Milter>, observer: Arc<Observer>) -> (Self, Clerk) {
        let (sender, entries) = mpsc::channel(BACKLOG);
        (Self { entries: sender, observer: Arc::clone(&observer) }, Clerk { entries, hub, observer })
    }

    /// Notes that the recipients of `envelope` were sent the samples in `inspection`.
    pub fn record(&self, envelope: &Envelope, inspection: &Inspection) {
        let recipients: Arc<[String]> = envelope.recipients.clone().into();
        let mut noted = HashSet::new();
        for part in &inspection.parts {
            let Some(key) = part.key.clone().filter(|key| noted.insert(key.clone())) else { continue };
            let receipt = Receipt {
                at: clock::now(),
                queue_id: envelope.queue_id.clone(),
                sender: envelope.sender.clone(),
                recipients: Arc::clone(&recipients),
                name: part.name.clone(),
                decision: inspection.action.as_str().to_owned(),
            };
            if self.entries.try_send((key, receipt)).is_err() {
                self.observer.metrics.receipts_dropped(1);
            }
        }
    }
}

impl Clerk {
    /// Stores receipts until the last [`Ledger`] is dropped and all is written.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.entries.recv_many(&mut batch, BATCH).await > 0 {
            if let Err(error) = self.hub.record(&batch).await {
                self.observer.metrics.receipts_dropped(batch.len());
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    receipts = batch.len(),
                    "receipts not stored"
                );
            }
            if batch.len() < BATCH {
                tokio::time::sleep(GATHERING).await;
            }
            batch.clear();
        }
    }
}
