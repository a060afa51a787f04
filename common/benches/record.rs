// SPDX-License-Identifier: GPL-3.0-or-later
//! Records of mails in packs, as a milter's clerk makes them behind the reply, and as a search reads them.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::{hint::black_box, time::Duration};
use thundergate_common::{
    clock::now_ms,
    digest::Digest,
    record::{
        MailRecord, PartRecord, RecordId, VerdictUsed, pack,
        seen::{Search, Sought},
    },
};

/// A mail with an HTML body and an attachment, to one recipient.
fn ordinary(number: u64) -> MailRecord {
    let verdict = VerdictUsed {
        scanned_at: 1_764_300_000,
        signatures: Some("2026/01/12-160550".to_owned()),
        instance: "storm1".to_owned(),
        ..VerdictUsed::default()
    };
    let part = |media_type: &str| PartRecord {
        digest: Some(Digest::of(format!("{media_type} {number}").as_bytes())),
        media_type: media_type.to_owned(),
        size: 12_345,
        disposition: "clean".to_owned(),
        source: "local".to_owned(),
        verdict: Some(verdict.clone()),
        ..PartRecord::default()
    };
    MailRecord {
        id: RecordId::at(now_ms()),
        at_ms: now_ms(),
        queue_id: format!("4cXyZ{number}"),
        sender: "a@example.org".to_owned(),
        recipients: vec!["b@example.net".to_owned()],
        size: 23_456,
        parts: vec![part("text/html"), part("application/pdf")],
        action: "accept".to_owned(),
        cause: "clean".to_owned(),
        ..MailRecord::default()
    }
}

/// A mail of which nothing fits.
fn large() -> MailRecord {
    let parts = (0..900).flat_map(|number| ordinary(number).parts).collect();
    let recipients = (0..1000).map(|number| format!("recipient{number}@example.net")).collect();
    MailRecord { parts, recipients, ..ordinary(0) }
}

fn records(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record");
    for count in [1, 64] {
        let records: Vec<_> = (0..count).map(ordinary).collect();
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::new("pack", count), |bencher| {
            bencher.iter(|| pack::packs(black_box(&records)).count());
        });
        let packs: Vec<_> = pack::packs(&records).collect();
        let sought = Sought { digest: Digest::of(b"nobody has it"), hint: None };
        group.bench_function(BenchmarkId::new("search", count), |bencher| {
            bencher.iter(|| packs.iter().all(|pack| Search::new(&sought, 10).look_at(pack).is_continue()));
        });
    }
    let large = large();
    group.throughput(Throughput::Elements(1));
    group.bench_function("cut", |bencher| bencher.iter(|| black_box(&large).encode().len()));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = records
}
criterion_main!(benches);
