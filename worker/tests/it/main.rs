// SPDX-License-Identifier: GPL-3.0-or-later
//! The worker against a stand-in for Thunderstorm that does exactly what a test tells it.

#![allow(missing_docs, clippy::unwrap_used)]

mod blame;
mod changes;
mod client;
mod farm;
mod faulty;
mod open;
mod oversee;
mod program;
mod run;
mod stub;

use std::time::Duration;

/// How long anything may take here.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `holds`.
pub async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "{what}");
}
