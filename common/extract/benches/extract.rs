// SPDX-License-Identifier: GPL-3.0-or-later
//! Extraction of a message with one attachment, beside what cannot be avoided: decoding and digesting the same bytes.

mod mails;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use encodify::base64;
use std::hint::black_box;
use thundergate_common::digest::Digest;
use thundergate_extract::{Bodies, Budget, extract};

const BUDGET: Budget = Budget { parts: 1000, depth: 100, readings: 500, decoded_bytes: 100 << 20 };

fn extraction(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("extract");
    for size in [1 << 10, 100 << 10, 1 << 20] {
        let (message, encoded) = mails::with_attachment(size);
        let message = Bytes::from(message);
        group.throughput(Throughput::Bytes(message.len() as u64));
        group.bench_function(BenchmarkId::new("message", size), |bencher| {
            bencher.iter(|| extract(black_box(&message), Bodies::Html, &BUDGET));
        });
        let mut decoded = Vec::new();
        group.bench_function(BenchmarkId::new("decode_and_digest", size), |bencher| {
            bencher.iter(|| {
                decoded.clear();
                base64::LENIENT.decode_append(black_box(&encoded), &mut decoded).expect("it is base64");
                Digest::of(&decoded)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, extraction);
criterion_main!(benches);
