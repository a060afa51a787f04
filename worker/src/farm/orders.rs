// SPDX-License-Identifier: GPL-3.0-or-later
//! What the workers together have decided of an instance: that it gets no mail, or no file above some size. Each worker
//! holds its own instances to it; whoever leads has told the log.

use thundergate_common::generation::{InstanceReport, InstanceState};

/// What holds for one instance.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// Why it gets no samples, if so.
    pub(super) excluded: Option<InstanceState>,
    /// The largest file in bytes that it gets, and whether something was found in one of that size; none where it was not
    /// tried.
    pub(super) size: Option<(u64, bool)>,
}

impl Orders {
    /// Whether it scans a file of so many bytes, as far as that was tried.
    pub(super) fn take(&self, bytes: u64) -> bool {
        self.size.is_none_or(|(largest, _)| bytes <= largest)
    }

    /// Whether it was tried how large a file it scans.
    pub(super) fn are_known(&self) -> bool {
        self.size.is_some()
    }

    /// A report as it is with these orders. What an instance that does not scan would be kept from does not count.
    pub(super) fn note(&self, drained: bool, report: InstanceReport) -> InstanceReport {
        let excluded = if drained { Some(InstanceState::Drained) } else { self.excluded };
        let excluded = excluded.filter(|_| report.healthy);
        InstanceReport {
            healthy: report.healthy && excluded.is_none(),
            state: excluded.unwrap_or(report.state),
            max_file_bytes: self.size.map(|(bytes, _)| bytes),
            size_proved: self.size.map(|(_, proved)| proved),
            ..report
        }
    }
}
