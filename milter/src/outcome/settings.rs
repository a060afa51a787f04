// SPDX-License-Identifier: GPL-3.0-or-later
//! `mode` and `[tag]`: whether decisions are carried out, and how a message is marked. `deploy/milter.toml` documents every
//! key.

use super::ambiguity_results;
use serde::{Deserialize, Serialize};
use thundergate_common::config::Fault;

/// Whether decisions are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// They are.
    Active,
    /// Everything is accepted; the log says what would have been done.
    Passive,
}

/// `[tag]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    /// The name of the header that a tagged message gets.
    pub header: String,
    /// Who says so in MIME-Ambiguity-Results; empty: the MTA, by its own name.
    pub authserv_id: String,
}

impl Tag {
    /// What serde cannot see.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        // RFC 5322, 2.2: printable ASCII without the colon.
        let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        if !(1..=64).contains(&self.header.len()) || !is_name(&self.header) {
            return fault(&["tag.header"], "must be a header's name, such as X-Thundergate");
        }
        if self.header.eq_ignore_ascii_case(ambiguity_results::NAME) {
            return fault(&["tag.header"], "must not be MIME-Ambiguity-Results, which is written beside it");
        }
        if !self.authserv_id.is_empty() && !ambiguity_results::is_token(&self.authserv_id) {
            return fault(&["tag.authserv_id"], "must be a name such as mx.example.org, without blanks");
        }
        Ok(())
    }
}

fn fault(keys: &[&str], message: &str) -> Result<(), Fault> {
    Err(Fault::new(keys, message))
}
