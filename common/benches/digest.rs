// SPDX-License-Identifier: GPL-3.0-or-later
//! SHA-256, at once and in pieces.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use thundergate_common::digest::{Digest, Hasher};

/// As pieces are when base64 is decoded.
const PIECE: usize = 24 << 10;

fn digesting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("digest");
    for size in [1 << 10, 100 << 10, 1 << 20] {
        let bytes = vec![0x5a; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("at once", size), |bencher| {
            bencher.iter(|| Digest::of(black_box(&bytes)));
        });
        group.bench_function(BenchmarkId::new("in pieces", size), |bencher| {
            bencher.iter(|| {
                let mut hasher = Hasher::default();
                black_box(&bytes).chunks(PIECE).for_each(|piece| hasher.update(piece));
                hasher.finish()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, digesting);
criterion_main!(benches);
