// SPDX-License-Identifier: GPL-3.0-or-later
//! What the workers together have decided of an instance: that it gets no mail, or no file above some size. Each worker
//! holds its own instances to it; whoever leads has told the log.

use super::{Farm, instance::Instance};
use std::{sync::Mutex, time::Duration};
use thundergate_common::{
    generation::{InstanceReport, InstanceState},
    oversight::Oversight,
};

/// What holds for one instance.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// Why it gets no samples, if so.
    pub(super) excluded: Option<InstanceState>,
    /// The largest file in bytes that it gets, and whether something was found in one of that size; none where it was not
    /// tried.
    size: Option<(u64, bool)>,
}

/// What holds for the farm.
#[derive(Debug, Default)]
pub(super) struct Overseen(Mutex<Option<u64>>);

impl Orders {
    /// Whether it scans a file of so many bytes, as far as that was tried.
    pub(super) fn take(&self, bytes: u64) -> bool {
        self.size.is_none_or(|(largest, _)| bytes <= largest)
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

impl Farm {
    /// From now on its instances are held to `oversight`.
    pub(crate) fn hold_to(&self, oversight: &Oversight) {
        let roster = self.roster();
        for instance in &roster.instances {
            let size = oversight.size(instance.name()).filter(|size| size.configured == roster.largest);
            instance.hold_to(Orders {
                excluded: oversight.excluded(instance.name()),
                size: size.map(|size| (size.bytes, size.proved)),
            });
        }
        *self.overseen.0.lock().expect("nothing panics while it holds the doubt") = oversight.doubt;
        self.announce();
    }

    /// Since when the canary is in doubt, in seconds since the epoch; none where it is not.
    pub(crate) fn doubt(&self) -> Option<u64> {
        *self.overseen.0.lock().expect("nothing panics while it holds the doubt")
    }

    /// How long an instance may be behind the newest signatures; 0: as long as it likes.
    pub(crate) fn lag(&self) -> Duration {
        self.roster().lag
    }
}

impl Instance {
    fn hold_to(&self, orders: Orders) {
        self.lock().orders = orders;
    }
}
