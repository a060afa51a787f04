// SPDX-License-Identifier: GPL-3.0-or-later
//! The milter's answer to `/status`: what it has seen itself, and what its hub tells of queue and farm.

use crate::{inspect::inspector::Gate, observe::observer::Observer};
use futures_util::future::{BoxFuture, FutureExt};
use std::sync::Arc;
use thundergate_common::{
    admin::{
        hub_view::HubView,
        status::{Program, Status, Subject},
    },
    clock::now_ms,
    hub,
    telemetry::process_name,
};

struct Milter {
    program: Program,
    observer: Arc<Observer>,
    hub: HubView,
}

/// The milter that `gate` is part of. It holds no gate: their end is what the drain waits for.
pub fn subject(gate: &Gate, hub: Arc<dyn hub::Observer>, one_process: bool) -> Arc<dyn Subject> {
    let program = Program {
        name: "milter",
        version: env!("CARGO_PKG_VERSION"),
        process: process_name(),
        started_ms: now_ms(),
        hub: if one_process { "in-process" } else { "redis" },
        passive: false,
    };
    let observer = Arc::clone(&gate.observer);
    Arc::new(Milter { program, observer, hub: HubView::new(hub) })
}

impl Subject for Milter {
    fn status(&self) -> BoxFuture<'_, Status> {
        self.describe().boxed()
    }
}

impl Milter {
    async fn describe(&self) -> Status {
        let activity = &self.observer.activity;
        let mut status = Status {
            program: Program { passive: activity.passive(), ..self.program.clone() },
            at_ms: now_ms(),
            flow: Some(activity.flow()),
            unscanned: Some(activity.unscanned()),
            answers: Some(activity.answers()),
            waiting: Some(activity.waiting()),
            findings: Some(activity.findings()),
            ..Status::default()
        };
        self.hub.describe(&mut status, None).await;
        status
    }
}
