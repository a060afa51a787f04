// SPDX-License-Identifier: GPL-3.0-or-later
//! A status in sentences, the worst first: the first one is the page's headline.

use super::status::{Flow, Instance, Level, Remark, Status, Unscanned, Waiting};
use crate::{causes::innermost, generation::InstanceState, job::Lane};
use std::time::Duration;

/// A licence that ends within so many days is worth a warning, as in the log.
const LICENCE_DAYS: i64 = 30;
/// A mail that waits longer for its verdicts is: most scans take less.
const WAITS: Duration = Duration::from_secs(5);
/// Scanners named in one sentence.
const MOST_NAMED: usize = 3;
/// A job of the mail lane that waits longer is: mails wait half a minute at most, unless configured otherwise.
const LONG: Duration = Duration::from_secs(30);

/// What is to be said of `status`; each cause once.
pub(super) fn remarks(status: &Status) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let mut say = |level, text: String| remarks.push(Remark { level, text });
    // A hub that is away is often why the program is not ready.
    if let Some(error) = status.hub_error.as_ref().filter(|_| status.hub_error != status.not_ready) {
        say(Level::Bad, format!("The hub does not answer: {error}."));
    }
    if let Some(reason) = &status.not_ready {
        say(Level::Bad, format!("The {} is not ready: {reason}.", status.program.name));
    }
    let told = status.not_ready.as_ref().is_some_and(|reason| reason.starts_with("no scanner"));
    if let Some(reason) = status.outage.as_ref().filter(|_| !told) {
        say(Level::Bad, format!("No scanner answers: {reason}."));
    }
    if let Some(refused) = &status.config_refused {
        let why = refused.reason.trim_end_matches('.');
        say(Level::Warn, format!("The new configuration is refused, the one before holds: {why}."));
    }
    status.unscanned.iter().flatten().for_each(|one| unscanned(one, status, &mut say));
    let told = told || status.outage.is_some();
    status.farm.iter().for_each(|farm| scanners(farm, told, &mut say));
    if status.canary_in_doubt_since.is_some() {
        say(
            Level::Bad,
            "No scanner that answers finds the canary: is it wrong, or are all of them blind?".to_owned(),
        );
    }
    waiting(status, &mut say);
    if let Some(queue) = status.queue.as_ref().filter(|queue| queue.dead_letters > 0) {
        let kept = queue.dead_letters;
        let samples = if kept == 1 { "sample was" } else { "samples were" };
        say(Level::Warn, format!("{kept} {samples} given up: see the dead letters."));
    }
    if status.program.passive {
        say(Level::Note, "Passive mode: decisions are logged and not carried out.".to_owned());
    }
    if remarks.iter().all(|remark| remark.level == Level::Note) {
        remarks.push(Remark { level: Level::Good, text: all_is_well(status) });
    }
    remarks.sort_by_key(|remark| remark.level);
    remarks
}

fn all_is_well(status: &Status) -> String {
    let recent = |flow: &Flow| flow.decisions.values().map(|counted| counted.last_minute).sum::<u64>();
    let unscanned = status.unscanned.iter().flatten().any(|one| one.last_minute > 0);
    match status.flow.as_ref().map(recent) {
        Some(0) => "No mail in the last minute; all is ready.",
        Some(_) if unscanned => "Mail is flowing; what can be scanned is scanned.",
        Some(_) => "Mail is flowing; everything is scanned.",
        None if status
            .queue
            .as_ref()
            .is_some_and(|queue| queue.lanes.iter().any(|lane| lane.waiting > 0)) =>
        {
            "Samples are being scanned."
        }
        None => "The scanners answer; nothing waits.",
    }
    .to_owned()
}

fn unscanned(one: &Unscanned, status: &Status, say: &mut impl FnMut(Level, String)) {
    let Some(reason) = one.reason.filter(|_| one.last_minute > 0) else { return };
    let [singly, together] = one.outcome;
    let (mails, outcome) = if one.last_minute == 1 { ("mail", singly) } else { ("mails", together) };
    let nobody = status.farm.as_ref().is_some_and(|farm| farm.iter().all(|one| one.healthy == 0));
    let why = if reason.takes_scanner && nobody { "no scanner answers" } else { reason.why };
    say(reason.level, format!("{} {mails} a minute {outcome}: {why}.", one.last_minute));
}

/// That none answers is `told`.
fn scanners(farm: &[Instance], told: bool, say: &mut impl FnMut(Level, String)) {
    // Who was never asked yet is not away, nor who is kept from scanning.
    let away = |one: &&Instance| {
        one.healthy == 0 && matches!(one.state, InstanceState::Open | InstanceState::Closed)
    };
    let away: Vec<_> = farm.iter().filter(away).collect();
    let all = farm.len();
    let kept = |one: &Instance| {
        matches!(one.state, InstanceState::Drained | InstanceState::Blind | InstanceState::Late)
    };
    let nobody = farm.iter().all(|one| one.healthy == 0);
    match away.len() {
        _ if told => {}
        0 if all > 0 && farm.iter().all(kept) => say(Level::Bad, "No scanner gets mail.".to_owned()),
        0 => {}
        _ if nobody => say(Level::Bad, format!("No scanner answers{}.", causes(&away))),
        1 => say(Level::Warn, format!("1 of {all} scanners does not answer{}.", causes(&away))),
        many => say(Level::Warn, format!("{many} of {all} scanners do not answer{}.", causes(&away))),
    }
    for one in farm {
        match one.state {
            InstanceState::Blind => {
                say(
                    Level::Bad,
                    format!("{} is blind: it does not find the canary and gets no mail.", one.name),
                );
            }
            InstanceState::Late => {
                say(
                    Level::Warn,
                    format!("{} has old signatures and gets no mail until it has new ones.", one.name),
                );
            }
            _ => {}
        }
        match one.licence_days {
            Some(days) if days < 0 => say(Level::Bad, format!("The licence of {} has ended.", one.name)),
            Some(days) if days < LICENCE_DAYS => {
                let days = if days == 1 { "1 day".to_owned() } else { format!("{days} days") };
                say(Level::Warn, format!("The licence of {} ends in {days}.", one.name));
            }
            _ => {}
        }
    }
}

/// Who does not answer, and why: `: storm1 Connection refused; 3 more`.
fn causes(away: &[&Instance]) -> String {
    let cause = |one: &&Instance| match &one.last_error {
        Some(error) => format!("{} {}", one.name, innermost(error)),
        None => one.name.clone(),
    };
    let mut causes: Vec<_> = away.iter().take(MOST_NAMED).map(cause).collect();
    if away.len() > MOST_NAMED {
        causes.push(format!("{} more", away.len() - MOST_NAMED));
    }
    format!(": {}", causes.join("; "))
}

fn waiting(status: &Status, say: &mut impl FnMut(Level, String)) {
    if let Some(waiting) = &status.waiting
        && waiting.mails > 0
        && waiting.mails >= waiting.seats
    {
        say(Level::Warn, format!("All {} seats for waiting mails are taken.", waiting.seats));
    }
    if let Some(Waiting { mails, oldest_ms: Some(age), .. }) = &status.waiting
        && Duration::from_millis(*age) > WAITS
    {
        let mails = if *mails == 1 { "1 mail waits".to_owned() } else { format!("{mails} mails wait") };
        say(Level::Warn, format!("{mails} for a verdict, the first for {} s.", age / 1000));
    }
    let mail = status.queue.iter().flat_map(|queue| &queue.lanes).find(|lane| lane.lane == Lane::Mail);
    if let Some(age) = mail.and_then(|lane| lane.oldest_ms).map(Duration::from_millis)
        && age > LONG
    {
        say(Level::Warn, format!("The oldest sample that mail waits for is {} s old.", age.as_secs()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        admin::status::{Counted, Program, Reason},
        hub::{LaneState, QueueState},
        reload::Refused,
    };

    fn milter(mails: u64) -> Status {
        let counted = Counted { last_minute: mails, ..Counted::default() };
        let flow = Flow { decisions: [("accept", counted)].into(), ..Flow::default() };
        Status { flow: Some(flow), farm: Some(vec![storm(1)]), ..Status::default() }
    }

    fn storm(healthy: usize) -> Instance {
        let state = InstanceState::Closed;
        Instance { name: "storm1".to_owned(), state, workers: 1, healthy, ..Instance::default() }
    }

    fn without(reason: Reason, last_minute: u64) -> Option<Vec<Unscanned>> {
        let outcome = ["is deferred", "are deferred"];
        Some(vec![Unscanned { outcome, reason: Some(reason), last_minute, ..Unscanned::default() }])
    }

    const LATE: Reason = Reason { level: Level::Bad, why: "scans take too long", takes_scanner: true };

    fn said(status: &Status) -> Vec<(Level, String)> {
        remarks(status).into_iter().map(|remark| (remark.level, remark.text)).collect()
    }

    fn first(status: &Status) -> String {
        said(status).swap_remove(0).1
    }

    #[test]
    fn one_sentence_says_that_all_is_well() {
        assert_eq!(said(&milter(7)), [(Level::Good, "Mail is flowing; everything is scanned.".to_owned())]);
        assert_eq!(first(&milter(0)), "No mail in the last minute; all is ready.");
        assert_eq!(first(&Status::default()), "The scanners answer; nothing waits.");
    }

    #[test]
    fn what_is_not_scanned_is_said_with_its_outcome_and_its_cause() {
        let status = Status { unscanned: without(LATE, 3), ..milter(9) };
        assert_eq!(first(&status), "3 mails a minute are deferred: scans take too long.");
        let status = Status { farm: Some(vec![storm(0)]), ..status };
        assert_eq!(first(&status), "3 mails a minute are deferred: no scanner answers.");
        let hub = Reason { why: "the hub does not answer", takes_scanner: false, ..LATE };
        let status = Status { unscanned: without(hub, 1), ..status };
        assert_eq!(first(&status), "1 mail a minute is deferred: the hub does not answer.");
        let status = Status { unscanned: without(LATE, 0), ..milter(9) };
        assert_eq!(first(&status), "Mail is flowing; everything is scanned.");
    }

    #[test]
    fn what_nobody_could_scan_is_no_alarm() {
        let encrypted = Reason { level: Level::Note, why: "encrypted", takes_scanner: false };
        let status = Status { unscanned: without(encrypted, 2), ..milter(9) };
        let expected = [
            (Level::Good, "Mail is flowing; what can be scanned is scanned.".to_owned()),
            (Level::Note, "2 mails a minute are deferred: encrypted.".to_owned()),
        ];
        assert_eq!(said(&status), expected);
    }

    #[test]
    fn scanners_that_are_kept_from_mail_are_not_away_and_all_of_them_are_an_alarm() {
        let drained = || Instance { state: InstanceState::Drained, ..storm(0) };
        let of = |farm: Vec<Instance>| said(&Status { farm: Some(farm), ..milter(9) });
        let texts = |farm| of(farm).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert!(!texts(vec![storm(1), drained()]).iter().any(|text| text.contains("scanner")));
        assert_eq!(of(vec![drained()])[0], (Level::Bad, "No scanner gets mail.".to_owned()));
        let away = Instance { state: InstanceState::Open, ..storm(0) };
        assert_eq!(of(vec![away, drained()])[0], (Level::Bad, "No scanner answers: storm1.".to_owned()));
    }

    #[test]
    fn every_cause_is_said_once_and_whole() {
        let error = Some("the scanner cannot be reached: tcp connect error: Connection refused".to_owned());
        let away = |name: &str| Instance { name: name.to_owned(), last_error: error.clone(), ..storm(0) };
        let farm = ["a", "b", "c", "d", "e"].map(away);
        let outage = || Some("a Connection refused; b drained".to_owned());
        let texts = |status: &Status| said(status).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        let status = Status { farm: Some(farm.into()), ..milter(9) };
        let named = "a Connection refused; b Connection refused; c Connection refused; 2 more";
        assert_eq!(texts(&status), [format!("No scanner answers: {named}.")]);
        let status = Status { outage: outage(), ..status };
        assert_eq!(texts(&status), ["No scanner answers: a Connection refused; b drained."]);
        let not_ready = Some("no scanner answers: a Connection refused; b drained".to_owned());
        let program = Program { name: "milter", ..Program::default() };
        let status = Status { not_ready, program, ..status };
        assert_eq!(
            texts(&status),
            ["The milter is not ready: no scanner answers: a Connection refused; b drained."]
        );
        // A milter that may not read what workers report.
        let status = Status { outage: outage(), ..milter(9) };
        assert_eq!(texts(&status), ["No scanner answers: a Connection refused; b drained."]);
    }

    #[test]
    fn it_is_not_well_while_a_configuration_is_refused_or_mails_wait_long() {
        let refused = Refused { at_ms: 1, reason: "milter.toml:1: mode: unknown variant `x`".to_owned() };
        let status = Status { config_refused: Some(refused), ..milter(9) };
        let text = "The new configuration is refused, the one before holds: milter.toml:1: mode: unknown variant `x`.";
        assert_eq!(said(&status), [(Level::Warn, text.to_owned())]);
        let waiting =
            |ms| Status { waiting: Some(Waiting { mails: 3, seats: 50, oldest_ms: Some(ms) }), ..milter(9) };
        assert_eq!(said(&waiting(900))[0].0, Level::Good);
        assert_eq!(first(&waiting(7_000)), "3 mails wait for a verdict, the first for 7 s.");
    }

    #[test]
    fn a_scanner_that_nobody_asked_yet_is_not_away() {
        let unheard = Instance { state: InstanceState::Unheard, ..storm(0) };
        let status = Status { farm: Some(vec![storm(1), unheard]), ..milter(9) };
        assert_eq!(first(&status), "Mail is flowing; everything is scanned.");
    }

    #[test]
    fn the_worst_comes_first() {
        let lane = LaneState { lane: Lane::Mail, waiting: 3, claimed: 0, oldest_ms: Some(61_000) };
        let queue = QueueState { lanes: vec![lane], dead_letters: 1, sample_bytes: 0 };
        let ending = Instance { licence_days: Some(1), ..storm(1) };
        let status = Status {
            queue: Some(queue),
            farm: Some(vec![storm(0), ending]),
            waiting: Some(Waiting { mails: 2, seats: 2, oldest_ms: None }),
            hub_error: Some("hub unavailable".to_owned()),
            ..milter(1)
        };
        let texts: Vec<_> = said(&status).into_iter().map(|(_, text)| text).collect();
        assert_eq!(
            texts,
            [
                "The hub does not answer: hub unavailable.",
                "1 of 2 scanners does not answer: storm1.",
                "The licence of storm1 ends in 1 day.",
                "All 2 seats for waiting mails are taken.",
                "The oldest sample that mail waits for is 61 s old.",
                "1 sample was given up: see the dead letters.",
            ]
        );
    }
}
