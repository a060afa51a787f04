// SPDX-License-Identifier: GPL-3.0-or-later
//! What opening may take.

use std::time::Duration;

/// What one container may take, and how many are opened at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Containers that are opened at once, each in a process of its own. Default: 1.
    pub concurrency: usize,
    /// From the start of the process to its whole answer; then it is killed. After three quarters of it no further password
    /// is tried, so that what was found until then arrives. Default: 20 s.
    pub timeout: Duration,
    /// Address space of the process, which holds the container, what is decoded, and the program itself. Default: 512 MiB.
    pub memory_bytes: u64,
    /// Bytes of all members together. Default: 64 MiB.
    pub bytes_out: u64,
    /// Members, those of inner containers as well. Default: 1,000.
    pub members: usize,
    /// Rounds of one key derivation, where the sender chooses them. Office programs write 100,000, WinRAR 32,768, 7-Zip
    /// 524,288. Default: 1,048,576.
    pub rounds: u64,
    /// Opens even where the kernel cannot confine the process: whoever finds a flaw in the decoders then has what the service
    /// has. Default: false.
    pub unconfined: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrency: 1,
            timeout: Duration::from_secs(20),
            memory_bytes: 512 << 20,
            bytes_out: 64 << 20,
            members: 1_000,
            rounds: 1 << 20,
            unconfined: false,
        }
    }
}
