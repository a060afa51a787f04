// SPDX-License-Identifier: GPL-3.0-or-later
//! Messages made to cost as much as they can, beside a well-formed one of the same size.
//!
//! `cargo bench -p thundergate-milter --bench hostile [CASE…]` prints for each case how long the extraction takes in
//! multiples of the well-formed message of 10 MiB, how that grows from 5 to 10 MiB (2.0 is linear, less: a budget cut it
//! off), how much memory it takes in multiples of the message, and what cut it off. Each measurement runs in a process of
//! its own, so that the peak of its memory is its own.

mod hostile_cases;

use bytes::Bytes;
use hostile_cases::{CASES, Case};
use std::{
    env, fs,
    hint::black_box,
    process::Command,
    time::{Duration, Instant},
};
use thundergate_milter::extract::{Bodies, Budget, Extraction, extract};

/// As deployed.
const BUDGET: Budget = Budget { parts: 1000, depth: 50, readings: 500, decoded_bytes: 200 << 20 };
const SIZES: [usize; 2] = [5 << 20, 10 << 20];
/// A measurement goes on for so long, and repeats at least so often: the shortest repetition counts, since whatever else
/// the machine does makes the others longer.
const PATIENCE: Duration = Duration::from_millis(200);
const REPETITIONS: usize = 5;

/// One case at one size.
struct Measured {
    micros: f64,
    /// Of memory, at most, beside the message.
    kib: f64,
    /// `malformed`, samples, ambiguities.
    outcome: String,
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [flag, name, size] = &arguments[..]
        && flag == "--measure"
    {
        let case = CASES.iter().find(|case| case.name == name).expect("the parent knows the cases");
        return measure(case, size.parse().expect("the parent gives a number"));
    }
    // Cargo says so where it means to measure; as a test there is nothing to do.
    if arguments.iter().any(|argument| argument == "--bench") {
        let wanted: Vec<_> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
        table(&wanted);
    }
}

fn table(wanted: &[&String]) {
    println!(
        "{:34} {:>9} {:>8} {:>9} {:>8}  malformed, samples, ambiguities",
        "case", "ms", "× plain", "10 / 5 MiB", "memory"
    );
    let plain = SIZES.map(|size| in_child(&CASES[0], size));
    line(CASES[0].name, &plain, &plain[1]);
    for case in &CASES[1..] {
        if wanted.is_empty() || wanted.iter().any(|name| case.name.contains(name.as_str())) {
            line(case.name, &SIZES.map(|size| in_child(case, size)), &plain[1]);
        }
    }
}

fn line(name: &str, measured: &[Measured; 2], plain: &Measured) {
    let [half, whole] = measured;
    let (ratio, growth) = (whole.micros / plain.micros, whole.micros / half.micros);
    let memory = whole.kib * 1024.0 / SIZES[1] as f64;
    let milliseconds = whole.micros / 1000.0;
    println!("{name:34} {milliseconds:9.1} {ratio:8.2} {growth:10.1} {memory:8.2}  {}", whole.outcome);
}

fn in_child(case: &Case, size: usize) -> Measured {
    let program = env::current_exe().expect("a program knows where it is");
    let output = Command::new(program)
        .args(["--measure", case.name, &size.to_string()])
        .output()
        .expect("a program can start itself");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut fields = text.trim().splitn(3, ' ');
    let mut number = || fields.next().and_then(|field| field.parse().ok()).unwrap_or(f64::NAN);
    let (micros, kib) = (number(), number());
    let outcome = fields.next().map_or_else(|| format!("failed: {}", output.status), str::to_owned);
    Measured { micros, kib, outcome }
}

/// The child: prints microseconds, KiB and what came of it.
fn measure(case: &Case, size: usize) {
    let message = Bytes::from((case.make)(size));
    let before = forget_peak();
    let started = Instant::now();
    let (mut shortest, mut kib, mut came) = (Duration::MAX, 0, String::new());
    for repetition in 0.. {
        let start = Instant::now();
        let found = black_box(extract(black_box(&message), Bodies::Html, &BUDGET));
        shortest = shortest.min(start.elapsed());
        if repetition == 0 {
            (kib, came) = (peak().saturating_sub(before), outcome(&found));
        }
        if repetition + 1 >= REPETITIONS && started.elapsed() > PATIENCE {
            break;
        }
    }
    println!("{} {kib} {came}", shortest.as_micros());
}

fn outcome(found: &Extraction) -> String {
    let Extraction { parts, ambiguities, malformed, .. } = found;
    format!("{}, {}, {}", malformed.unwrap_or("-"), parts.len(), ambiguities.len())
}

/// Resident KiB now, from which the peak starts anew.
fn forget_peak() -> u64 {
    // 5 resets the peak (proc(5)).
    fs::write("/proc/self/clear_refs", "5").ok();
    status("VmRSS:")
}

fn peak() -> u64 {
    status("VmHWM:")
}

/// A number of KiB from Linux's /proc; 0 elsewhere.
fn status(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
