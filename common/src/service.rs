// SPDX-License-Identifier: GPL-3.0-or-later
//! What the service manager is told (sd_notify(3)): ready, reloading, stopping, and that the process is alive. Without
//! systemd there is nobody to tell, and nothing happens.

use sd_notify::NotifyState;

/// The program serves, with the configuration it has now.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is being read again; [`ready`] follows.
pub fn reloading() {
    let mut states = vec![NotifyState::Reloading];
    states.extend(NotifyState::monotonic_usec_now().ok());
    tell(&states);
}

/// The program drains.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says twice in every `WatchdogSec=` that the process is alive, for ever. It says so from the runtime that also serves:
/// where that does not turn any more, systemd starts the program anew.
pub async fn keep_alive() {
    let Some(patience) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    loop {
        tell(&[NotifyState::Watchdog]);
        tokio::time::sleep(patience / 2).await;
    }
}

fn tell(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}
