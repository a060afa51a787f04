// SPDX-License-Identifier: GPL-3.0-or-later
//! Why a question has no answer: whose fault it is, and what to do.

use std::{error::Error, path::PathBuf, time::Duration};
use thundergate_common::{
    api::Scope,
    exit::{CONFIG, NO_PERMISSION, SOFTWARE, UNAVAILABLE, USAGE},
};

/// Whose members may use the admin sockets.
pub const GROUP: &str = "thundergate-admin";

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// Options that do not go together.
    #[error("{0}")]
    Usage(String),
    /// A file that is named is of no use, or HTTP cannot be set up with it.
    #[error("{0}")]
    Setup(String, #[source] Option<Box<dyn Error + Send + Sync>>),
    /// Nobody listens.
    #[error(
        "no worker or milter with an admin socket runs here: start one (systemctl start thundergate-worker or \
         thundergate-milter), or name one with --socket or --url"
    )]
    Nobody,
    /// A socket is there, and nobody behind it.
    #[error("nobody listens at {}: start the program whose socket it is, or name another with --socket or --url", .0.display())]
    Deserted(PathBuf),
    /// The socket is not for this user.
    #[error("{} is not for you: join the group {GROUP} (adduser YOU {GROUP}, then log in again), or be root", .0.display())]
    Forbidden(PathBuf),
    /// The token, or that there is none, is not enough.
    #[error("this needs the scope {needs} at {whom}: {said}")]
    NoScope {
        /// Who was asked.
        whom: String,
        /// The least that would do.
        needs: Scope,
        /// What it said.
        said: String,
    },
    /// There is no connection, or it broke.
    #[error("{whom} cannot be reached")]
    Unreachable {
        /// Who was asked.
        whom: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// It took too long.
    #[error("{whom} did not answer within {} s", patience.as_secs())]
    Late {
        /// Who was asked.
        whom: String,
        /// How long it was awaited.
        patience: Duration,
    },
    /// It cannot or will not.
    #[error("{said} (status {status} of {whom})")]
    Refused {
        /// Who was asked.
        whom: String,
        /// The status of HTTP.
        status: u16,
        /// What it said.
        said: String,
    },
    /// What came is no answer to this question.
    #[error("{whom} gives no answer that this command understands: {problem}")]
    Unusable {
        /// Who was asked.
        whom: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A question about a sample or a mail has an empty answer.
    #[error("{0}")]
    Unknown(&'static str),
    /// A dead letter that was named is not there.
    #[error("there is no dead letter {0}")]
    NoLetter(String),
    /// It was done in part, or there is nobody who could.
    #[error("{0}")]
    Unavailable(&'static str),
    /// An answer cannot be printed.
    #[error("cannot print the answer")]
    Print(#[from] serde_json::Error),
}

impl PeopleError {
    /// The exit status by sysexits.h.
    pub fn status(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Refused { status: 400, .. } => USAGE,
            Self::Setup(..) => CONFIG,
            Self::Forbidden(_) | Self::NoScope { .. } => NO_PERMISSION,
            Self::Unknown(_) | Self::NoLetter(_) => 1,
            Self::Print(_) => SOFTWARE,
            Self::Nobody
            | Self::Deserted(_)
            | Self::Unreachable { .. }
            | Self::Late { .. }
            | Self::Refused { .. }
            | Self::Unusable { .. }
            | Self::Unavailable(_) => UNAVAILABLE,
        }
    }
}
