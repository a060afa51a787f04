// SPDX-License-Identifier: GPL-3.0-or-later
//! The decision, with the policy as delivered: on clean parts, and on findings that expressions are evaluated for.

use criterion::{Criterion, criterion_group, criterion_main};
use std::{hint::black_box, sync::Arc};
use thundergate_common::verdict::{Finding, Rule, SkipReason, Verdict};
use thundergate_policy::{Disposition, Facts, Policy, PolicyConfig, decide};

fn decision(criterion: &mut Criterion) {
    let delivered: toml::Table =
        include_str!("../../../deploy/milter.toml").parse().expect("the defaults are right");
    let settings: PolicyConfig = delivered["policy"].clone().try_into().expect("the defaults are right");
    let policy = Policy::compile(&settings).expect("the policy is right");
    let skipped = Disposition::Skipped(SkipReason::PlainText);
    let clean = vec![skipped.clone(), Disposition::Clean, Disposition::Clean];
    let mut group = criterion.benchmark_group("decision");
    for (name, parts) in [
        ("clean", clean),
        ("one rule", vec![skipped.clone(), found(1)]),
        ("twenty rules", vec![skipped, found(20)]),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| decide(Facts { parts: black_box(&parts), troubles: &[] }, &policy, &settings.on));
        });
    }
    group.finish();
}

/// A finding of so many rules, none of which decides.
fn found(rules: usize) -> Disposition {
    let rule = Rule { name: "SUSP_Example".to_owned(), subscore: 60, ..Rule::default() };
    let finding = Finding { score: 75, rules: vec![rule; rules], ..Finding::default() };
    Disposition::Found(Arc::new(Verdict { findings: vec![finding], ..Verdict::default() }))
}

criterion_group!(benches, decision);
criterion_main!(benches);
