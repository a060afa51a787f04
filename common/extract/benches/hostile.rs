// SPDX-License-Identifier: GPL-3.0-or-later
//! Messages made to cost as much as they can, beside a well-formed one of the same size.
//!
//! `cargo bench -p thundergate-extract --bench hostile [CASE…]` prints for each case how long the extraction takes in
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
use thundergate_extract::{Bodies, Budget, Exceeded, Extraction, extract};

/// As deployed.
const BUDGET: Budget = Budget { parts: 1000, depth: 50, readings: 500, decoded_bytes: 200 << 20 };
const SIZES: [usize; 2] = [5 << 20, 10 << 20];
/// A measurement goes on for so long, and repeats at least so often, in turn with the well-formed message: the shortest
/// repetition counts, since whatever else the machine does makes the others longer.
const PATIENCE: Duration = Duration::from_millis(200);
const REPETITIONS: usize = 5;
const ROUNDS: usize = 3;

/// One case at one size.
struct Measured {
    micros: f64,
    /// The same of the well-formed message.
    plain: f64,
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
    let named =
        |case: &&Case| wanted.is_empty() || wanted.iter().any(|name| case.name.contains(name.as_str()));
    let cases: Vec<_> = CASES.iter().filter(named).collect();
    // In rounds, since a machine that others use is slow for seconds at a time.
    let mut measured: Vec<_> = cases.iter().map(|case| SIZES.map(|size| in_child(case, size))).collect();
    for _ in 1..ROUNDS {
        for (case, best) in cases.iter().zip(&mut measured) {
            for (size, best) in SIZES.into_iter().zip(best) {
                let again = in_child(case, size);
                best.micros = best.micros.min(again.micros);
                best.plain = best.plain.min(again.plain);
            }
        }
    }
    println!(
        "{:34} {:>9} {:>8} {:>9} {:>8}  malformed, samples, ambiguities",
        "case", "ms", "× plain", "10 / 5 MiB", "memory"
    );
    for (case, [half, whole]) in cases.into_iter().zip(&measured) {
        let ratio = |measured: &Measured| measured.micros / measured.plain;
        println!(
            "{:34} {:9.1} {:8.2} {:10.1} {:8.2}  {}",
            case.name,
            whole.micros / 1000.0,
            ratio(whole),
            2.0 * ratio(whole) / ratio(half),
            whole.kib * 1024.0 / SIZES[1] as f64,
            whole.outcome
        );
    }
}

fn in_child(case: &Case, size: usize) -> Measured {
    let program = env::current_exe().expect("a program knows where it is");
    let output = Command::new(program)
        .args(["--measure", case.name, &size.to_string()])
        .output()
        .expect("a program can start itself");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut fields = text.trim().splitn(4, ' ');
    let mut number = || fields.next().and_then(|field| field.parse().ok()).unwrap_or(f64::NAN);
    let (micros, plain, kib) = (number(), number(), number());
    let outcome = fields.next().map_or_else(|| format!("failed: {}", output.status), str::to_owned);
    Measured { micros, plain, kib, outcome }
}

/// The child: prints microseconds, those of the well-formed message, KiB and what came of it.
fn measure(case: &Case, size: usize) {
    let message = Bytes::from((case.make)(size));
    let timed = |message: &Bytes| {
        let start = Instant::now();
        let found = black_box(extract(black_box(message), Bodies::Html, &BUDGET));
        (start.elapsed(), found)
    };
    let before = forget_peak();
    let (mut shortest, found) = timed(&message);
    let (kib, came) = (peak().saturating_sub(before), outcome(&found));
    let plain = Bytes::from((CASES[0].make)(size));
    let (mut well_formed, started) = (Duration::MAX, Instant::now());
    for repetition in 0.. {
        shortest = shortest.min(timed(&message).0);
        well_formed = well_formed.min(timed(&plain).0);
        if repetition >= REPETITIONS && started.elapsed() > PATIENCE {
            break;
        }
    }
    println!("{} {} {kib} {came}", shortest.as_micros(), well_formed.as_micros());
}

fn outcome(found: &Extraction) -> String {
    let Extraction { parts, ambiguities, malformed, .. } = found;
    format!("{}, {}, {}", malformed.map_or("-", Exceeded::as_str), parts.len(), ambiguities.len())
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
