// SPDX-License-Identifier: GPL-3.0-or-later
//! `[traces]`: where traces go, and of how many mails.

use crate::config::Fault;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `[traces]`: what is told to an OpenTelemetry collector.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    /// Where it takes OTLP over HTTP; `/v1/traces` is appended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<url::Url>,
    /// The part of all mails that are traced, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_ratio: Option<f64>,
    /// Header fields for the collector, such as a token: lines `Name: value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers_file: Option<PathBuf>,
}

impl Traces {
    /// Finds what contradicts itself or can never work.
    ///
    /// # Errors
    ///
    /// The first fault.
    pub fn check(&self) -> Result<(), Fault> {
        let usable = |url: &url::Url| {
            matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
        };
        if !self.endpoint.as_ref().is_none_or(usable) {
            return Fault::found(
                &["traces.endpoint"],
                "must be http:// or https:// without a user: a token belongs in traces.headers_file",
            );
        }
        if !self.sample_ratio.is_none_or(|ratio| (0.0..=1.0).contains(&ratio)) {
            return Fault::found(&["traces.sample_ratio"], "must be from 0 to 1");
        }
        Ok(())
    }
}
