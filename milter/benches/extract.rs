// SPDX-License-Identifier: GPL-3.0-or-later
//! Extraction of a message with one attachment, beside what cannot be avoided: decoding and digesting the same bytes.

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use encodify::base64;
use std::hint::black_box;
use thundergate_common::digest::Digest;
use thundergate_milter::extract::{Bodies, Budget, extract};

const BUDGET: Budget = Budget { parts: 1000, depth: 100, readings: 500, decoded_bytes: 100 << 20 };

/// A text and one attachment of `size` bytes; the attachment's encoded bytes.
fn message(size: usize) -> (Bytes, String) {
    let mut state = 1_u32;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    let attachment: Vec<u8> = (0..size).map(|_| noise()).collect();
    let encoded = base64::MIME.encode(&attachment);
    let text = "A line of text as people write it, neither short nor long.\r\n".repeat(10);
    let message = format!(
        "Received: from a.example by b.example\r\nFrom: <a@a.example>\r\nTo: <b@b.example>\r\nSubject: Invoice\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\n\
         --=_b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n\
         --=_b\r\nContent-Type: application/pdf; name=\"invoice.pdf\"\r\n\
         Content-Disposition: attachment; filename=\"invoice.pdf\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{encoded}\r\n--=_b--\r\n"
    );
    (message.into(), encoded)
}

fn extraction(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("extract");
    for size in [1 << 10, 100 << 10, 1 << 20] {
        let (message, encoded) = message(size);
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
