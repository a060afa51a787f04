// SPDX-License-Identifier: GPL-3.0-or-later
//! The people's command. What it does is in the library.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // reqwest uses whatever is installed, and panics where nothing is. It fails only where something is already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    thundergate_worker::people::run(std::env::args_os()).await
}
