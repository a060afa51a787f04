// SPDX-License-Identifier: GPL-3.0-or-later
//! The scanners as the workers see them.

use crate::generation::{FarmReport, InstanceReport, InstanceState};
use serde::{Deserialize, Serialize};

/// All instances.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Farm {
    /// Those of the program that answers in their order, then those that only others have.
    pub instances: Vec<Instance>,
    /// Since when no scanner that answers finds the canary; none where one does.
    pub canary_in_doubt_since_ms: Option<u64>,
}

/// One instance, from all sides.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// As the program that answers has it.
    #[serde(flatten)]
    pub own: InstanceReport,
    /// As every worker has it.
    pub workers: Vec<Seen>,
}

/// One instance as one worker has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The worker's process: host and number.
    pub worker: String,
    /// When it said so.
    pub at_ms: u64,
    /// What it said.
    #[serde(flatten)]
    pub report: InstanceReport,
}

impl Farm {
    /// What `workers` report, beside what this program has itself.
    pub fn of(own: Vec<InstanceReport>, workers: &[FarmReport]) -> Self {
        let mut instances: Vec<_> =
            own.into_iter().map(|own| Instance { own, workers: Vec::new() }).collect();
        for worker in workers {
            for report in &worker.instances {
                let (at_ms, report) = (worker.at * 1000, report.clone());
                let seen = Seen { worker: worker.worker.clone(), at_ms, report };
                match instances.iter_mut().find(|one| one.own.name == seen.report.name) {
                    Some(one) => one.workers.push(seen),
                    None => {
                        instances.push(Instance { own: unheard(&seen.report), workers: vec![seen] });
                    }
                }
            }
        }
        let doubt = workers.iter().filter_map(|worker| worker.doubt).min();
        Self { instances, canary_in_doubt_since_ms: doubt.map(|since| since * 1000) }
    }

    /// Whether somebody says of at least one instance that it scans.
    pub fn scans(&self) -> bool {
        let healthy = |one: &Instance| one.own.healthy || one.workers.iter().any(|seen| seen.report.healthy);
        self.instances.iter().any(healthy)
    }
}

/// What a worker knows of an instance that this program does not have, without what holds for that worker only.
fn unheard(report: &InstanceReport) -> InstanceReport {
    InstanceReport {
        state: InstanceState::Unheard,
        healthy: false,
        in_flight: 0,
        capacity: 0,
        latency_ms: None,
        info_ms: None,
        last_error: None,
        ..report.clone()
    }
}
