// SPDX-License-Identifier: GPL-3.0-or-later
//! CPU time and memory of processes, as the kernel counts them.

use super::plan::Process;
use nix::{
    time::{ClockId, clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};
use std::{fs, time::Duration};

/// What a process has used at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time of all its threads, to the nanosecond.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub resident: u64,
    /// The most it ever had, or since [`forget_peak`].
    pub peak: u64,
}

impl Usage {
    /// Of a process; nothing where there is none.
    pub fn of(process: &Process) -> Self {
        let pid = i32::try_from(process.id).map(Pid::from_raw);
        let clock = pid.ok().and_then(|pid| clock_getcpuclockid(pid).ok());
        let time = clock.and_then(|clock| clock_gettime(clock).ok());
        let (resident, peak) = memory(&format!("/proc/{}/status", process.id));
        Self { cpu: time.map(Duration::from).unwrap_or_default(), resident, peak }
    }

    /// Of this process.
    pub fn own() -> Self {
        let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).ok();
        let (resident, peak) = memory("/proc/self/status");
        Self { cpu: time.map(Duration::from).unwrap_or_default(), resident, peak }
    }
}

/// Lets the kernel count the most memory of a process from now on; where that is not allowed, it is that of its whole
/// life.
pub fn forget_peak(process: &Process) {
    let _ = fs::write(format!("/proc/{}/clear_refs", process.id), "5");
}

/// Whether there is such a process.
pub fn exists(process: &Process) -> bool {
    fs::exists(format!("/proc/{}/status", process.id)).unwrap_or(false)
}

fn memory(file: &str) -> (u64, u64) {
    let status = fs::read_to_string(file).unwrap_or_default();
    let bytes = |field: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(field))?;
        value.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
    };
    (bytes("VmRSS:").unwrap_or_default(), bytes("VmHWM:").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_as_time_and_memory() {
        let this = Process { name: String::new(), id: std::process::id() };
        let before = Usage::of(&this);
        let mut bytes = vec![1_u8; 64 << 20];
        bytes.iter_mut().enumerate().for_each(|(at, byte)| *byte = byte.wrapping_mul(at as u8));
        let after = Usage::of(&this);
        assert!(after.cpu > before.cpu, "{before:?} {after:?}");
        assert!(after.resident > before.resident + (32 << 20), "{before:?} {after:?}");
        assert!(after.peak >= after.resident / 2 && Usage::own().cpu >= after.cpu);
        assert_eq!(std::hint::black_box(bytes).len(), 64 << 20);
    }
}
