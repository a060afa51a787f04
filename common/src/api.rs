// SPDX-License-Identifier: GPL-3.0-or-later
//! The HTTP API of the admin servers, version 1: which endpoints there are, who may ask them, and the shapes that go to and
//! fro. `thundergate` and the status page are its clients; `deploy/api.md` is its description for people.
//!
//! Every body is JSON in UTF-8. Instants are milliseconds since the epoch and end in `_ms`, and so do spans of time, in
//! milliseconds. Digests, samples and ids are text. Later versions of a program add fields; a client ignores those that it
//! does not know. An error is [`Error`], whatever the status.
//!
//! | module | owns |
//! |---|---|
//! | [`queue`] | lanes and dead letters |
//! | [`farm`] | the scanners as the workers see them |
//! | [`verdicts`] | what is known of a sample; the generation |
//! | [`mails`] | which mails held a sample, why a mail was decided as it was |
//! | [`check`] | what a program finds wrong with what it needs |
//!
//! The shapes know nothing of HTTP; who answers is the admin server's, who asks is the command's.

pub mod check;
pub mod farm;
pub mod mails;
pub mod queue;
pub mod verdicts;

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// What the path of every endpoint begins with.
pub const PREFIX: &str = "/api/v1";

/// A header field that each change must have, with any value: no form of another web page can send it.
pub const CHANGE_HEADER: &str = "thundergate-change";

/// The largest body of a request in bytes.
pub const LARGEST_REQUEST: usize = 256 << 10;

/// What a caller may do. A larger scope has what the smaller ones have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// `/metrics`, `/` and `/status`: nothing in them says who wrote to whom.
    Metrics,
    /// Look at everything, personal data too.
    Read,
    /// Change something.
    Operator,
}

/// One thing that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `GET` or `POST`. What changes something, or has an address or a digest in its question, is a `POST`.
    pub method: &'static str,
    /// After [`PREFIX`].
    pub path: &'static str,
    /// The least that its caller needs.
    pub scope: Scope,
    /// Under which name the audit writes it down; none: it does not.
    pub audited: Option<&'static str>,
    /// Who answers.
    pub answers: Answers,
}

/// Which programs answer an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// Each of its own.
    All,
    /// A worker, and a milter that is the only process of its site. A milter of a cluster passes it on to a worker where
    /// `desk.url` names one.
    Hub,
}

impl Endpoint {
    /// Lanes and dead letters: [`queue::Queue`].
    pub const QUEUE: Self = Self::hub("GET", "/queue", Scope::Read, None);
    /// [`queue::Letters`]: their samples are scanned once more; gives [`queue::Retried`].
    pub const QUEUE_RETRY: Self = Self::hub("POST", "/queue/retry", Scope::Operator, Some("queue retry"));
    /// [`queue::Letters`] are forgotten; gives [`queue::Dropped`].
    pub const QUEUE_DROP: Self = Self::hub("POST", "/queue/drop", Scope::Operator, Some("queue drop"));
    /// The scanners: [`farm::Farm`].
    pub const FARM: Self = Self::hub("GET", "/farm", Scope::Read, None);
    /// [`verdicts::Generation`].
    pub const GENERATION: Self = Self::hub("GET", "/generation", Scope::Read, None);
    /// [`Reason`]: clean verdicts from before now are stale; gives [`verdicts::Generation`].
    pub const GENERATION_BUMP: Self =
        Self::hub("POST", "/generation/bump", Scope::Operator, Some("generation bump"));
    /// [`verdicts::Sought`]: what is known of it; gives [`verdicts::Known`].
    pub const VERDICTS: Self = Self::hub("POST", "/verdicts/search", Scope::Read, None);
    /// [`verdicts::Forget`]: the next mail has it scanned again; gives [`verdicts::Forgotten`].
    pub const VERDICTS_FORGET: Self =
        Self::hub("POST", "/verdicts/forget", Scope::Operator, Some("verdict forget"));
    /// [`verdicts::Sought`]: which mails held it; gives [`mails::Seen`].
    pub const MAILS_SEEN: Self = Self::hub("POST", "/mails/seen", Scope::Read, Some("seen"));
    /// [`mails::Asked`]: why that mail was decided as it was; gives [`mails::Story`].
    pub const MAILS_WHY: Self = Self::hub("POST", "/mails/why", Scope::Read, Some("why"));
    /// [`check::Wanted`]: what this program needs, tried; gives [`check::Report`]. A worker and its milters are asked each
    /// for themselves. With a scan it needs [`Scope::Operator`].
    pub const CHECK: Self =
        Self { answers: Answers::All, ..Self::hub("POST", "/check", Scope::Read, Some("check")) };

    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::QUEUE,
        Self::QUEUE_RETRY,
        Self::QUEUE_DROP,
        Self::FARM,
        Self::GENERATION,
        Self::GENERATION_BUMP,
        Self::VERDICTS,
        Self::VERDICTS_FORGET,
        Self::MAILS_SEEN,
        Self::MAILS_WHY,
        Self::CHECK,
    ];

    const fn hub(
        method: &'static str,
        path: &'static str,
        scope: Scope,
        audited: Option<&'static str>,
    ) -> Self {
        Self { method, path, scope, audited, answers: Answers::Hub }
    }

    /// Whether it changes something.
    pub fn changes(&self) -> bool {
        self.scope == Scope::Operator
    }
}

/// Why something is changed; may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reason {
    /// The caller's reason, for the audit. At most 500 characters of it are kept.
    pub reason: String,
}

/// Why there is no other answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// One sentence for people: whose fault it is and what to do.
    pub error: String,
}

impl Scope {
    /// As it stands in `admin.tokens_file`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Read => "read",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = NoScope;

    fn from_str(text: &str) -> Result<Self, NoScope> {
        let all = [Self::Metrics, Self::Read, Self::Operator];
        all.into_iter().find(|scope| scope.as_str() == text).ok_or(NoScope)
    }
}

/// What is no scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a scope is metrics, read or operator")]
pub struct NoScope;
