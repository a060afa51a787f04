// SPDX-License-Identifier: GPL-3.0-or-later
//! Why there is no answer.

use serde::{Deserialize, Serialize};

/// Why there is no answer, which is to say whose it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The container's, or this machine's: it took longer than it may. Scanned again it may end otherwise.
    #[error("not opened within its time")]
    TimedOut,
    /// The container's: a signal ended the process, or a decoder gave up in a way that nobody foresaw (none).
    #[error("the opener crashed{}", signal.map(|signal| format!(" by signal {signal}")).unwrap_or_default())]
    Crashed { signal: Option<i32> },
    /// The container's: it holds, or asks for, more than it may.
    #[error("more {} than a container may have", .0.as_str())]
    TooMuch(Excess),
    /// This system's: the process could not be confined, and worked on nothing.
    #[error("the opener cannot be confined: {0}")]
    Unconfinable(String),
    /// The container's: it is not what it was said to be, or broken.
    #[error("damaged, or of another kind")]
    Damaged,
    /// This system's: no process could be started, or nobody could talk to it.
    #[error("the opener cannot be started: {0}")]
    Unstartable(String),
}

/// What there was too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Excess {
    /// [`Limits::bytes_out`](super::Limits::bytes_out).
    Bytes,
    /// [`Limits::members`](super::Limits::members).
    Members,
    /// [`Limits::rounds`](super::Limits::rounds).
    Rounds,
    /// [`Limits::memory_bytes`](super::Limits::memory_bytes).
    Memory,
    /// [`Limits::timeout`](super::Limits::timeout).
    Time,
}

impl Excess {
    /// The word for it, in reports and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Members => "members",
            Self::Rounds => "rounds",
            Self::Memory => "memory",
            Self::Time => "time",
        }
    }
}
