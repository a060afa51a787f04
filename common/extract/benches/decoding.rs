// SPDX-License-Identifier: GPL-3.0-or-later
//! Decoding a part once more, as for a sample that has to be scanned.

mod mails;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use thundergate_extract::{Bodies, Budget, Content, extract};

/// As deployed.
const BUDGET: Budget = Budget { parts: 1000, depth: 50, readings: 500, decoded_bytes: 200 << 20 };

fn decoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decoding");
    for size in [1 << 10, 100 << 10, 1 << 20] {
        let (base64, _) = mails::with_attachment(size);
        let quoted = mails::quoted_printable(size);
        for (name, message) in [("base64", base64), ("quoted-printable", quoted)] {
            let (content, decoded) = attachment(message);
            group.throughput(Throughput::Bytes(decoded));
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| black_box(&content).bytes());
            });
        }
    }
    group.finish();
}

/// The one attachment of a message, and how many bytes it has.
fn attachment(message: String) -> (Content, u64) {
    let extraction = extract(&Bytes::from(message), Bodies::Html, &BUDGET);
    let [part] = <[_; 1]>::try_from(extraction.parts).expect("there is one attachment");
    (part.content, part.size)
}

criterion_group!(benches, decoding);
criterion_main!(benches);
