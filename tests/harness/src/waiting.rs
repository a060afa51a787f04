// SPDX-License-Identifier: GPL-3.0-or-later
//! Waiting for something that another process does, with a limit that has a name.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

/// How long a test waits for what takes milliseconds on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(20);

/// Waits until `predicate` holds; panics with `what` if it does not within `patience`.
pub async fn eventually(patience: Duration, what: &str, mut predicate: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !predicate().await {
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// A port of 127.0.0.1 that nobody listened on a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("127.0.0.1 has a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}
