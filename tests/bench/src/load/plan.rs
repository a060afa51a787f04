// SPDX-License-Identifier: GPL-3.0-or-later
//! What a run is to do.

use super::message::{Look, NUMBER_BYTES};
use anyhow::ensure;
use std::time::Duration;
use thundergate_milter::front::milter::Listen;

/// What a run is to do: to whom, how much, of what.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the milter listens.
    pub milter: Listen,
    /// Connections at a time, each sending one message after the other.
    pub connections: usize,
    /// Threads that drive them.
    pub threads: usize,
    /// When it is enough.
    pub length: Length,
    /// For so long messages are sent and not counted.
    pub warm_up: Duration,
    /// Each known attachment is sent once before, so that it is known.
    pub prepare: bool,
    /// Messages a second, whether the milter keeps up or not; none: each connection sends when it got its answer.
    pub rate: Option<f64>,
    /// What is sent.
    pub mix: Mix,
    /// Then a connection ends and another takes its place; 0: never.
    pub messages_per_connection: u64,
    /// Share of messages that are given up in their middle, in percent.
    pub abort_percent: f64,
    /// SMFIC_ABORT after every message too.
    pub abort_between: bool,
    /// How long a reply may take; progress begins it anew.
    pub timeout: Duration,
    /// Whose CPU time and memory are watched.
    pub processes: Vec<Process>,
    /// Lines on stderr tell how far it is.
    pub progress: bool,
}

/// When a run has sent enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    /// After so long.
    Time(Duration),
    /// After so many messages.
    Messages(u64),
}

/// What is sent.
#[derive(Clone, Debug)]
pub struct Mix {
    /// Sizes of an attachment before its base64 encoding, in turn.
    pub sizes: Vec<usize>,
    /// How a message looks.
    pub look: Look,
    /// Sent as it is in place of messages with attachments.
    pub message: Option<Vec<u8>>,
    /// Share of messages with known attachments, in percent; those of the others are new each time.
    pub repeats: f64,
    /// How many known ones there are of each size.
    pub pool: u64,
}

impl Mix {
    /// How many different messages there are, their attachments' contents aside.
    pub fn kinds(&self) -> usize {
        if self.message.is_some() { 1 } else { self.sizes.len() }
    }
}

/// A process to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// What it is called in the report.
    pub name: String,
    /// Its id.
    pub id: u32,
}

impl Plan {
    /// A second of the same message with 100 KiB attached, over eight connections.
    ///
    /// # Errors
    /// `milter` is no address in Postfix's spelling.
    pub fn to(milter: &str) -> anyhow::Result<Self> {
        let look = Look { attachments: 1, text: true, distinct_names: false };
        let mix = Mix { sizes: vec![102_400], look, message: None, repeats: 100.0, pool: 1 };
        Ok(Self {
            milter: Listen::try_from(milter.to_owned())?,
            connections: 8,
            threads: 1,
            length: Length::Time(Duration::from_secs(1)),
            warm_up: Duration::ZERO,
            prepare: true,
            rate: None,
            mix,
            messages_per_connection: 0,
            abort_percent: 0.0,
            abort_between: false,
            timeout: Duration::from_secs(60),
            processes: Vec::new(),
            progress: false,
        })
    }

    /// # Errors
    /// It cannot be carried out.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let percent = 0.0..=100.0;
        ensure!(self.connections > 0 && self.threads > 0, "there must be a connection and a thread");
        ensure!(percent.contains(&self.mix.repeats), "repeats are 0 to 100 percent");
        ensure!(percent.contains(&self.abort_percent), "0 to 100 percent of the messages can be given up");
        ensure!(self.mix.pool > 0, "the pool of known attachments is empty");
        ensure!(self.rate.is_none_or(|rate| rate > 0.0 && rate.is_finite()), "the rate must be above 0");
        ensure!(!self.mix.sizes.is_empty(), "there must be a size");
        ensure!((1..=500).contains(&self.mix.look.attachments), "a message takes 1 to 500 attachments");
        let least = self.mix.sizes.iter().min().copied().unwrap_or_default();
        ensure!(least >= NUMBER_BYTES, "an attachment has at least {NUMBER_BYTES} bytes");
        ensure!(self.length != Length::Messages(0), "there must be a message");
        Ok(())
    }
}
