// SPDX-License-Identifier: GPL-3.0-or-later
//! `[policy]`: the expressions, the failure table and whose mail is not scanned. `deploy/milter.toml` documents every key.

use crate::{action::Action, cause::Cause, network::Network};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// `[policy]`: expressions, where empty means never, and the failure table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// The MTA holds the message.
    pub quarantine: String,
    /// The sender gets it back.
    pub reject: String,
    /// The sender shall try again later.
    pub tempfail: String,
    /// It passes with a header.
    pub tag: String,
    /// It vanishes.
    pub discard: String,
    /// What happens when something goes wrong.
    pub on: On,
    /// Mail that is not scanned.
    pub trust: Trust,
}

/// `[policy.on]`: the failure table. Never [`Action::Discard`].
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct On {
    /// No verdict at the deadline.
    pub pending: Action,
    /// The scan failed for good.
    pub scan_failed: Action,
    /// The hub is unreachable and nothing can be scanned directly.
    pub unavailable: Action,
    /// Queue or memory full.
    pub overload: Action,
    /// Message or part too large.
    pub oversize: Action,
    /// The message cannot be taken apart, or exceeds a budget.
    pub malformed: Action,
    /// Several readings, all clean.
    pub ambiguous: Action,
    /// A part is encrypted.
    pub encrypted: Action,
    /// A part asks for a password that nobody knows.
    pub sealed: Action,
    /// A part is an archive or image that nobody opens.
    pub unopened: Action,
    /// A part's content is elsewhere (message/external-body).
    pub external_body: Action,
    /// A fragment of a message (message/partial).
    pub partial: Action,
}

/// `[policy.trust]`: mail that is not scanned.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// From clients in these networks.
    pub networks: Vec<Network>,
    /// From senders who logged in.
    pub authenticated: bool,
}

impl Trust {
    /// Whether mail from this client or this SMTP AUTH identity is not scanned.
    pub fn covers(&self, client: Option<IpAddr>, authenticated: Option<&str>) -> bool {
        let near = client.is_some_and(|client| self.networks.iter().any(|network| network.contains(client)));
        near || (self.authenticated && authenticated.is_some())
    }
}

impl PolicyConfig {
    /// Every action that an expression can propose, with its expression.
    pub fn expressions(&self) -> [(Action, &str); 5] {
        [
            (Action::Discard, &self.discard),
            (Action::Reject, &self.reject),
            (Action::Quarantine, &self.quarantine),
            (Action::Tempfail, &self.tempfail),
            (Action::Tag, &self.tag),
        ]
    }
}

impl On {
    /// What its row for `cause` says; none where the table has no such row.
    pub fn action(&self, cause: Cause) -> Option<Action> {
        match cause {
            Cause::Pending => Some(self.pending),
            Cause::ScanFailed => Some(self.scan_failed),
            Cause::Unavailable => Some(self.unavailable),
            Cause::Overload => Some(self.overload),
            Cause::Oversize => Some(self.oversize),
            Cause::Malformed => Some(self.malformed),
            Cause::Ambiguous => Some(self.ambiguous),
            Cause::Encrypted => Some(self.encrypted),
            Cause::Sealed => Some(self.sealed),
            Cause::Unopened => Some(self.unopened),
            Cause::ExternalBody => Some(self.external_body),
            Cause::Partial => Some(self.partial),
            Cause::Clean | Cause::Found | Cause::Trusted | Cause::Bug => None,
        }
    }

    /// The table. The key of a row is the name of its cause.
    pub fn rows(&self) -> impl Iterator<Item = (Cause, Action)> {
        Cause::ALL.into_iter().filter_map(|cause| Some((cause, self.action(cause)?)))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What is delivered, with the keys in `toml` over it.
    pub(crate) fn delivered_with(toml: &str) -> PolicyConfig {
        let delivered: toml::Table = include_str!("../../../deploy/milter.toml").parse().unwrap();
        let mut policy = delivered["policy"].clone();
        let keys: toml::Table = toml.parse().unwrap();
        if let Some(keys) = keys.get("policy") {
            overlay(&mut policy, keys);
        }
        policy.try_into().unwrap()
    }

    fn overlay(under: &mut toml::Value, over: &toml::Value) {
        match (under, over) {
            (toml::Value::Table(under), toml::Value::Table(over)) => {
                for (key, value) in over {
                    overlay(&mut under[key], value);
                }
            }
            (under, over) => *under = over.clone(),
        }
    }

    #[test]
    fn a_failure_must_not_discard_mail() {
        let fault = delivered_with("[policy.on]\npending = 'discard'").check().unwrap_err();
        assert_eq!(fault.keys, ["policy.on.pending"]);
        assert!(delivered_with("").check().is_ok());
    }

    #[test]
    fn every_row_of_the_table_is_a_key() {
        let on = toml::Table::try_from(delivered_with("").on).unwrap();
        let rows: Vec<_> = delivered_with("").on.rows().map(|(cause, _)| cause.as_str()).collect();
        assert_eq!(rows.len(), on.len());
        assert!(rows.iter().all(|row| on.contains_key(*row)), "{rows:?}");
    }
}
