// SPDX-License-Identifier: GPL-3.0-or-later
//! The worker's answer to `/status`: queue, farm and dead letters as the hub tells of them; without the hub, the farm as
//! this worker sees it.

use crate::farm::Farm;
use futures_util::future::{BoxFuture, FutureExt};
use std::sync::Arc;
use thundergate_common::{
    admin::{
        hub_view::HubView,
        status::{Program, Status, Subject},
    },
    clock::{now, now_ms},
    generation::FarmReport,
    hub::Observer,
    telemetry::process_name,
};

struct Worker {
    program: Program,
    farm: Arc<Farm>,
    hub: HubView,
}

/// The worker between `hub` and `farm`.
pub fn subject(hub: Arc<dyn Observer>, farm: Arc<Farm>) -> Arc<dyn Subject> {
    let program = Program {
        name: "worker",
        version: env!("CARGO_PKG_VERSION"),
        process: process_name(),
        started_ms: now_ms(),
        hub: "redis",
        passive: false,
    };
    Arc::new(Worker { program, farm, hub: HubView::new(hub) })
}

impl Subject for Worker {
    fn status(&self) -> BoxFuture<'_, Status> {
        self.describe().boxed()
    }
}

impl Worker {
    async fn describe(&self) -> Status {
        let mut status = Status { program: self.program.clone(), at_ms: now_ms(), ..Status::default() };
        let own = FarmReport {
            worker: self.program.process.clone(),
            at: now(),
            instances: self.farm.reports(),
            doubt: None,
        };
        self.hub.describe(&mut status, Some(own)).await;
        status
    }
}
