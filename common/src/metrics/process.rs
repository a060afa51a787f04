// SPDX-License-Identifier: GPL-3.0-or-later
//! What the process takes of the machine, under the names that Prometheus' client libraries have agreed on. Linux tells
//! it in `/proc`; elsewhere, or where that is not mounted, these metrics are absent.
//!
//! * `process_cpu_seconds_total`: user and system time
//! * `process_resident_memory_bytes`, `process_virtual_memory_bytes`
//! * `process_open_fds`, `process_max_fds`: file descriptors in use, and how many there may be
//! * `process_start_time_seconds`: in seconds since the epoch

use super::gauge;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter},
};
use std::{fmt, fs};

/// Linux counts processor time in hundredths of a second, on every architecture that Rust's standard library knows.
const TICKS_PER_SECOND: f64 = 100.0;

/// This process.
#[derive(Debug)]
pub(super) struct Process {
    /// When it started, in seconds since the epoch.
    pub started: f64,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let read = |file| fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
        if let Some(seconds) = cpu_seconds(&read("stat")) {
            let name = "process_cpu_seconds";
            let help = "User and system time in seconds";
            let family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(seconds).encode(family)?;
        }
        let (status, limits) = (read("status"), read("limits"));
        let open = fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as f64);
        let gauges = [
            ("process_resident_memory_bytes", "Resident memory", memory(&status, "VmRSS:")),
            ("process_virtual_memory_bytes", "Virtual memory", memory(&status, "VmSize:")),
            ("process_open_fds", "Open file descriptors", open),
            ("process_max_fds", "Most file descriptors that may be open", most_files(&limits)),
            ("process_start_time_seconds", "When it started, in seconds since the epoch", Some(self.started)),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                gauge(&mut encoder, name, help, value)?;
            }
        }
        Ok(())
    }
}

/// proc_pid_stat(5): utime and stime are the fields 14 and 15. The second one is a name that may hold anything, up to the
/// last parenthesis.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

/// proc_pid_status(5): in KiB, although it says kB.
fn memory(status: &str, field: &str) -> Option<f64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(rest.trim().strip_suffix(" kB")?.parse::<f64>().ok()? * 1024.0)
}

/// proc_pid_limits(5): the soft limit comes first; none where it is `unlimited`.
fn most_files(limits: &str) -> Option<f64> {
    let rest = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read_as_it_is_written() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 900 0 3 0 250 150 0 0 20 0 9 0 8675309 1 2";
        assert_eq!(cpu_seconds(stat), Some(4.0));
        assert_eq!(cpu_seconds(""), None);
        let status = "VmPeak:\t  9 kB\nVmSize:\t  300 kB\nVmRSS:\t    20 kB\n";
        assert_eq!(memory(status, "VmRSS:"), Some(20_480.0));
        assert_eq!(memory(status, "VmSwap:"), None);
        let limits = "Limit                     Soft Limit   Hard Limit   Units\nMax open files            1024         4096         files\n";
        assert_eq!(most_files(limits), Some(1024.0));
        assert_eq!(most_files("Max open files            unlimited  unlimited files"), None);
    }
}
