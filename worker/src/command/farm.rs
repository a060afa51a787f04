// SPDX-License-Identifier: GPL-3.0-or-later
//! `farm`: every instance, as this process reaches it and as the workers see it.
//!
//! This process asks each instance itself, so that the command shows something without Redis and without a worker. What
//! only those know who scan (scans in flight, latency, breaker) comes from the workers' reports. Below an instance stand
//! its URL, its last error, and each worker that sees it otherwise than most or finds it much slower.

use super::{CliError, print_json, say_all, table};
use crate::{
    config::Config,
    farm::{Farm, metrics::FarmMetrics},
};
use serde::Serialize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use thundergate_common::{
    generation::{FarmReport, InstanceReport, InstanceState},
    licence, terminal,
};

/// No line is longer, so that it fits most terminals; `--json` cuts nothing.
const WIDTH: usize = 100;
/// Names are cut to this; the URL says the rest.
const NAME: usize = 20;
/// A worker that waits so many times as long for an instance as another is worth a line.
const SLOWER: u64 = 2;

/// One instance, from all sides.
#[derive(Debug, Serialize)]
struct Shown {
    /// As this process reaches it.
    #[serde(flatten)]
    own: InstanceReport,
    /// As the workers see it.
    workers: Vec<Seen>,
}

/// One instance as one worker sees it.
#[derive(Debug, Serialize)]
struct Seen {
    worker: String,
    /// When, in seconds since the epoch.
    at: u64,
    #[serde(flatten)]
    report: InstanceReport,
}

/// Prints every instance, with what `workers` report. An error where none is available from here.
pub(super) async fn show(config: &Config, workers: &[FarmReport], json: bool) -> Result<(), CliError> {
    let farm = Farm::new(&config.farm, FarmMetrics::default())?;
    farm.probe().await;
    let shown = gather(farm.reports(), workers);
    if json {
        print_json(&shown)?;
    } else {
        say_all(&lines(&shown, SystemTime::now()));
        if let Some(since) = workers.iter().filter_map(|worker| worker.doubt).min() {
            let since = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(since));
            say!("The canary is in doubt since {since}: no scanner that answers finds it.");
        }
    }
    if farm.available() { Ok(()) } else { Err(CliError::Unavailable("no instance is available")) }
}

/// The instances of this process in their order, then those that only workers have.
fn gather(own: Vec<InstanceReport>, workers: &[FarmReport]) -> Vec<Shown> {
    let mut shown: Vec<_> = own.into_iter().map(|own| Shown { own, workers: Vec::new() }).collect();
    for worker in workers {
        for report in &worker.instances {
            let seen = Seen { worker: worker.worker.clone(), at: worker.at, report: report.clone() };
            match shown.iter_mut().find(|one| one.own.name == report.name) {
                Some(one) => one.workers.push(seen),
                None => shown.push(Shown { own: unasked(report), workers: vec![seen] }),
            }
        }
    }
    shown
}

/// What a worker knows of an instance that this process did not ask, without what holds for the worker only.
fn unasked(report: &InstanceReport) -> InstanceReport {
    InstanceReport {
        state: InstanceState::Unheard,
        healthy: false,
        in_flight: 0,
        capacity: 0,
        latency_ms: None,
        info_ms: None,
        last_error: None,
        ..report.clone()
    }
}

/// What a person sees at `now`.
fn lines(shown: &[Shown], now: SystemTime) -> Vec<String> {
    let head = ["NAME", "STATE", "THOR", "SIGNATURES", "THREADS", "IN FLIGHT", "LATENCY", "LICENCE"];
    let rows: Vec<_> = shown.iter().map(|one| row(one, now)).collect();
    let mut rows = table(head, &rows).into_iter();
    let mut lines: Vec<String> = rows.next().into_iter().collect();
    for (one, row) in shown.iter().zip(rows) {
        lines.push(row);
        lines.extend(below(one).into_iter().map(|line| format!("    {}", terminal::shown(&line))));
    }
    lines.iter().map(|line| cut(line, WIDTH)).collect()
}

fn row(one: &Shown, now: SystemTime) -> [String; 8] {
    let known = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let in_flight = || one.workers.iter().map(|seen| seen.report.in_flight).sum::<usize>().to_string();
    [
        cut(&one.own.name, NAME),
        state(one),
        known(one.own.thor.clone()),
        known(one.own.signatures.clone()),
        known(one.own.threads.map(|threads| threads.to_string())),
        known((!one.workers.is_empty()).then(in_flight)),
        known(latency(one)),
        known(one.own.licence_ends.as_deref().map(|words| licence_of(words, now))),
    ]
}

/// The breaker, as most workers have it: `closed 2/3`. Without workers what asking it gave.
fn state(one: &Shown) -> String {
    let (state, count) = commonest(one);
    let all = one.workers.len();
    if count == all { state.to_string() } else { format!("{state} {count}/{all}") }
}

/// The state in which most workers have the instance, and how many those are.
fn commonest(one: &Shown) -> (InstanceState, usize) {
    let count = |state| one.workers.iter().filter(|seen| seen.report.state == state).count();
    let states = one.workers.iter().map(|seen| seen.report.state);
    states.map(|state| (state, count(state))).max_by_key(|(_, count)| *count).unwrap_or((one.own.state, 0))
}

/// From the least to the most that a worker sees.
fn latency(one: &Shown) -> Option<String> {
    let all = || one.workers.iter().filter_map(|seen| seen.report.latency_ms);
    let (least, most) = (all().min()?, all().max()?);
    Some(if least == most { format!("{least} ms") } else { format!("{least}-{most} ms") })
}

fn licence_of(words: &str, now: SystemTime) -> String {
    match licence::days_left(words, now) {
        Some(days) if days < 0 => "has ended".to_owned(),
        Some(1) => "1 day".to_owned(),
        Some(days) => format!("{days} days"),
        None => words.to_owned(),
    }
}

fn below(one: &Shown) -> Vec<String> {
    let mut lines = vec![one.own.url.clone()];
    lines.extend(one.own.last_error.as_ref().map(|error| format!("error: {error}")));
    let (usual, _) = commonest(one);
    lines.extend(why(usual).map(str::to_owned));
    lines.extend(size(one));
    let least = one.workers.iter().filter_map(|seen| seen.report.latency_ms).min().unwrap_or(0);
    let slow =
        |seen: &Seen| seen.report.latency_ms.is_some_and(|ms| ms > least.saturating_mul(SLOWER).max(1));
    let differs = one.workers.iter().filter(|seen| seen.report.state != usual || slow(seen));
    lines.extend(differs.map(|seen| {
        let latency = seen.report.latency_ms.map(|ms| format!(", {ms} ms")).unwrap_or_default();
        let error = seen.report.last_error.as_ref().map(|error| format!(", {error}")).unwrap_or_default();
        format!("{}: {}, {} in flight{latency}{error}", seen.worker, seen.report.state, seen.report.in_flight)
    }));
    lines
}

/// What keeps an instance from scanning although it answers.
fn why(state: InstanceState) -> Option<&'static str> {
    match state {
        InstanceState::Blind => Some("blind: it does not find the canary and gets no mail"),
        InstanceState::Late => Some("late: behind with signatures for longer than farm.lag, gets no mail"),
        InstanceState::Drained => Some("drained: concurrency = 0"),
        _ => None,
    }
}

/// The largest file that it gets, as the workers have it, which may have other limits.
fn size(one: &Shown) -> Option<String> {
    let of = |seen: &Seen| Some((seen.report.max_file_bytes?, seen.report.size_proved?));
    let (bytes, proved) = one.workers.iter().filter_map(of).min()?;
    let proved = if proved { "proved" } else { "not proved" };
    Some(format!("files up to {bytes} bytes, {proved}"))
}

/// `text`, no longer than `most` characters; a mark shows where something is missing.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(name: &str) -> InstanceReport {
        InstanceReport {
            name: name.to_owned(),
            url: format!("http://{name}.example:8080/"),
            healthy: true,
            state: InstanceState::Closed,
            thor: Some("10.7.20".to_owned()),
            signatures: Some("2026/11/01-120000".to_owned()),
            threads: Some(16),
            licence_ends: Some("2026/12/31".to_owned()),
            ..InstanceReport::default()
        }
    }

    fn seen(in_flight: usize, latency_ms: u64) -> InstanceReport {
        InstanceReport { in_flight, latency_ms: Some(latency_ms), ..instance("storm1") }
    }

    fn worker(name: &str, instances: &[InstanceReport]) -> FarmReport {
        FarmReport { worker: name.to_owned(), at: 1, instances: instances.to_vec(), doubt: None }
    }

    fn shown(own: &[InstanceReport], workers: &[FarmReport]) -> String {
        let now = humantime::parse_rfc3339("2026-11-22T12:00:00Z").unwrap();
        lines(&gather(own.to_vec(), workers), now).join("\n")
    }

    #[test]
    fn without_workers_it_is_what_asking_gave() {
        let broken = InstanceReport {
            state: InstanceState::Open,
            last_error: Some("the scanner cannot be reached".to_owned()),
            licence_ends: None,
            ..instance("storm2")
        };
        assert_eq!(
            shown(&[instance("storm1"), broken], &[]),
            "NAME    STATE   THOR     SIGNATURES         THREADS  IN FLIGHT  LATENCY  LICENCE\n\
             storm1  closed  10.7.20  2026/11/01-120000  16       -          -        38 days\n    \
                 http://storm1.example:8080/\n\
             storm2  open    10.7.20  2026/11/01-120000  16       -          -        -\n    \
                 http://storm2.example:8080/\n    \
                 error: the scanner cannot be reached"
        );
    }

    #[test]
    fn workers_that_agree_are_one_line() {
        let workers = [worker("a", &[seen(3, 30)]), worker("b", &[seen(4, 45)])];
        assert_eq!(
            shown(&[instance("storm1")], &workers),
            "NAME    STATE   THOR     SIGNATURES         THREADS  IN FLIGHT  LATENCY   LICENCE\n\
             storm1  closed  10.7.20  2026/11/01-120000  16       7          30-45 ms  38 days\n    \
                 http://storm1.example:8080/"
        );
    }

    #[test]
    fn a_worker_that_sees_it_otherwise_has_a_line_of_its_own() {
        let open = InstanceReport {
            state: InstanceState::Open,
            last_error: Some("the scanner answered 500".to_owned()),
            ..seen(0, 31)
        };
        let workers = [worker("a", &[open]), worker("b", &[seen(4, 30)]), worker("c", &[seen(1, 70)])];
        let shown = shown(&[instance("storm1")], &workers);
        let lines: Vec<_> = shown.lines().skip(1).collect();
        assert!(lines[0].starts_with("storm1  closed 2/3  "), "{}", lines[0]);
        assert_eq!(
            lines[2..],
            [
                "    a: open, 0 in flight, 31 ms, the scanner answered 500",
                "    c: closed, 1 in flight, 70 ms"
            ]
        );
    }

    #[test]
    fn an_instance_that_only_a_worker_has_is_shown_too() {
        let gathered = gather(vec![instance("other")], &[worker("a", &[seen(2, 30)])]);
        assert_eq!(gathered[1].own.name, "storm1");
        assert_eq!((gathered[1].own.in_flight, gathered[1].workers[0].report.in_flight), (0, 2));
        let json = serde_json::to_value(&gathered).unwrap();
        assert_eq!(
            (&json[1]["workers"][0]["worker"], &json[1]["workers"][0]["latency_ms"]),
            (&"a".into(), &30.into())
        );
    }

    #[test]
    fn who_is_blind_or_scans_only_small_files_says_so() {
        let blind = InstanceReport {
            state: InstanceState::Blind,
            max_file_bytes: Some(15_000_000),
            size_proved: Some(true),
            ..seen(0, 30)
        };
        let shown = shown(&[instance("storm1")], &[worker("a", &[blind])]);
        let lines: Vec<_> = shown.lines().skip(1).collect();
        assert!(lines[0].starts_with("storm1  blind "), "{}", lines[0]);
        assert_eq!(
            lines[2..],
            [
                "    blind: it does not find the canary and gets no mail",
                "    files up to 15000000 bytes, proved"
            ]
        );
    }

    #[test]
    fn no_line_is_longer_than_a_terminal() {
        let mut long = instance(&"storm".repeat(30));
        long.last_error = Some("ä".repeat(500));
        long.licence_ends = Some("no idea".repeat(20));
        let shown = shown(&[long], &[]);
        assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
    }

    #[test]
    fn a_licence_is_told_in_days() {
        let now = humantime::parse_rfc3339("2026-11-22T12:00:00Z").unwrap();
        let of = |words| licence_of(words, now);
        assert_eq!([of("2026/11/24"), of("2026/11/30"), of("2026/11/22")], ["1 day", "7 days", "has ended"]);
        assert_eq!(of("for ever"), "for ever");
    }
}
