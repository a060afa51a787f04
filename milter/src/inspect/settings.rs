// SPDX-License-Identifier: GPL-3.0-or-later
//! `[scan]`, `[wait]` and `[fallback]`: what is a sample, how long a message waits for its verdict, what happens without
//! Redis. `deploy/milter.toml` documents every key.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use thundergate_common::{config::Fault, sample::HintStyle};
use thundergate_extract::Bodies;

/// Postfix's milter_command_timeout and libmilter's shortest default: an MTA that hears nothing for this long gives up.
const MTA_PATIENCE: Duration = Duration::from_secs(30);

/// How long an SMTP client waits for the answer to the end of DATA (RFC 5321, 4.5.3.2.6).
const CLIENT_PATIENCE: Duration = Duration::from_secs(600);

/// `[fallback]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    /// Scan directly on `[farm]` while Redis is unreachable.
    pub direct: bool,
}

/// `[scan]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Scan {
    /// How much of a part's name belongs to its sample.
    pub name_hint: HintStyle,
    /// Which bodies without a name are samples.
    pub bodies: Bodies,
}

/// `[wait]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// How long a message waits for its verdicts; zero: not at all.
    #[serde(with = "humantime_serde")]
    pub deadline: Duration,
    /// Messages that wait at the same time.
    pub sessions: usize,
    /// How often the MTA is told that the milter is at work.
    #[serde(with = "humantime_serde")]
    pub progress: Duration,
    /// How often a waiting message looks its verdicts up itself.
    #[serde(with = "humantime_serde")]
    pub poll: Duration,
}

impl Wait {
    /// What serde cannot see.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        if self.progress.is_zero() || self.progress >= MTA_PATIENCE {
            return Err(Fault::new(
                &["wait.progress"],
                "must be more than 0s and less than 30s, when MTAs give up",
            ));
        }
        if self.poll.is_zero() {
            return Err(Fault::new(&["wait.poll"], "must be more than 0s"));
        }
        if self.deadline >= CLIENT_PATIENCE {
            return Err(Fault::new(&["wait.deadline"], "must be less than 10min, when SMTP clients give up"));
        }
        Ok(())
    }
}
