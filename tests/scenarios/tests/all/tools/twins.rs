// SPDX-License-Identifier: GPL-3.0-or-later
//! The fault suite's twin runs: whom hostile mails harmed, how often their samples were uploaded, and what may pass while an
//! instance sees too little.

use super::faults::{attempt, scan, well};
use std::{collections::BTreeMap, sync::Arc};
use thundergate_faults::{
    blind,
    checker::check,
    corpus::Item,
    hostile,
    journal::{Answer, End, Fault, Millis, Record},
    kind::Kind,
    twin::{Cost, costs, harmed},
};

fn deferred() -> End {
    End::Tempfailed("451".to_owned())
}

fn item(name: &str, bad: bool) -> Arc<Item> {
    Arc::new(Item { upload_name: name.to_owned(), found: bad, bad })
}

fn fault(kind: Kind, from: Millis, to: Millis) -> Fault {
    Fault { kind, target: 0, from, to }
}

/// A run with two mails of which both are accepted at once, and a fault of this kind.
fn run(kind: Kind) -> Record {
    let attempts = vec![attempt(0, 1_000, End::Accepted), attempt(1, 2_000, End::Accepted)];
    Record { attempts, faults: vec![fault(kind, 0, 3_000)], ..Record::default() }
}

/// The mails that a change of the run with hostile mails harms, and during which fault.
fn harms(change: impl FnOnce(&mut Record, &mut Record)) -> Vec<(u32, Option<Kind>)> {
    let (mut with, mut without) = (run(Kind::Crashing), run(Kind::Crashing));
    without.faults.clear();
    change(&mut with, &mut without);
    harmed(&with, &without).into_iter().map(|one| (one.mail, one.kind)).collect()
}

#[test]
fn a_mail_is_harmed_that_is_deferred_lost_or_decided_otherwise_in_the_first_run_only() {
    assert_eq!(harms(|_, _| ()), []);
    let first = |record: &mut Record, end| record.attempts.insert(0, attempt(0, 500, end));
    let crashing = Some(Kind::Crashing);
    for end in [deferred(), End::Broken("reset".to_owned()), End::Hung] {
        assert_eq!(harms(|with, _| first(with, end)), [(0, crashing)]);
    }
    let both = |with: &mut Record, without: &mut Record| {
        first(with, deferred());
        first(without, deferred());
    };
    assert_eq!(harms(both), [], "it is deferred anyway");
    assert_eq!(harms(|_, without| first(without, deferred())), [], "only without them");
    assert_eq!(harms(|with, _| drop(with.attempts.remove(1))), [(1, None)], "it was never tried");
    assert_eq!(harms(|with, _| with.attempts[1].end = End::Held), [(1, crashing)]);
    let later = |with: &mut Record| with.attempts.push(attempt(2, 60_000, deferred()));
    assert_eq!(harms(|with, _| later(with)), [(2, None)], "long after the fault");
    let hostile = |with: &mut Record| with.attempts.push(attempt(hostile::FIRST, 100, deferred()));
    assert_eq!(harms(|with, _| hostile(with)), [], "a hostile mail may be deferred");
}

#[test]
fn uploads_of_hostile_samples_are_counted_by_the_kind_of_their_mail() {
    let mut record = run(Kind::Refusing);
    let samples = ["a.bin", "b.bin", "c.bin"].map(|name| item(name, false));
    record.contents.insert(hostile::mail(Kind::Refusing, 3), samples.to_vec());
    record.contents.insert(0, vec![item("mail.pdf", false)]);
    let refused = |began| scan(0, "a.bin", began, Some(began + 1), Some(Answer::Refused(500)));
    record.scans = vec![
        refused(1),
        refused(3),
        scan(0, "a.bin", 5, Some(6), None),
        scan(1, "b.bin", 5, Some(6), Some(Answer::Busy)),
        scan(1, "b.bin", 7, Some(8), Some(Answer::Lie)),
        scan(1, "mail.pdf", 7, Some(8), Some(Answer::Clean)),
    ];
    record.breakers.insert(Kind::Refusing, 2);
    let costs = costs(&record, &[]);
    let cost = Cost { mails: 1, uploads: vec![0, 1, 3], harmed: 0, breakers: 2 };
    assert_eq!((cost.most(), cost.median()), (3, 1));
    assert_eq!(costs, BTreeMap::from([(Kind::Refusing, cost)]));
}

#[test]
fn hostile_samples_may_be_uploaded_again_and_their_mails_remain_undecided() {
    let (mut record, mut outcome) = well();
    record.contents.insert(hostile::mail(Kind::Slow, 0), vec![item("slow.bin", false)]);
    record.attempts.push(attempt(hostile::mail(Kind::Slow, 0), 100, deferred()));
    outcome.uploads.insert("slow.bin".to_owned(), 5);
    assert_eq!(check(&record, &outcome).violations, []);
}

/// What the checker says when mail 1, which is bad, passed at this time while its scanner was blind or late.
fn says_of_passing_at(kind: Kind, at: Millis) -> Vec<&'static str> {
    let (mut record, outcome) = well();
    record.faults.push(fault(kind, 50, 30_000));
    record.scans[1].answer = Some(Answer::Clean);
    record.attempts[2] = attempt(1, at, End::Accepted);
    let passed = &blind::passed(&record)[&kind];
    assert_eq!((passed.within.len(), passed.after.len()), if at < 2_000 { (1, 0) } else { (0, 1) });
    check(&record, &outcome).violations.iter().map(|violation| violation.what).collect()
}

#[test]
fn a_bad_mail_may_pass_a_blind_or_late_instance_for_one_interval() {
    for kind in [Kind::Blind, Kind::Late] {
        assert_eq!(says_of_passing_at(kind, 1_000), [""; 0]);
        assert_eq!(says_of_passing_at(kind, 10_000), ["accepted unscanned", "wrong decision"]);
    }
    let (mut record, outcome) = well();
    record.faults.push(fault(Kind::Refusing, 50, 30_000));
    record.attempts[2] = attempt(1, 1_000, End::Accepted);
    let violations = check(&record, &outcome).violations;
    assert_eq!(violations.len(), 1, "hostile mails excuse nothing");
}

#[test]
fn a_scan_that_waited_behind_slow_samples_until_it_was_given_up_may_be_repeated() {
    let after = |took: Millis, from: Millis| {
        let (mut record, mut outcome) = well();
        record.faults.push(fault(Kind::Slow, from, from + 5_000));
        record.scans.push(scan(0, "cc.pdf", 20_000, Some(20_000 + took), Some(Answer::Clean)));
        record.scans.push(scan(0, "cc.pdf", 27_000, Some(27_050), Some(Answer::Clean)));
        record.contents.insert(0, vec![item("aa.pdf", false), item("cc.pdf", false)]);
        record.attempts.retain(|one| one.end != End::Accepted);
        record.attempts.push(attempt(0, 28_000, End::Accepted));
        outcome.uploads.insert("cc.pdf".to_owned(), 2);
        check(&record, &outcome).violations.len()
    };
    assert_eq!(after(6_000, 10_000), 0, "a slow sample may have had the thread");
    assert_eq!(after(50, 10_000), 1, "it did not wait");
    assert_eq!(after(6_000, 100), 1, "long after the last slow sample");
}

#[test]
fn what_a_blind_instance_called_clean_is_scanned_again() {
    let again = |kind, target| {
        let (mut record, mut outcome) = well();
        record.faults.push(Fault { target, ..fault(kind, 4_000, 20_000) });
        record.scans.push(scan(1, "aa.pdf", 21_000, Some(21_050), Some(Answer::Clean)));
        outcome.uploads.insert("aa.pdf".to_owned(), 3);
        check(&record, &outcome).violations.len()
    };
    assert_eq!(again(Kind::Blind, 0), 0, "it was scanned in the interval in which the instance became blind");
    assert_eq!(again(Kind::Blind, 1), 1, "another instance");
    assert_eq!(again(Kind::Slow, 0), 1);
}
