// SPDX-License-Identifier: GPL-3.0-or-later
//! `[desk]`: the worker that answers, for a milter of a cluster, what only workers have. So people can ask on an MTA's host,
//! at the milter's admin socket, why a mail was deferred there.

use futures_util::{FutureExt, future::BoxFuture};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use thundergate_common::{
    admin::backend::Elsewhere,
    api::Endpoint,
    causes::with_causes,
    config::{Fault, filled},
    exit::UNAVAILABLE,
};
use thundergate_worker::people::{client::Client, error::PeopleError};
use url::Url;

/// `[desk]`: a worker's admin server, and how this milter shows who it is there.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Desk {
    /// Where a worker's admin server is; none: nothing is passed on.
    #[serde(deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub url: Option<Url>,
    /// The file that holds a token of the worker's `admin.tokens_file`.
    #[serde(deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Certificates (PEM) of who may have signed the worker's one; none: those that this machine trusts.
    #[serde(deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// The worker, as it is asked.
struct Worker(Client);

impl Desk {
    /// Finds what can never work. A milter without Redis answers everything itself.
    ///
    /// # Errors
    ///
    /// The first fault.
    pub fn check(&self, one_process: bool) -> Result<(), Fault> {
        if one_process && self.url.is_some() {
            return Fault::found(
                &["desk.url"],
                "is for a milter with [redis]: without, it answers everything itself",
            );
        }
        self.worker().map(drop).map_err(|error| Fault::new(&["desk.url"], with_causes(&error)))
    }

    /// Whom to ask, if anybody.
    pub(crate) fn elsewhere(&self) -> Option<std::sync::Arc<dyn Elsewhere>> {
        // What can be wrong was found when the configuration was checked.
        let worker = self.worker().ok().flatten()?;
        Some(std::sync::Arc::new(worker))
    }

    fn worker(&self) -> Result<Option<Worker>, PeopleError> {
        let Some(url) = &self.url else { return Ok(None) };
        Client::at_url(url, self.token_file.as_deref(), self.ca_file.as_deref()).map(Worker).map(Some)
    }
}

impl Elsewhere for Worker {
    fn ask<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        question: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, (u16, String)>> {
        let refused = |error: PeopleError| match error {
            PeopleError::Refused { status, said, .. } => (status, said),
            error if error.status() == UNAVAILABLE => (503, format!("desk.url: {}", with_causes(&error))),
            error => (502, format!("desk.url, desk.token_file: {}", with_causes(&error))),
        };
        async move { self.0.pass_on(endpoint, question).await.map_err(refused) }.boxed()
    }
}
