// SPDX-License-Identifier: GPL-3.0-or-later
//! What is counted shows under the right name.

use super::*;
use crate::outcome::inspection::Inspected;
use prometheus_client::encoding::text::encode;
use std::sync::Arc;
use thundergate_common::{
    sealed::Sealed,
    verdict::{Container, Verdict},
};
use thundergate_extract::{Exceeded, Skipped};
use thundergate_policy::{Decision, Failure};

fn shown(registry: &Registry) -> Vec<String> {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("thundergate_milter_"));
    lines.map(str::to_owned).collect()
}

fn skipped(reason: SkipReason) -> Inspected {
    Inspected::skipped(&Skipped { name: None, media_type: String::new(), size: 1, reason })
}

#[test]
fn what_is_counted_by_number_has_the_right_name() {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    for (action, decision) in Action::ALL.into_iter().enumerate() {
        for (cause, reason) in Cause::ALL.into_iter().enumerate() {
            assert_eq!((decision as usize, reason as usize), (action, cause));
            metrics.decided(&Inspection::of(Decision { action: decision, cause: reason }));
        }
    }
    assert!(Source::ALL.into_iter().enumerate().all(|(number, source)| source as usize == number));
    for disposition in [Disposition::Clean, Disposition::Pending, Disposition::Failed(Failure::Overload)] {
        assert_eq!(DISPOSITIONS[number(&disposition)], disposition.as_str());
    }
    let lines = shown(&registry);
    let counters: Vec<_> = lines.iter().filter(|line| line.starts_with("messages_total{")).collect();
    assert_eq!(counters.len(), Action::ALL.len() * Cause::ALL.len());
    assert!(counters.iter().all(|line| line.ends_with(" 1")), "{counters:#?}");
    assert!(lines.contains(&"lookups_total{layer=\"hub\",result=\"hit\"} 0".to_owned()), "{lines:#?}");
}

#[test]
fn every_disposition_from_every_source_has_a_counter() {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let dispositions = [
        Disposition::Clean,
        Disposition::Found(Arc::default()),
        Disposition::Pending,
        Disposition::Skipped(SkipReason::Empty),
        Disposition::Failed(Failure::Unavailable),
    ];
    for disposition in dispositions {
        for source in Source::ALL {
            let part = Inspected { disposition: disposition.clone(), source, ..skipped(SkipReason::Empty) };
            metrics.decided(&Inspection { parts: vec![part], ..Inspection::of(Decision::BUG) });
        }
    }
    let lines = shown(&registry);
    let counters: Vec<_> = lines.iter().filter(|line| line.starts_with("parts_total{")).collect();
    assert_eq!(counters.len(), DISPOSITIONS.len() * Source::ALL.len());
    assert!(counters.iter().all(|line| line.ends_with(" 1")), "{counters:#?}");
}

#[test]
fn parts_that_ask_for_a_password_are_counted_by_what_came_of_it() {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let part = |container| {
        let verdict = Arc::new(Verdict { container, ..Verdict::default() });
        Inspected { verdict: Some(verdict), ..skipped(SkipReason::Empty) }
    };
    let parts = [Container::Sealed(Sealed::Zip), Container::Opened(Sealed::Pdf), Container::None].map(part);
    metrics.decided(&Inspection { parts: parts.to_vec(), ..Inspection::of(Decision::BUG) });
    let lines = shown(&registry);
    for (container, count) in [("opened", 1), ("sealed", 1), ("unsupported", 0)] {
        let line = format!("containers_total{{container=\"{container}\"}} {count}");
        assert!(lines.contains(&line), "{line}\n{lines:#?}");
    }
}

#[test]
fn ambiguities_malformed_messages_and_what_cannot_be_scanned_are_counted_by_kind() {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let inspection = Inspection {
        parts: [SkipReason::Encrypted, SkipReason::Encrypted, SkipReason::PlainText].map(skipped).to_vec(),
        ambiguities: vec![Ambiguity::Base64Junk, Ambiguity::HeaderJunk],
        malformed: Some(Malformed::Exceeded(Exceeded::Parts)),
        ..Inspection::of(Decision::BUG)
    };
    metrics.decided(&inspection);
    metrics
        .decided(&Inspection { ambiguities: vec![Ambiguity::Base64Junk], ..Inspection::of(Decision::BUG) });
    let lines = shown(&registry);
    for line in [
        "ambiguities_total{kind=\"base64_junk\"} 2",
        "ambiguities_total{kind=\"header_junk\"} 1",
        "malformed_total{budget=\"parts\"} 1",
        "unscannable_total{reason=\"encrypted\"} 2",
    ] {
        assert!(lines.iter().any(|found| found == line), "{line}\n{lines:#?}");
    }
    let all = |name: &str| lines.iter().filter(|line| line.starts_with(name)).count();
    assert_eq!(
        all("ambiguities_total{"),
        Ambiguity::ALL.len(),
        "no kind but those that are there from the start"
    );
    assert_eq!(
        (all("malformed_total{"), all("unscannable_total{")),
        (Malformed::all().count(), UNSCANNABLE.len())
    );
}

#[test]
fn what_passes_unscanned_is_counted_once_for_each_reason() {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let message = |action, cause, parts: &[SkipReason]| Inspection {
        parts: parts.iter().map(|reason| skipped(*reason)).collect(),
        ..Inspection::of(Decision { action, cause })
    };
    let parts = [SkipReason::Encrypted, SkipReason::Encrypted, SkipReason::Partial, SkipReason::PlainText];
    metrics.decided(&message(Action::Tag, Cause::Partial, &parts));
    metrics.decided(&message(Action::Quarantine, Cause::Partial, &parts));
    metrics.decided(&message(Action::Accept, Cause::Clean, &[SkipReason::PlainText]));
    metrics.decided(&message(Action::Tag, Cause::Oversize, &[]));
    let passive = Inspection { action: Action::Accept, ..message(Action::Tempfail, Cause::Overload, &[]) };
    metrics.decided(&passive);
    let lines = shown(&registry);
    let counted = |cause: &str| {
        let name = format!("passed_unscanned_total{{cause=\"{cause}\"}} ");
        lines.iter().find_map(|line| line.strip_prefix(&name)).map(str::to_owned)
    };
    for cause in ["encrypted", "partial", "oversize", "overload"] {
        assert_eq!(counted(cause).as_deref(), Some("1"), "{cause}");
    }
    assert_eq!(counted("pending").as_deref(), Some("0"));
    assert_eq!(counted("clean"), None);
}
