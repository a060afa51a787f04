// SPDX-License-Identifier: GPL-3.0-or-later
//! Who asked for what: a line in the log (`event = "audit"`) for each change and each look at what is personal, written
//! before it is done. A line that is not written in time is one for which nothing is done: no disk that is full and no
//! reader that is stuck makes a change that nobody can see. It says what somebody who may was going to do; what came of it,
//! the caller was told.
//!
//! | field | |
//! |---|---|
//! | `audit.who` | the user at the socket, or the name of the token |
//! | `audit.scope` | what the caller may do |
//! | `audit.from` | `socket`, or an address |
//! | `audit.action` | [`Endpoint::audited`](crate::api::Endpoint::audited) |
//! | `audit.what` | ids, a sample, a queue id |
//! | `audit.reason` | the caller's reason |
//!
//! What is refused is counted, and told at most once in ten seconds: it has no line of its own, since everybody can be
//! refused as often as they like.

use super::{access::Caller, peer::Peer};
use crate::{metrics, telemetry};
use futures_util::{FutureExt, future::BoxFuture};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// How long a line may take to be written.
const PATIENCE: Duration = Duration::from_secs(2);

/// Characters of [`Deed::what`].
const LONGEST_WHAT: usize = 2000;

/// Characters of [`Deed::reason`].
const LONGEST_REASON: usize = 500;

/// How often a refusal is told.
const REFUSALS: Duration = Duration::from_secs(10);

/// Where lines of the audit are written.
pub trait Journal: Send + Sync {
    /// True once the line is written, false where it cannot be. It is taken back where nobody waits for the answer.
    fn write(&self, entry: telemetry::Entry) -> BoxFuture<'_, bool>;
}

impl Journal for telemetry::Control {
    fn write(&self, entry: telemetry::Entry) -> BoxFuture<'_, bool> {
        async move { Self::write(self, &entry).await }.boxed()
    }
}

/// The audit of one server.
pub(super) struct Audit {
    journal: Option<Arc<dyn Journal>>,
    refusals: Mutex<Refusals>,
}

/// Refusals since the last one that was told.
#[derive(Default)]
struct Refusals {
    told: Option<Instant>,
    untold: u64,
}

/// What somebody is going to do.
pub(super) struct Deed<'a> {
    pub(super) action: &'static str,
    pub(super) what: String,
    pub(super) reason: &'a str,
}

impl Audit {
    /// Without a journal nothing can be written.
    pub(super) fn new(journal: Option<Arc<dyn Journal>>) -> Self {
        Self { journal, refusals: Mutex::default() }
    }

    /// Whether it was written down that `caller` is going to do that.
    pub(super) async fn notes(&self, caller: &Caller, peer: &Peer, deed: &Deed<'_>) -> bool {
        let Some(journal) = &self.journal else { return false };
        let Deed { action, what, reason } = deed;
        let fields = [
            ("event", "audit".to_owned()),
            ("audit.who", caller.who.to_string()),
            ("audit.scope", caller.scope.to_string()),
            ("audit.from", peer.to_string()),
            ("audit.action", (*action).to_owned()),
            ("audit.what", cut(what, LONGEST_WHAT)),
            ("audit.reason", cut(reason, LONGEST_REASON)),
        ];
        let entry = telemetry::Entry {
            target: "audit",
            message: format!("{action} by {}", caller.who),
            fields: fields.into(),
        };
        let written = timeout(PATIENCE, journal.write(entry)).await.unwrap_or(false);
        if !written {
            metrics::audit_failed();
        }
        written
    }

    /// Somebody was refused with that status.
    pub(super) fn refused(&self, who: Option<&Caller>, peer: &Peer, status: u16) {
        metrics::admin_refused();
        let mut refusals = self.refusals.lock().expect("nothing panics while it counts refusals");
        refusals.untold += 1;
        if refusals.told.is_some_and(|told| told.elapsed() < REFUSALS) {
            return;
        }
        tracing::warn!(
            event = "admin_refused",
            audit.who = who.map(|caller| &*caller.who).unwrap_or_default(),
            audit.from = %peer,
            http.status = status,
            admin.refused = refusals.untold,
            "A request to the admin server's API was refused: its caller is not known or may not do that"
        );
        *refusals = Refusals { told: Some(Instant::now()), untold: 0 };
    }
}

/// No more of `text` than `most` characters.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
