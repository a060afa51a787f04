// SPDX-License-Identifier: GPL-3.0-or-later
//! Why a call to a server gave no usable answer, and what that may say of the sample and of the server.

use super::shapes::ShapeError;
use std::time::Duration;

/// The longest result of a scan that is read, in bytes. Scanners list two rules a finding unless told otherwise, a finding
/// with many of them takes tens of KiB, and all scans that run may be answered at once.
pub(super) const LONGEST_RESULT: usize = 1 << 20;

/// The longest answer to anything else.
pub(super) const LONGEST_ANSWER: usize = 64 << 10;

/// What lies below an error of the HTTP client.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a call gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// 503 or 429 (RFC 6585, 4): the server has enough to do.
    #[error("the scanner is busy")]
    Busy {
        /// Which of them.
        status: u16,
        /// How long it wants to be left alone, if it says so.
        pause: Option<Duration>,
    },
    /// 413: the sample is larger than the server, or a proxy before it, takes.
    #[error("the scanner takes no sample of this size")]
    TooLarge,
    /// There was no connection: refused, no route, no name, no TLS, or none in time. Nothing was sent.
    #[error("the scanner cannot be reached")]
    Unreachable(#[source] Cause),
    /// The connection ended before the answer did.
    #[error("the connection to the scanner broke during the scan")]
    Broken(#[source] Cause),
    /// There was no answer in time.
    #[error("the scanner did not answer in time")]
    Timeout,
    /// Another status than 200.
    #[error("the scanner answered {0}")]
    Refused(u16),
    /// 200 with a body of unknown shape, or about another file.
    #[error("the scanner gave an unusable answer")]
    Unusable(#[from] ShapeError),
    /// An answer with more bytes than any should have; the rest of it was not read.
    #[error("the scanner's answer is longer than {0} bytes")]
    TooLong(usize),
    /// No API was found at the configured URL.
    #[error("no Thunderstorm API at this URL")]
    NoApi,
    /// The asynchronous scan failed, in the server's words.
    #[error("the scanner gave up: {0}")]
    GaveUp(String),
    /// The server was found to be unable to scan while the call was under way, so the call was given up.
    #[error("the scanner failed other samples meanwhile")]
    Moved,
}

/// What a failed call may mean, before anybody has asked whose fault it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Back-pressure: nobody's fault.
    Busy,
    /// The sample is too large for this server.
    TooLarge,
    /// The server cannot be reached; it never saw the sample.
    Unreachable,
    /// The server took the sample and was not heard of again: the sample may have killed or stopped it.
    Lost,
    /// The server answered, and said nothing that is a verdict.
    Refused,
    /// The call was given up for another reason than the sample.
    Moved,
}

impl CallError {
    /// What it may mean.
    pub fn meaning(&self) -> Meaning {
        match self {
            Self::Busy { .. } => Meaning::Busy,
            Self::TooLarge => Meaning::TooLarge,
            Self::Unreachable(_) | Self::NoApi => Meaning::Unreachable,
            Self::Broken(_) | Self::Timeout => Meaning::Lost,
            Self::Refused(_) | Self::Unusable(_) | Self::TooLong(_) | Self::GaveUp(_) => Meaning::Refused,
            Self::Moved => Meaning::Moved,
        }
    }
}
