// SPDX-License-Identifier: GPL-3.0-or-later
//! How one part ended, and how that was come by.

use std::sync::Arc;
use thundergate_common::verdict::{SkipReason, Verdict};

/// How one part ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Disposition {
    /// Scanned, nothing found.
    Clean,
    /// Scanned, something found.
    Found(Arc<Verdict>),
    /// Not known at the deadline; the scan goes on and the verdict will be stored.
    Pending,
    /// Not scanned, on purpose.
    Skipped(SkipReason),
    /// Not scanned, because something went wrong.
    Failed(Failure),
}

/// How a disposition was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// This process remembered the verdict.
    Local,
    /// The hub had the verdict.
    Hub,
    /// Scanned for this message.
    Scan,
    /// Joined a scan that was under way.
    Joined,
    /// Not looked up.
    None,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The scan failed for good.
    Scan(String),
    /// The hub cannot be reached, and nothing can scan without it.
    Unavailable,
    /// No instance scans; why.
    NoScanner(Arc<str>),
    /// The queue or the memory is full.
    Overload,
}

impl Disposition {
    /// Its name in logs and metrics; the reason is [`Disposition::reason`].
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Found(_) => "found",
            Self::Pending => "pending",
            Self::Skipped(_) => "skipped",
            Self::Failed(_) => "failed",
        }
    }

    /// Why a part was skipped or failed.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Skipped(reason) => Some(reason.as_str()),
            Self::Failed(Failure::Scan(reason)) => Some(reason),
            Self::Failed(Failure::Unavailable) => Some("unavailable"),
            Self::Failed(Failure::NoScanner(reason)) => Some(reason),
            Self::Failed(Failure::Overload) => Some("overload"),
            Self::Clean | Self::Found(_) | Self::Pending => None,
        }
    }
}

impl Source {
    /// All of them, in their order.
    pub const ALL: [Self; 5] = [Self::Local, Self::Hub, Self::Scan, Self::Joined, Self::None];

    /// Its name in logs and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Hub => "hub",
            Self::Scan => "scan",
            Self::Joined => "joined",
            Self::None => "none",
        }
    }
}
