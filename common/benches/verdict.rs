// SPDX-License-Identifier: GPL-3.0-or-later
//! A verdict to and from its form in Redis: a clean one, and one with a finding as scanners report it.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use thundergate_common::verdict::{FileFacts, Finding, Rule, Verdict};

fn wire_form(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("verdict");
    for (name, verdict) in [("clean", clean()), ("found", found())] {
        let encoded = verdict.encode();
        assert_eq!(Verdict::decode(&encoded).as_ref(), Some(&verdict));
        group.throughput(Throughput::Bytes(encoded.len() as u64));
        group.bench_function(format!("encode/{name}"), |bencher| {
            bencher.iter(|| black_box(&verdict).encode())
        });
        group.bench_function(format!("decode/{name}"), |bencher| {
            bencher.iter(|| Verdict::decode(black_box(&encoded)));
        });
    }
    group.finish();
}

fn clean() -> Verdict {
    Verdict {
        signatures: Some("2026/01/12-160550".to_owned()),
        scanned_at: 1_768_234_567,
        scan_ms: 30,
        instance: "thor-1.example".to_owned(),
        ..Verdict::default()
    }
}

fn found() -> Verdict {
    let rule = Rule {
        name: "SUSP_Example_Jan26".to_owned(),
        subscore: 75,
        reason: "Detects an example".to_owned(),
        author: "An Author".to_owned(),
        reference: "https://reference.example/analysis".to_owned(),
        date: "2026-01-12".to_owned(),
        class: "YARA Rule".to_owned(),
        origin: "internal".to_owned(),
        tags: vec!["EXE".to_owned(), "T1059".to_owned()],
        matched: vec!["a string at 0x1f4".to_owned(), "another string at 0x2a0".to_owned()],
    };
    let file = FileFacts {
        name: "0123456789abcdef.exe".to_owned(),
        extension: ".exe".to_owned(),
        kind: "EXE".to_owned(),
        size: 102_400,
        first_bytes: "4d5a90000300000004000000ffff0000b8000000 / MZ".to_owned(),
        md5: "0".repeat(32),
        sha1: "0".repeat(40),
        sha256: "0".repeat(64),
    };
    let finding = Finding {
        level: "Alert".to_owned(),
        module: "Filescan".to_owned(),
        message: "Malware file found".to_owned(),
        score: 95,
        file,
        rules_total: 5,
        rules: vec![rule; 5],
    };
    Verdict { findings: vec![finding], ..clean() }
}

criterion_group!(benches, wire_form);
criterion_main!(benches);
