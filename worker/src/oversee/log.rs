// SPDX-License-Identifier: GPL-3.0-or-later
//! What the log is told of instances: a line when something begins and one when it is over, by the worker that leads.

use std::io;
use thundergate_common::oversight::{Lag, News};

/// One line.
pub(super) fn tell(news: &News) {
    match news {
        News::Blind { instance, from } => tracing::warn!(
            event = "blind",
            farm.instance = instance,
            farm.blind_from = from,
            "An instance does not find the canary: it gets no mail, and what it called clean since its last good one is \
             scanned again"
        ),
        News::Sees { instance } => tracing::info!(
            event = "blind",
            farm.instance = instance,
            "An instance finds the canary again and gets mail in some seconds"
        ),
        News::Doubt { instances } => tracing::error!(
            event = "canary",
            farm.instances = instances.join(","),
            "No instance that answers finds the canary: is the canary wrong, or are the signatures of all? They go on \
             scanning mail"
        ),
        News::Certain => tracing::info!(event = "canary", "An instance finds the canary again"),
        News::Behind(lag) => behind(lag),
        News::Late(lag) => late(lag),
        News::CaughtUp { instance } => tracing::info!(
            event = "signatures",
            farm.instance = instance,
            "An instance has the newest signatures again"
        ),
    }
}

fn behind(lag: &Lag) {
    tracing::warn!(
        event = "signatures",
        farm.instance = lag.instance,
        farm.signatures = lag.signatures,
        farm.newest = lag.newest,
        farm.behind_hours = lag.behind.as_secs() / 3600,
        "An instance is behind with its signatures"
    );
}

fn late(lag: &Lag) {
    tracing::warn!(
        event = "signatures",
        farm.instance = lag.instance,
        farm.signatures = lag.signatures,
        farm.newest = lag.newest,
        farm.behind_hours = lag.behind.as_secs() / 3600,
        "An instance has been behind with its signatures for too long (farm.lag) and gets no mail until it has them"
    );
}

/// The site's own canary cannot be read.
pub(super) fn no_canary(error: &io::Error) {
    tracing::warn!(
        event = "canary",
        error = error.to_string(),
        "The file of the canary cannot be read; the EICAR test file is sent instead"
    );
}

/// How large a file an instance scans.
pub(super) fn size(instance: &str, bytes: u64, proved: bool, configured: u64) {
    match (proved, bytes < configured) {
        (true, false) => tracing::info!(
            event = "size",
            farm.instance = instance,
            farm.max_file_bytes = bytes,
            "An instance scans files of the configured size"
        ),
        (false, false) => tracing::info!(
            event = "size",
            farm.instance = instance,
            farm.max_file_bytes = bytes,
            "Whether an instance scans files of the configured size is not proved: it finds nothing in a small ZIP either"
        ),
        (_, true) => tracing::warn!(
            event = "size",
            farm.instance = instance,
            farm.max_file_bytes = bytes,
            farm.max_file_bytes_configured = configured,
            "An instance does not scan files of the configured size (farm.max_file_bytes) and gets only smaller ones"
        ),
    }
}
