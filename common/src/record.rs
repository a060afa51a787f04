// SPDX-License-Identifier: GPL-3.0-or-later
//! The record of a mail: what is kept of it for people. It holds all that the decision was made of, so that somebody can
//! ask later who got what, and what another policy would have said.
//!
//! A milter writes one record a mail, after the reply; the hub keeps the newest of all milters. Whoever reads it believes
//! that the mail was *accepted for* its recipients where the action says so, not that it reached them.
//!
//! | module | owns |
//! |---|---|
//! | `cut` | the wire form, and what is left out of a record that would be too long |
//! | [`pack`] | many records in few bytes, as a hub keeps them |
//! | [`seen`] | the search for a digest |
//! | [`queue_id`] | the search for a mail by the MTA's name of it |
//!
//! Words (actions, causes, dispositions) are those of the log. It must not know what they mean, nor where records are
//! kept.

mod cut;
pub mod pack;
pub mod queue_id;
pub mod seen;

use crate::{
    digest::Digest,
    sample::{NameHint, SampleKey},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, net::IpAddr};

pub use cut::MOST_BYTES;

/// One mail. A later program adds fields, and reading ignores those that it does not know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MailRecord {
    /// No other record has it; it begins with [`Self::at_ms`].
    pub id: RecordId,
    /// When it was decided, in milliseconds since the epoch, by the hub's clock.
    pub at_ms: u64,
    /// The host of the milter.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// The address at which the mail came in; empty where the milter does not know it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub listener: String,
    /// What the MTA calls itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mta: String,
    /// The MTA's queue id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub queue_id: String,
    /// Message-ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The address of the MTA's client; none over a local socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_address: Option<IpAddr>,
    /// The client's name as the MTA looked it up.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub client_name: String,
    /// What the client said in HELO or EHLO.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub helo: String,
    /// The SMTP AUTH identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticated: Option<String>,
    /// Envelope sender; empty for a bounce.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sender: String,
    /// Envelope recipients, once for all parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
    /// How many recipients there were, where some are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipients_total: Option<usize>,
    /// Size of the message in bytes.
    pub size: u64,
    /// What was wrong with the message as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<String>,
    /// Which budget it exceeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub malformed: Option<String>,
    /// Where readers could differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ambiguities: Vec<String>,
    /// How its parts ended, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartRecord>,
    /// How many parts there were, where some are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts_total: Option<usize>,
    /// Of the policy that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Digest>,
    /// Whether the milter was in passive mode: then the MTA was told to accept, whatever the action.
    #[serde(default, skip_serializing_if = "is_false")]
    pub passive: bool,
    /// What the policy decided.
    pub action: String,
    /// Why.
    pub cause: String,
    /// From the end of the message to the decision, in milliseconds.
    pub total_ms: u64,
}

/// One part of a mail and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PartRecord {
    /// Of its bytes; none where it is no sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What the scanner is told of its name.
    #[serde(default, skip_serializing_if = "no_hint")]
    pub hint: Option<NameHint>,
    /// The name a mail client would show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `type/subtype`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// Decoded size in bytes.
    pub size: u64,
    /// `clean`, `found`, `pending`, `skipped` or `failed`.
    pub disposition: String,
    /// Why it was skipped or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where the disposition comes from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The verdict as it was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<VerdictUsed>,
}

/// Which verdict stood behind a disposition, in short.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VerdictUsed {
    /// When the scan ended, in seconds since the epoch.
    pub scanned_at: u64,
    /// Signature version of the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signatures: Option<String>,
    /// The instance that scanned.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// The highest score of its findings.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub score: i64,
    /// Names of the first rules that matched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// How many rules matched, where some are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules_total: Option<u64>,
}

/// Names a record: the milliseconds of its time in 48 bits, then 80 random ones. Written as 32 hexadecimal digits, whose
/// order is that of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordId(u128);

impl PartRecord {
    /// What the part's sample is known by; none where it is no sample.
    pub fn sample(&self) -> Option<SampleKey> {
        let hint = self.hint.clone().unwrap_or(NameHint::None);
        self.digest.map(|digest| SampleKey { digest, hint })
    }
}

impl RecordId {
    /// A new one for a mail of this time.
    pub fn at(at_ms: u64) -> Self {
        let mut random = [0; 16];
        getrandom::fill(&mut random[6..]).expect("the kernel gives random bytes");
        Self(u128::from(at_ms) << 80 | u128::from_be_bytes(random))
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for RecordId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RecordId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map(Self).map_err(serde::de::Error::custom)
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &i64) -> bool {
    *value == 0
}

fn no_hint(hint: &Option<NameHint>) -> bool {
    matches!(hint, None | Some(NameHint::None))
}

#[cfg(test)]
mod tests;
