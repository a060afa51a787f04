// SPDX-License-Identifier: GPL-3.0-or-later
//! How near the extraction of a well-formed message with one attachment comes to what cannot be avoided: decoding its
//! base64 and digesting what comes out, one after the other in one thread.
//!
//! `cargo bench -p thundergate-extract --bench hash_path` prints, by size of the attachment, GB/s of encoded bytes of the
//! extraction and of the two, and the extraction's speed beside that of the slower of the two and of both; last, beside
//! the slower, that of a message whose attachment came before. They are measured in turn, and the shortest of many rounds
//! counts: whatever else the machine does makes the others longer.

mod mails;

use bytes::Bytes;
use encodify::base64;
use std::{
    hint::black_box,
    time::{Duration, Instant},
};
use thundergate_common::digest::Digest;
use thundergate_extract::{Bodies, Budget, Recall, extract, extract_recalling};

/// As deployed.
const BUDGET: Budget = Budget { parts: 1000, depth: 50, readings: 500, decoded_bytes: 200 << 20 };
const SIZES: [(usize, &str); 4] =
    [(1 << 10, "1 KiB"), (100 << 10, "100 KiB"), (1 << 20, "1 MiB"), (10 << 20, "10 MiB")];
/// Each size is measured for so long, and in so many rounds at least.
const PATIENCE: Duration = Duration::from_secs(4);
const ROUNDS: usize = 20;
/// A round lasts at least so long, or the clock would be measured.
const ROUND: Duration = Duration::from_micros(200);

/// The shortest round of each, in nanoseconds a message.
struct Measured {
    extraction: f64,
    decoding: f64,
    digesting: f64,
    /// The two one after the other.
    both: f64,
    /// The extraction once more.
    known: f64,
}

fn main() {
    // Cargo says so where it means to measure; as a test there is nothing to do.
    if std::env::args().all(|argument| argument != "--bench") {
        return;
    }
    println!(
        "{:8} {:>11} {:>10} {:>10} {:>10} {:>12} {:>10} {:>13}",
        "size", "extraction", "base64", "SHA-256", "both", "× the slower", "× both", "known, × slower"
    );
    for (size, name) in SIZES {
        let (message, encoded) = mails::with_attachment(size);
        let found = measure(&Bytes::from(message), &encoded);
        let rate = |nanos: f64| encoded.len() as f64 / nanos;
        println!(
            "{name:8} {:11.2} {:10.2} {:10.2} {:10.2} {:12.2} {:10.2} {:13.2}",
            rate(found.extraction),
            rate(found.decoding),
            rate(found.digesting),
            rate(found.both),
            found.decoding.max(found.digesting) / found.extraction,
            found.both / found.extraction,
            found.decoding.max(found.digesting) / found.known,
        );
    }
}

fn measure(message: &Bytes, encoded: &str) -> Measured {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut out = Vec::with_capacity(encoded.len());
    decode(encoded, &mut decoded);
    let mut found = Measured {
        extraction: f64::MAX,
        decoding: f64::MAX,
        digesting: f64::MAX,
        both: f64::MAX,
        known: f64::MAX,
    };
    let recall = Recall::default();
    let began = Instant::now();
    for round in 0.. {
        let extraction = timed(|| _ = black_box(extract(black_box(message), Bodies::Html, &BUDGET)));
        let decoding = timed(|| decode(encoded, &mut out));
        let digesting = timed(|| _ = black_box(Digest::of(black_box(&decoded))));
        let both = timed(|| {
            decode(encoded, &mut out);
            black_box(Digest::of(&out));
        });
        let known = timed(|| {
            _ = black_box(extract_recalling(black_box(message), Bodies::Html, &BUDGET, &recall));
        });
        found.extraction = found.extraction.min(extraction);
        found.known = found.known.min(known);
        found.decoding = found.decoding.min(decoding);
        found.digesting = found.digesting.min(digesting);
        found.both = found.both.min(both);
        if round >= ROUNDS && began.elapsed() > PATIENCE {
            break;
        }
    }
    found
}

fn decode(encoded: &str, out: &mut Vec<u8>) {
    out.clear();
    base64::LENIENT.decode_append(black_box(encoded), out).expect("it is base64");
}

/// Nanoseconds of one call, out of as many as fill a round.
fn timed(mut call: impl FnMut()) -> f64 {
    let (began, mut calls) = (Instant::now(), 0_u32);
    loop {
        call();
        calls += 1;
        let elapsed = began.elapsed();
        if elapsed >= ROUND {
            return elapsed.as_nanos() as f64 / f64::from(calls);
        }
    }
}
