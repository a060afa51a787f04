// SPDX-License-Identifier: GPL-3.0-or-later
//! What Redis's errors mean to the hub.

use crate::hub::HubError;
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Codes of errors that pass by themselves or when an operator acts, and say nothing about the command.
const PASSING: [&str; 7] = ["OOM", "MISCONF", "NOREPLICAS", "BUSY", "UNKILLABLE", "NOAUTH", "WRONGPASS"];

/// Unreachable, late, starting, failing over: unavailable. Anything else is an answer that cannot be used.
pub(super) fn hub_error(error: RedisError) -> HubError {
    let unavailable = match error.kind() {
        ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::BusyLoading
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::TryAgain
                | ServerErrorKind::Moved
                | ServerErrorKind::Ask
        ),
        ErrorKind::Io
        | ErrorKind::AuthenticationFailed
        | ErrorKind::ClusterConnectionNotFound
        | ErrorKind::MasterNameNotFoundBySentinel
        | ErrorKind::NoValidReplicasFoundBySentinel => true,
        _ => false,
    };
    let passing = || error.code().is_some_and(|code| PASSING.contains(&code));
    if unavailable || passing() || out_of_memory(&error) {
        HubError::Unavailable(error.into())
    } else {
        HubError::Unusable(error.into())
    }
}

/// No answer in time.
pub(super) fn timed_out() -> HubError {
    HubError::Unavailable("no answer in time".into())
}

/// An answer of a shape that no command here gives.
pub(super) fn unusable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> HubError {
    HubError::Unusable(error.into())
}

/// Whether Redis refused a write because `maxmemory` is reached; within a script the code is not always the first word.
pub(super) fn out_of_memory(error: &RedisError) -> bool {
    error.code() == Some("OOM") || error.to_string().contains("OOM command not allowed")
}
