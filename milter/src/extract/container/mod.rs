// SPDX-License-Identifier: GPL-3.0-or-later
//! Containers that a client opens but a MIME walk does not.

use bytes::Bytes;
use thundergate_common::verdict::SkipReason;

/// Bytes from its start by which a container is told.
pub(super) const START: usize = 64;

/// What is in a container.
#[derive(Debug, Default)]
pub(super) struct Opened {
    pub files: Vec<Inner>,
    pub sealed: Option<SkipReason>,
    pub over_limit: bool,
}

/// A file in a container.
#[derive(Debug)]
pub(super) struct Inner {
    pub name: Option<String>,
    pub media_type: String,
    pub content: Bytes,
    pub message: bool,
}

/// True where `start` begins a container.
pub(super) fn is_one(_start: &[u8]) -> bool {
    false
}

/// What is in `bytes`.
pub(super) fn open(_bytes: &Bytes, _limit: u64) -> Opened {
    Opened::default()
}

/// Why what a part of this type holds cannot be scanned.
pub(super) fn unscannable(media_type: &str) -> Option<SkipReason> {
    match media_type {
        "message/external-body" => Some(SkipReason::ExternalBody),
        "message/partial" => Some(SkipReason::Partial),
        _ => None,
    }
}
