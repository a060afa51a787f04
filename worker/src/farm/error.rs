// SPDX-License-Identifier: GPL-3.0-or-later
//! Why a sample has no verdict, and whose fault that is.

use crate::thunderstorm::error::{CallError, Meaning};

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// No instance scanned the sample, and that is not its fault.
    #[error("no instance is available")]
    NoInstance,
    /// Every instance that scans refuses a sample of this size.
    #[error("the sample is larger than the scanners take")]
    TooLarge,
    /// An instance took the sample and was not heard of again: it is to be scanned alone.
    #[error("{instance} was lost")]
    Suspect {
        /// Which one.
        instance: String,
        /// How it was lost.
        #[source]
        last: CallError,
    },
    /// The sample cannot be scanned.
    #[error("the sample cannot be scanned, as {instance} had it last")]
    Failed {
        /// Where it failed the last time.
        instance: String,
        /// Whether that is proven: the instances scan other samples.
        proven: bool,
        /// How it failed.
        #[source]
        last: CallError,
    },
}

impl ScanError {
    /// Where it failed the last time; empty where that is nowhere in particular.
    pub(crate) fn instance(&self) -> &str {
        match self {
            Self::Suspect { instance, .. } | Self::Failed { instance, .. } => instance,
            Self::NoInstance | Self::TooLarge => "",
        }
    }

    /// Whether the instance was not heard of again.
    pub(crate) fn is_lost(&self) -> bool {
        let lost = |last: &CallError| matches!(last.meaning(), Meaning::Lost | Meaning::Moved);
        match self {
            Self::Suspect { last, .. } | Self::Failed { last, .. } => lost(last),
            Self::NoInstance | Self::TooLarge => false,
        }
    }
}
