// SPDX-License-Identifier: GPL-3.0-or-later
//! Bounds that the kernel keeps.

use super::Confinement;
use rustix::process::{Resource, Rlimit, setrlimit};
use std::{fs, io};

/// Standard input, output and error: no descriptor beside them.
const DESCRIPTORS: u64 = 3;
/// Seconds between SIGXCPU, which ends it, and SIGKILL.
const GRACE: u64 = 1;

/// Sets them, soft and hard.
pub(super) fn set(confinement: &Confinement, own_bytes: u64) -> io::Result<()> {
    let Confinement { memory_bytes, processor_seconds, .. } = *confinement;
    let bounds = [
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nproc, 0),
        (Resource::Nofile, DESCRIPTORS),
        (Resource::As, own_bytes.saturating_add(memory_bytes)),
    ];
    for (resource, bound) in bounds {
        setrlimit(resource, Rlimit { current: Some(bound), maximum: Some(bound) })?;
    }
    let time = Rlimit { current: Some(processor_seconds), maximum: Some(processor_seconds + GRACE) };
    Ok(setrlimit(Resource::Cpu, time)?)
}

/// Address space that the program takes as it starts, of which most is never used. Asked while there are files.
pub(super) fn own_bytes() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kib: Option<u64> = size.and_then(|size| size.trim().trim_end_matches(" kB").parse().ok());
    kib.map(|kib| kib << 10).ok_or_else(|| io::Error::other("no VmSize in /proc/self/status"))
}
