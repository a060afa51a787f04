// SPDX-License-Identifier: GPL-3.0-or-later
//! The log line of one message, as JSON, until it is handed to the thread that writes it; that one writes to /dev/null.

use criterion::{Criterion, criterion_group, criterion_main};
use std::{hint::black_box, net::Ipv4Addr, sync::Arc};
use thundergate_common::{
    digest::Digest,
    sample::{NameHint, SampleKey},
    telemetry::{self, Log},
    verdict::{Finding, Rule, SkipReason, Verdict},
};
use thundergate_milter::{
    config::Config,
    mail::envelope::{Client, Envelope},
    observe::report,
    outcome::{
        inspection::{Inspected, Inspection},
        settings::Mode,
    },
};
use thundergate_policy::{Action, Cause, Decision, Disposition, Source};

fn lines(criterion: &mut Criterion) {
    let _log = telemetry::init(&sink()).expect("this process logs once");
    let client = Client {
        mta: "mx.b.example".to_owned(),
        name: "a.example".to_owned(),
        address: Some(Ipv4Addr::new(192, 0, 2, 1).into()),
        helo: "a.example".to_owned(),
    };
    let envelope = Envelope {
        queue_id: "4cXyZ12345".to_owned(),
        sender: "a@a.example".to_owned(),
        recipients: vec!["b@b.example".to_owned(), "c@b.example".to_owned()],
        ..Envelope::default()
    };
    let mut group = criterion.benchmark_group("report");
    for (name, inspection) in [("clean", clean()), ("found", found())] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| report::log(&client, &envelope, black_box(&inspection), Mode::Active, 20));
        });
    }
    group.finish();
}

fn sink() -> Log {
    let config = Config::from_toml("log.file = \"/dev/null\"\nlog.rotation = \"never\"");
    config.expect("the configuration is right").log
}

/// A text that is no sample, and a clean attachment.
fn clean() -> Inspection {
    let text = Inspected {
        name: None,
        within: None,
        unopened: None,
        media_type: "text/plain".to_owned(),
        size: 600,
        key: None,
        disposition: Disposition::Skipped(SkipReason::PlainText),
        verdict: None,
        source: Source::None,
    };
    let attachment = Inspected {
        name: Some("invoice.pdf".to_owned()),
        within: None,
        unopened: None,
        media_type: "application/pdf".to_owned(),
        size: 102_400,
        key: Some(SampleKey { digest: Digest::of(b""), hint: NameHint::Extension("pdf".to_owned()) }),
        disposition: Disposition::Clean,
        verdict: None,
        source: Source::Local,
    };
    Inspection {
        parts: vec![text, attachment],
        message_id: Some("1@a.example".to_owned()),
        size: 140_000,
        ..Inspection::of(Decision { action: Action::Accept, cause: Cause::Clean })
    }
}

/// The same with a finding, which has a line of its own.
fn found() -> Inspection {
    let rule = Rule { name: "SUSP_Example_Jan26".to_owned(), subscore: 95, ..Rule::default() };
    let finding = Finding {
        level: "Alert".to_owned(),
        module: "Filescan".to_owned(),
        message: "Malware file found".to_owned(),
        score: 95,
        rules: vec![rule; 5],
        ..Finding::default()
    };
    let verdict = Arc::new(Verdict { findings: vec![finding], ..Verdict::default() });
    let mut parts = clean().parts;
    parts[1].disposition = Disposition::Found(verdict);
    let decision = Decision { action: Action::Quarantine, cause: Cause::Found };
    Inspection { parts, decision, action: decision.action, ..clean() }
}

criterion_group!(benches, lines);
criterion_main!(benches);
