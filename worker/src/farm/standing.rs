// SPDX-License-Identifier: GPL-3.0-or-later
//! What is known of an instance, whoever reaches it and how. It outlives a change of the configuration.

use super::{balance::Latency, breaker::Breaker, limit::Limit, orders::Orders, proof::Proof};
use crate::thunderstorm::{complaint::Complaint, facts::Info};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use thundergate_common::licence;
use tokio::sync::{Semaphore, watch};

/// No instance runs more scans at a time, whatever it says.
pub(super) const MOST_SCANS: usize = 4096;
/// For so long an instance gets no sample as large as one that it answered with 413. After that one is tried again: the
/// limit may have been raised.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The permits of an instance, and its condition.
#[derive(Debug)]
pub(super) struct Standing {
    /// Always of the same size: a permit is a scan in flight, and the limit moves with `info` and the breaker.
    pub(super) slots: Arc<Semaphore>,
    pub(super) condition: Mutex<Condition>,
    /// When it was first heard of.
    pub(super) since: Instant,
    /// Held while `info` is read, so that one read serves many.
    pub(super) reading: tokio::sync::Mutex<()>,
    /// Held during a proof, for the same reason.
    pub(super) proving: tokio::sync::Mutex<()>,
    /// How often it was found to be unable to scan: what is in flight then moves elsewhere.
    pub(super) moves: watch::Sender<u64>,
}

#[derive(Debug)]
pub(super) struct Condition {
    pub(super) breaker: Breaker,
    pub(super) limit: Limit,
    pub(super) latency: Latency,
    pub(super) info: Info,
    pub(super) licence: licence::Notice,
    /// The last time that `info` was asked for.
    pub(super) asked: Option<Asked>,
    /// How long it took to answer `info`.
    pub(super) info_took: Option<Duration>,
    /// Why it gets no samples, or did not scan one, until it scans one.
    pub(super) complaint: Option<Complaint>,
    /// The last proof.
    pub(super) proved: Option<Proved>,
    /// Until when it gets nothing but the suspect that it was reserved for.
    pub(super) reserved_until: Option<Instant>,
    /// What the workers together have decided of it.
    pub(super) orders: Orders,
    /// The last sample that it refused for its size.
    refused: Option<Refused>,
}

/// A sample that was answered with 413.
#[derive(Clone, Copy, Debug)]
struct Refused {
    bytes: u64,
    until: Instant,
}

/// A proof, when it began, and how long it took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proved {
    pub(super) began: Instant,
    pub(super) took: Duration,
    pub(super) proof: Proof,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// When the request was sent.
    pub(super) at: Instant,
    /// Whether it was answered.
    pub(super) answered: bool,
}

impl Condition {
    /// Whether a suspect has it to itself.
    pub(super) fn is_reserved(&self, now: Instant) -> bool {
        self.reserved_until.is_some_and(|until| now < until)
    }

    /// Whether it scans a sample of so many bytes, and has refused none as large lately.
    pub(super) fn takes(&self, bytes: u64, now: Instant) -> bool {
        self.orders.take(bytes)
            && self.refused.is_none_or(|refused| bytes < refused.bytes || now >= refused.until)
    }

    /// A sample of so many bytes was refused for its size.
    pub(super) fn refuse(&mut self, bytes: u64, now: Instant) {
        self.refused = Some(Refused { bytes, until: now + REMEMBERED });
    }
}

impl Standing {
    pub(super) fn new(breaker: Breaker) -> Self {
        Self {
            since: Instant::now(),
            slots: Arc::new(Semaphore::new(MOST_SCANS)),
            condition: Mutex::new(Condition {
                breaker,
                limit: Limit::default(),
                latency: Latency::default(),
                info: Info::default(),
                licence: licence::Notice::default(),
                asked: None,
                info_took: None,
                complaint: None,
                proved: None,
                reserved_until: None,
                orders: Orders::default(),
                refused: None,
            }),
            reading: tokio::sync::Mutex::default(),
            proving: tokio::sync::Mutex::default(),
            moves: watch::Sender::new(0),
        }
    }
}
