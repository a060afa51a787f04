// SPDX-License-Identifier: GPL-3.0-or-later
//! What a run came to, for people and as JSON.

use super::tally::{Decisions, Errors};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a run came to. What stands in it is of messages that count, unless it says otherwise.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Where the milter is.
    pub milter: String,
    /// Connections at a time.
    pub connections: usize,
    /// How long was counted.
    pub seconds: f64,
    /// Messages with an answer.
    pub messages: u64,
    /// The same a second.
    pub messages_per_second: f64,
    /// Megabytes (1,000,000 bytes) a second, as written to the milter.
    pub megabytes_per_second: f64,
    /// Bytes written to the milter for a message.
    pub bytes_per_message: f64,
    /// From the end of a message to its decision.
    pub after_end: Latency,
    /// From when a message began, or with a rate was due, to its decision.
    pub whole: Latency,
    /// By what was decided.
    pub decisions: Decisions,
    /// Messages given up in their middle, as was asked for; of the whole run.
    pub aborted: u64,
    /// Connections that were lost, of the whole run.
    pub errors: Errors,
    /// Connections opened beyond the first ones, of the whole run.
    pub reconnects: u64,
    /// Messages with an answer that do not count: sent to prepare, to warm up or at the end.
    pub outside: u64,
    /// Attachments that were sent once only, of the whole run.
    pub new_attachments: u64,
    /// What was to be sent a second, where a rate was given.
    pub rate: Option<f64>,
    /// Messages that were due and had not begun: at the end.
    pub backlog: u64,
    /// The same at its worst.
    pub backlog_max: u64,
    /// The load generator itself.
    pub generator: Used,
    /// Processes that were watched.
    pub processes: Vec<Used>,
}

/// Percentiles, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half are quicker.
    pub p50: f64,
    /// 90 of 100 are.
    pub p90: f64,
    /// 99 of 100 are.
    pub p99: f64,
    /// 999 of 1000 are.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
}

/// What a process used while messages counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Used {
    /// What it is called.
    pub name: String,
    /// CPU seconds, user and system.
    pub cpu_seconds: f64,
    /// CPU milliseconds a message.
    pub cpu_ms_per_message: f64,
    /// Resident bytes at the end.
    pub resident: u64,
    /// The most of them.
    pub peak: u64,
    /// Resident bytes at the start and after each second.
    pub resident_each_second: Vec<u64>,
}

impl Latency {
    /// Of nanoseconds.
    pub fn of(times: &Histogram<u64>) -> Self {
        let at = |quantile| times.value_at_quantile(quantile) as f64 / 1e6;
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: times.max() as f64 / 1e6 }
    }
}

impl Report {
    /// CPU milliseconds a message of all watched processes together.
    pub fn cpu_ms_per_message(&self) -> f64 {
        self.processes.iter().map(|process| process.cpu_ms_per_message).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:.0} messages/s, {:.1} MB/s: {} messages of {:.0} bytes in {:.2} s over {} connections",
            self.messages_per_second,
            self.megabytes_per_second,
            self.messages,
            self.bytes_per_message,
            self.seconds,
            self.connections
        )?;
        writeln!(f, "end-of-message reply  {}", self.after_end)?;
        writeln!(f, "whole message         {}", self.whole)?;
        let Decisions { accept, tag, quarantine, reject, tempfail, discard } = self.decisions;
        writeln!(
            f,
            "decisions             accept {accept}, tag {tag}, quarantine {quarantine}, reject {reject}, \
             tempfail {tempfail}, discard {discard}"
        )?;
        let Errors { connect, lost, late, protocol } = self.errors;
        writeln!(
            f,
            "errors                connect {connect}, lost {lost}, late {late}, protocol {protocol}; \
             {} reconnects, {} given up as asked",
            self.reconnects, self.aborted
        )?;
        writeln!(
            f,
            "not counted           {} messages to prepare, to warm up or at the end; {} new attachments in all",
            self.outside, self.new_attachments
        )?;
        if let Some(rate) = self.rate {
            writeln!(
                f,
                "rate                  {rate} wanted, backlog {} at the end, {} at most",
                self.backlog, self.backlog_max
            )?;
        }
        for used in self.processes.iter().chain([&self.generator]) {
            writeln!(f, "{used}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p90, p99, p999, max } = self;
        write!(f, "p50 {p50:.3} ms, p90 {p90:.3}, p99 {p99:.3}, p99.9 {p999:.3}, max {max:.3}")
    }
}

impl fmt::Display for Used {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        write!(
            f,
            "{:<21} {:.3} CPU s, {:.3} ms a message, {:.1} MiB resident, {:.1} at most",
            self.name,
            self.cpu_seconds,
            self.cpu_ms_per_message,
            mib(self.resident),
            mib(self.peak)
        )
    }
}
