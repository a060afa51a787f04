// SPDX-License-Identifier: GPL-3.0-or-later
//! The program. What it does is in the library.

use std::process::ExitCode;

/// Keeps the memory of a large message for the next one, for a while; glibc's gives it back each time, and every page of
/// it has to be got anew.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // A sealed container is opened by this program, started again; it confines itself while it has one thread.
    if let Some(status) = thundergate_open::run_if_asked(std::env::args_os()) {
        return status;
    }
    // reqwest and redis use whatever is installed, and panic where nothing is. It fails only where something is already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new().expect("the system gives threads to a program that starts");
    let status = runtime.block_on(thundergate_milter::command::run(std::env::args_os()));
    // A name that is still being looked up keeps a thread, which nobody has to wait for.
    runtime.shutdown_background();
    status
}
