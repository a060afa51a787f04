// SPDX-License-Identifier: GPL-3.0-or-later
use super::*;
use crate::outcome::inspection::Inspected;
use std::sync::Arc;
use thundergate_common::{
    digest::Digest,
    sample::NameHint,
    verdict::{Finding, SkipReason},
};
use thundergate_extract::Skipped;
use thundergate_policy::{Cause, Decision};

fn part(disposition: Disposition, source: Source) -> Inspected {
    let skipped = Skipped { name: None, media_type: String::new(), size: 1, reason: SkipReason::Empty };
    let key = Some(SampleKey { digest: Digest::of(b"x"), hint: NameHint::None });
    Inspected { disposition, source, key, ..Inspected::skipped(&skipped) }
}

fn message(action: Action, cause: Cause, parts: Vec<Inspected>) -> Inspection {
    Inspection { parts, ..Inspection::of(Decision { action, cause }) }
}

#[test]
fn flow_is_counted_by_decision_and_by_the_time() {
    let activity = Activity::default();
    let clean = message(Action::Accept, Cause::Clean, vec![part(Disposition::Clean, Source::Local)]);
    activity.decided("Q", &clean);
    (0..MINUTE + 1).for_each(|_| activity.step());
    activity.decided("Q", &clean);
    activity.decided("Q", &message(Action::Reject, Cause::Found, vec![]));
    let flow = activity.flow();
    let accepted = &flow.decisions["accept"];
    assert_eq!((accepted.total, accepted.last_minute), (2, 1));
    assert_eq!(accepted.history, [0; MINUTE], "steps that are over");
    activity.step();
    assert_eq!(activity.flow().decisions["accept"].history.last(), Some(&1));
    assert_eq!(flow.decisions["reject"].last_minute, 1);
    let both = activity.answers();
    assert_eq!((both.total.local, both.last_ten_minutes.local, both.total.scan), (2, 2, 0));
    (0..2 * TEN_MINUTES).for_each(|_| activity.step());
    assert_eq!(activity.answers().last_ten_minutes, Sources::default());
    assert_eq!(activity.flow().decisions["accept"].history.len(), TEN_MINUTES - 1);
}

#[test]
fn every_cause_counts_once_a_message_with_what_the_mta_was_told() {
    let activity = Activity::default();
    let pending = || part(Disposition::Pending, Source::None);
    let encrypted = part(Disposition::Skipped(SkipReason::Encrypted), Source::None);
    activity.decided("Q", &message(Action::Tempfail, Cause::Pending, vec![pending(), pending(), encrypted]));
    let passed = message(Action::Tempfail, Cause::Pending, vec![pending()]);
    activity.decided("Q", &Inspection { action: Action::Accept, ..passed });
    activity.decided("Q", &Inspection::of_a_bug());
    let rows = activity.unscanned();
    let rows: Vec<_> = rows.iter().map(|row| (row.cause, row.action, row.last_minute)).collect();
    let expected = [
        ("bug", "tempfail", 1),
        ("pending", "accept", 1),
        ("pending", "tempfail", 1),
        ("encrypted", "tempfail", 1),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn the_newest_findings_are_kept_and_name_no_people() {
    let activity = Activity::default();
    let finding = |score| Finding { score, ..Finding::default() };
    for score in 0..30 {
        let verdict = Verdict { findings: vec![finding(1), finding(score)], ..Verdict::default() };
        let parts = vec![part(Disposition::Found(Arc::new(verdict)), Source::Scan)];
        activity.decided("4Bx", &message(Action::Quarantine, Cause::Found, parts));
    }
    let findings = activity.findings();
    assert_eq!((findings.len(), findings[0].score, findings[9].score), (FINDINGS, 29, 20));
    assert_eq!((findings[0].decision, &*findings[0].queue_id), ("quarantine", "4Bx"));
}

#[test]
fn who_waits_is_known_with_the_time_of_the_first() {
    let activity = Activity::default();
    let first = activity.waits();
    let second = activity.waits();
    assert_eq!(activity.waiting().mails, 2);
    assert!(activity.waiting().oldest_ms.is_some());
    drop(first);
    assert_eq!(activity.waiting().mails, 1);
    drop(second);
    assert_eq!((activity.waiting().mails, activity.waiting().oldest_ms), (0, None));
}
