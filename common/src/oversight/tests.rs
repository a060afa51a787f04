// SPDX-License-Identifier: GPL-3.0-or-later
use super::*;
use crate::{verdict::Verdict, wire::Versioned};

const HOUR: u64 = 3600;
const LAG: Duration = Duration::from_secs(26 * HOUR);
const START: u64 = 1_800_000_000;

fn instance(name: &str, signatures: &str) -> InstanceReport {
    InstanceReport {
        name: name.to_owned(),
        healthy: true,
        state: InstanceState::Closed,
        signatures: Some(signatures.to_owned()).filter(|text| !text.is_empty()),
        ..InstanceReport::default()
    }
}

fn report(instances: &[InstanceReport]) -> [FarmReport; 1] {
    [FarmReport { worker: "w".into(), at: 1, instances: instances.to_vec(), doubt: None }]
}

/// Observes these versions, instance by instance, so many hours after the start.
fn observe(oversight: &mut Oversight, hours: u64, versions: &[(&str, &str)]) -> Vec<News> {
    let instances: Vec<_> = versions.iter().map(|(name, version)| instance(name, version)).collect();
    oversight.observe(&report(&instances), START + hours * HOUR, LAG)
}

fn late(oversight: &Oversight) -> Vec<&str> {
    oversight.all_excluded().into_iter().collect()
}

fn round(sent: u64, answers: &[(&str, bool)]) -> Round {
    let answers = answers.iter().map(|(name, found)| ((*name).to_owned(), *found)).collect();
    Round { sent, ended: sent + 5, answers }
}

#[test]
fn an_instance_is_behind_after_six_hours_and_late_after_the_lag_and_each_is_told_once() {
    let mut oversight = Oversight::default();
    observe(&mut oversight, 0, &[("a", "1"), ("b", "1")]);
    let behind = [("a", "2"), ("b", "1")];
    assert_eq!(observe(&mut oversight, 1, &behind), []);
    assert_eq!(observe(&mut oversight, 7, &behind), [], "it has had six hours, to the second");
    let told = observe(&mut oversight, 8, &behind);
    assert!(matches!(&told[..], [News::Behind(lag)] if lag.instance == "b" && lag.newest == "2"), "{told:?}");
    assert_eq!(observe(&mut oversight, 27, &behind), []);
    assert_eq!(late(&oversight), Vec::<&str>::new());
    let told = observe(&mut oversight, 28, &behind);
    assert!(
        matches!(&told[..], [News::Late(lag)] if lag.behind == Duration::from_secs(27 * HOUR)),
        "{told:?}"
    );
    assert_eq!(late(&oversight), ["b"]);
    assert_eq!(oversight.excluded("b"), Some(InstanceState::Late));
    assert_eq!(observe(&mut oversight, 40, &behind), []);
    let told = observe(&mut oversight, 41, &[("a", "2"), ("b", "2")]);
    assert_eq!(told, [News::CaughtUp { instance: "b".into() }]);
    assert_eq!(late(&oversight), Vec::<&str>::new());
}

#[test]
fn a_late_instance_that_takes_a_version_between_is_late_since_the_next_one() {
    let mut oversight = Oversight::default();
    observe(&mut oversight, 0, &[("a", "1"), ("b", "1")]);
    observe(&mut oversight, 1, &[("a", "2"), ("b", "1")]);
    observe(&mut oversight, 20, &[("a", "3"), ("b", "1")]);
    observe(&mut oversight, 30, &[("a", "3"), ("b", "1")]);
    assert_eq!(late(&oversight), ["b"]);
    observe(&mut oversight, 31, &[("a", "3"), ("b", "2")]);
    assert_eq!(late(&oversight), Vec::<&str>::new(), "version 3 is there for eleven hours");
    observe(&mut oversight, 47, &[("a", "3"), ("b", "2")]);
    assert_eq!(late(&oversight), ["b"]);
}

#[test]
fn weeks_between_two_releases_make_nobody_late() {
    let mut oversight = Oversight::default();
    let (old, new) = ("2026/11/01-120000", "2026/11/22-120000");
    observe(&mut oversight, 0, &[("a", old), ("b", old)]);
    observe(&mut oversight, 600, &[("a", new), ("b", old)]);
    observe(&mut oversight, 601, &[("a", new), ("b", old)]);
    assert_eq!(late(&oversight), Vec::<&str>::new());
}

#[test]
fn a_site_that_has_lost_its_memory_goes_by_the_date_of_a_version() {
    // 2027-01-15 is START.
    let (old, new, newest) = ("2026/12/01-120000", "2027/01/11-120000", "2027/01/15-070000");
    let mut oversight = Oversight::default();
    observe(&mut oversight, 0, &[("a", new), ("b", old)]);
    assert_eq!(late(&oversight), ["b"]);
    let mut oversight = Oversight::default();
    observe(&mut oversight, 0, &[("a", newest), ("b", new)]);
    assert_eq!(late(&oversight), Vec::<&str>::new(), "that one is of today");
    let mut oversight = Oversight::default();
    observe(&mut oversight, 0, &[("a", "42"), ("b", "41")]);
    assert_eq!(late(&oversight), Vec::<&str>::new(), "and that is no date");
}

#[test]
fn an_instance_without_a_version_is_behind_since_it_was_seen_so() {
    let mut oversight = Oversight::default();
    observe(&mut oversight, 0, &[("a", ""), ("b", "")]);
    assert_eq!(observe(&mut oversight, 50, &[("a", ""), ("b", "")]), [], "nobody has one");
    observe(&mut oversight, 60, &[("a", "1"), ("b", "")]);
    observe(&mut oversight, 86, &[("a", "1"), ("b", "")]);
    assert_eq!(late(&oversight), Vec::<&str>::new());
    observe(&mut oversight, 87, &[("a", "1"), ("b", "")]);
    assert_eq!(late(&oversight), ["b"]);
}

#[test]
fn who_is_not_healthy_makes_nobody_late_and_a_late_one_stays_late_meanwhile() {
    let mut oversight = Oversight::default();
    let mut ahead = instance("a", "2");
    (ahead.healthy, ahead.state) = (false, InstanceState::Open);
    let both = [ahead.clone(), instance("b", "1")];
    for hours in [0, 100] {
        assert_eq!(oversight.observe(&report(&both), START + hours * HOUR, LAG), []);
    }
    ahead.state = InstanceState::Blind;
    assert_eq!(oversight.observe(&report(&[ahead, instance("b", "1")]), START + 101 * HOUR, LAG), []);
    observe(&mut oversight, 102, &[("a", "2"), ("b", "1")]);
    assert_eq!(late(&oversight), ["b"]);
    let mut gone = instance("b", "1");
    (gone.healthy, gone.state) = (false, InstanceState::Open);
    oversight.observe(&report(&[instance("a", "2"), gone]), START + 103 * HOUR, LAG);
    assert_eq!(late(&oversight), ["b"]);
    let mut reported = instance("b", "1");
    (reported.healthy, reported.state) = (false, InstanceState::Late);
    oversight.observe(&report(&[instance("a", "2"), reported]), START + 104 * HOUR, LAG);
    assert_eq!(late(&oversight), ["b"], "as the workers report it once it is late");
}

#[test]
fn the_last_one_that_scans_is_never_late() {
    let mut oversight = Oversight::default();
    observe(&mut oversight, 0, &[("a", "2"), ("b", "1")]);
    observe(&mut oversight, 99, &[("a", "2"), ("b", "1")]);
    assert_eq!(late(&oversight), ["b"]);
    let mut broken = instance("a", "2");
    (broken.healthy, broken.state) = (false, InstanceState::Open);
    let mut reported = instance("b", "1");
    (reported.healthy, reported.state) = (false, InstanceState::Late);
    oversight.observe(&report(&[broken, reported]), START + 100 * HOUR, LAG);
    assert_eq!(late(&oversight), Vec::<&str>::new());
}

#[test]
fn without_a_lag_nobody_is_late_and_nothing_is_told() {
    let mut oversight = Oversight::default();
    for hours in [0, 1, 99] {
        let both = report(&[instance("a", "2"), instance("b", "1")]);
        assert_eq!(oversight.observe(&both, START + hours * HOUR, Duration::ZERO), []);
    }
    assert_eq!(late(&oversight), Vec::<&str>::new());
}

#[test]
fn one_that_misses_is_blind_until_it_finds_again_and_its_verdicts_between_are_not_believed() {
    let mut oversight = Oversight::default();
    assert_eq!(oversight.judge(&round(100, &[("a", true), ("b", true)])), []);
    let told = oversight.judge(&round(200, &[("a", true), ("b", false)]));
    assert_eq!(told, [News::Blind { instance: "b".into(), from: 100 }]);
    assert_eq!(oversight.excluded("b"), Some(InstanceState::Blind));
    assert_eq!(oversight.judge(&round(300, &[("a", true), ("b", false)])), [], "it is told once");
    assert_eq!(oversight.judge(&round(350, &[("a", true)])), [], "one that does not answer is neither");
    assert_eq!(oversight.excluded("b"), Some(InstanceState::Blind));
    let told = oversight.judge(&round(400, &[("a", true), ("b", true)]));
    assert_eq!(told, [News::Sees { instance: "b".into() }]);
    assert_eq!(oversight.excluded("b"), Some(InstanceState::Blind), "until all know that its span is over");
    let back = report(&[InstanceReport { name: "b".into(), ..InstanceReport::default() }]);
    let excluded = [410, 411].map(|now| {
        oversight.observe(&back, now, Duration::ZERO);
        oversight.excluded("b")
    });
    assert_eq!(excluded, [Some(InstanceState::Blind), None]);
    assert_eq!(oversight.spans, [BlindSpan { instance: "b".into(), from: 100, to: Some(405) }]);
    let scan = |at| Verdict { instance: "b".into(), scanned_at: at, ..Verdict::default() };
    let covered = [99, 150, 405, 406].map(|at| oversight.spans[0].covers(&scan(at)));
    assert_eq!(covered, [false, true, true, false]);
}

#[test]
fn of_one_that_never_found_a_canary_nothing_is_believed() {
    let mut oversight = Oversight::default();
    let told = oversight.judge(&round(200, &[("a", true), ("b", false)]));
    assert_eq!(told, [News::Blind { instance: "b".into(), from: 0 }]);
}

#[test]
fn where_all_that_answer_miss_the_canary_is_in_doubt_and_nobody_leaves() {
    for answers in [&[("a", false), ("b", false)][..], &[("a", false)]] {
        let mut oversight = Oversight::default();
        oversight.judge(&round(100, &[("a", true), ("b", true)]));
        let told = oversight.judge(&round(200, answers));
        assert!(
            matches!(&told[..], [News::Doubt { instances }] if instances.len() == answers.len()),
            "{told:?}"
        );
        assert_eq!(oversight.judge(&round(300, answers)), [], "it is told once");
        assert_eq!((oversight.all_excluded().len(), oversight.spans.len()), (0, 0));
        assert_eq!(oversight.judge(&round(350, &[])), []);
        assert_eq!(oversight.doubt, Some(205), "where nobody answers nothing changes");
        let told = oversight.judge(&round(400, &[("a", true), ("b", false)]));
        assert_eq!(told, [News::Certain, News::Blind { instance: "b".into(), from: 100 }]);
        assert_eq!(oversight.doubt, None);
    }
}

#[test]
fn one_that_is_blind_already_puts_no_canary_in_doubt() {
    let mut oversight = Oversight::default();
    oversight.judge(&round(100, &[("a", true), ("b", false)]));
    assert_eq!(oversight.judge(&round(200, &[("b", false)])), [], "a did not answer");
    assert_eq!(oversight.doubt, None);
    let told = oversight.judge(&round(300, &[("a", false), ("b", false)]));
    assert!(matches!(&told[..], [News::Doubt { .. }]), "{told:?}");
    assert_eq!(oversight.excluded("b"), Some(InstanceState::Blind), "what was known stays");
}

#[test]
fn what_is_long_over_is_forgotten() {
    let mut oversight = Oversight::default();
    observe(&mut oversight, 0, &[("a", "1"), ("b", "1")]);
    oversight.judge(&round(START, &[("a", true), ("b", false)]));
    observe(&mut oversight, 31 * 24, &[("a", "1")]);
    assert_eq!(oversight.instances.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(oversight.spans[0].to, Some(START), "it scans nothing any more");
    oversight.prune(START + 24 * HOUR, Duration::from_secs(24 * HOUR));
    assert_eq!(oversight.spans.len(), 1);
    oversight.prune(START + 24 * HOUR + 1, Duration::from_secs(24 * HOUR));
    assert_eq!(oversight.spans, []);
    for number in 0..100 {
        observe(&mut oversight, 800, &[("a", &format!("v{number:03}"))]);
    }
    let json = serde_json::to_value(&oversight.versions).unwrap();
    assert_eq!(json.as_object().unwrap().len(), 64);
    assert!(json.get("v099").is_some() && json.get("v035").is_none());
}

#[test]
fn it_travels_and_reads_what_earlier_and_later_programs_wrote() {
    let mut oversight = Oversight::default();
    observe(&mut oversight, 0, &[("a", "1"), ("b", "2")]);
    oversight.judge(&round(100, &[("a", true), ("b", false)]));
    let wire = Versioned::encode(&oversight);
    assert_eq!(Versioned::decode(&wire), Some(oversight));
    assert_eq!(Versioned::decode(br#"{"v":1,"later":1}"#), Some(Oversight::default()));
}
