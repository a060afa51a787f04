// SPDX-License-Identifier: GPL-3.0-or-later
//! How the farm is held to what the workers together have found out of its instances ([`Orders`]).

use super::{Farm, instance::Instance, orders::Orders};
use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use thundergate_common::oversight::Oversight;

/// How long large samples wait until it is known whether an instance scans them.
const SIZE_PATIENCE: Duration = Duration::from_secs(60);

/// What holds for the farm.
#[derive(Debug, Default)]
pub(super) struct Overseen {
    doubt: Mutex<Option<u64>>,
    sizes_are_tried: AtomicBool,
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
        *self.overseen.doubt.lock().expect("nothing panics while it holds the doubt") = oversight.doubt;
        self.announce();
    }

    /// Since when the canary is in doubt, in seconds since the epoch; none where it is not.
    pub(crate) fn doubt(&self) -> Option<u64> {
        *self.overseen.doubt.lock().expect("nothing panics while it holds the doubt")
    }

    /// From now on somebody finds out how large a file each instance scans: large samples wait for that.
    pub(crate) fn expect_sizes(&self) {
        self.overseen.sizes_are_tried.store(true, Ordering::Relaxed);
    }

    /// Whether somebody finds out how large a file each instance scans.
    pub(super) fn sizes_are_tried(&self) -> bool {
        self.overseen.sizes_are_tried.load(Ordering::Relaxed)
    }

    /// How long an instance may be behind the newest signatures; 0: as long as it likes.
    pub(crate) fn lag(&self) -> Duration {
        self.roster().lag
    }
}

impl Instance {
    /// Whether it is known how large a file it scans; or nobody has found out for too long.
    pub(super) fn knows_its_size(&self, now: Instant) -> bool {
        self.lock().orders.are_known() || now.saturating_duration_since(self.first_heard()) > SIZE_PATIENCE
    }

    fn hold_to(&self, orders: Orders) {
        self.lock().orders = orders;
    }
}
