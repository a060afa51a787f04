// SPDX-License-Identifier: GPL-3.0-or-later
//! Sealing and opening what goes through Redis, at the size of a verdict, a small attachment and a large one.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use thundergate_common::hub::redis::seal::{Purpose, Seal};

fn sealing(criterion: &mut Criterion) {
    let seal = Seal::new(&["thirty-two characters and more of them".into()], "tg");
    let mut group = criterion.benchmark_group("seal");
    for size in [1 << 10, 100 << 10, 1 << 20] {
        let plain = vec![0x5a; size];
        let sealed = seal.seal(Purpose::Sample, "sample", plain.as_slice()).into_owned();
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("seal", size), |bencher| {
            bencher.iter(|| seal.seal(Purpose::Sample, "sample", black_box(plain.as_slice())));
        });
        group.bench_function(BenchmarkId::new("open", size), |bencher| {
            bencher.iter_batched(
                || sealed.clone(),
                |sealed| seal.open(Purpose::Sample, "sample", sealed).expect("it was sealed here"),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, sealing);
criterion_main!(benches);
