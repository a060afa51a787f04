// SPDX-License-Identifier: GPL-3.0-or-later
//! What happens to messages, told once: to the metrics, the status page, the log and the trace.

use super::{
    activity::{self, Activity},
    metrics::{self, Metrics},
    report, spans,
};
use crate::{
    mail::envelope::{Client, Envelope},
    outcome::{inspection::Inspection, settings::Mode},
};
use prometheus_client::registry::Registry;
use std::time::Duration;
use thundergate_common::{cache::Layer, traces::Span};

/// One for the whole process.
pub struct Observer {
    /// What a server that asks again and again is told.
    pub metrics: Metrics,
    /// What the status page shows.
    pub(crate) activity: Activity,
}

/// A message that waits, as long as this lives.
pub struct Waiting<'a> {
    _counted: metrics::Waiting<'a>,
    _shown: activity::Wait<'a>,
}

/// A message that was decided on, and all that is told of it.
pub struct Decided<'a> {
    /// Who handed it in.
    pub client: &'a Client,
    /// From whom to whom.
    pub envelope: &'a Envelope,
    /// What became of it.
    pub inspection: &'a Inspection,
    /// Whether that is carried out.
    pub mode: Mode,
    /// How many findings have a line of their own.
    pub findings: usize,
    /// Its trace.
    pub span: &'a Span,
}

impl Observer {
    /// Its metrics are in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        Self { metrics: Metrics::register(registry), activity: Activity::default() }
    }

    /// From now on the milter works like this: at most `seats` messages wait, each until `deadline`.
    pub fn configured(&self, mode: Mode, seats: usize, deadline: Duration) {
        self.metrics.configured(mode, seats, deadline);
        self.activity.configured(mode, seats);
    }

    /// A message was decided on.
    pub fn decided(&self, decided: Decided<'_>) {
        let Decided { client, envelope, inspection, mode, findings, span } = decided;
        self.metrics.decided(inspection);
        self.activity.decided(&envelope.queue_id, inspection);
        report::log(client, envelope, inspection, mode, findings);
        spans::decided(span, inspection, mode);
    }

    /// `hits` of `asked` samples were known to `layer`.
    pub(crate) fn looked_up(&self, layer: Layer, hits: usize, asked: usize) {
        self.metrics.looked_up(layer, hits, asked);
    }

    /// A message waits from now on.
    pub fn waits(&self) -> Waiting<'_> {
        Waiting { _counted: self.metrics.waiting(), _shown: self.activity.waits() }
    }

    /// A message could not wait.
    pub(crate) fn no_seat(&self) {
        self.metrics.no_seat();
    }
}
