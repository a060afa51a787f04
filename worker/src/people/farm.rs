// SPDX-License-Identifier: GPL-3.0-or-later
//! `farm`: every instance as the workers see it.
//!
//! What holds for each worker alone (scans in flight, latency, breaker) comes from the workers' reports; without any, it is
//! as the program that answers has it. Below an instance stand its URL, its last error, and each worker that sees it
//! otherwise than most or finds it much slower.

use super::{
    client::Client,
    error::PeopleError,
    print::{self, say},
    table::Table,
};
use std::time::SystemTime;
use thundergate_common::{
    api::{
        Endpoint,
        farm::{Farm, Instance, Seen},
    },
    generation::{InstanceReport, InstanceState},
    licence,
};

/// A worker that waits so many times as long for an instance as another is worth a line.
const SLOWER: u64 = 2;

/// Shows every instance. An error where none scans.
pub(super) async fn show(client: &Client, json: bool) -> Result<(), PeopleError> {
    let answer = client.get(&Endpoint::FARM).await?;
    let farm: Farm = answer.read()?;
    if json {
        answer.print()?;
    } else {
        table(&farm.instances, SystemTime::now()).print();
        if let Some(since) = farm.canary_in_doubt_since_ms {
            let since = print::time(since);
            say(format_args!("The canary is in doubt since {since}: no scanner that answers finds it."));
        }
    }
    if farm.scans() { Ok(()) } else { Err(PeopleError::Unavailable("no instance is available")) }
}

/// What a person sees at `now`.
fn table(instances: &[Instance], now: SystemTime) -> Table {
    let head = ["NAME", "STATE", "THOR", "SIGNATURES", "THREADS", "IN FLIGHT", "LATENCY", "LICENCE"];
    let mut table = Table::new(&head);
    for one in instances {
        table.row_with(row(one, now), below(one));
    }
    table
}

fn row(one: &Instance, now: SystemTime) -> [String; 8] {
    let known = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let in_flight = || one.workers.iter().map(|seen| seen.report.in_flight).sum::<usize>().to_string();
    [
        one.own.name.clone(),
        state(one),
        known(one.own.thor.clone()),
        known(one.own.signatures.clone()),
        known(one.own.threads.map(|threads| threads.to_string())),
        known((!one.workers.is_empty()).then(in_flight)),
        known(latency(one)),
        known(one.own.licence_ends.as_deref().map(|words| licence_of(words, now))),
    ]
}

/// The breaker, as most workers have it: `closed 2/3`. Without workers as the program that answers has it.
fn state(one: &Instance) -> String {
    let (state, count) = commonest(one);
    let all = one.workers.len();
    if count == all { state.to_string() } else { format!("{state} {count}/{all}") }
}

/// The state in which most workers have the instance, and how many those are.
fn commonest(one: &Instance) -> (InstanceState, usize) {
    let count = |state| one.workers.iter().filter(|seen| seen.report.state == state).count();
    let states = one.workers.iter().map(|seen| seen.report.state);
    states.map(|state| (state, count(state))).max_by_key(|(_, count)| *count).unwrap_or((one.own.state, 0))
}

/// From the least to the most that a worker sees.
fn latency(one: &Instance) -> Option<String> {
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

fn below(one: &Instance) -> Vec<String> {
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
fn size(one: &Instance) -> Option<String> {
    let of = |report: &InstanceReport| Some((report.max_file_bytes?, report.size_proved?));
    let (bytes, proved) = one.workers.iter().filter_map(|seen| of(&seen.report)).min()?;
    let proved = if proved { "proved" } else { "not proved" };
    Some(format!("files up to {bytes} bytes, {proved}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use thundergate_common::generation::FarmReport;

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
        table(&Farm::of(own.to_vec(), workers).instances, now).lines(Some(100)).join("\n")
    }

    #[test]
    fn without_workers_it_is_as_the_program_that_answers_has_it() {
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
    fn no_row_is_wider_than_the_terminal() {
        let mut long = instance(&"storm".repeat(30));
        long.licence_ends = Some("no idea".repeat(20));
        let shown = shown(&[long], &[]);
        let rows = shown.lines().filter(|line| !line.starts_with("    http"));
        assert!(rows.clone().count() > 5 && rows.clone().all(|line| line.chars().count() <= 100), "{shown}");
    }

    #[test]
    fn a_licence_is_told_in_days() {
        let now = humantime::parse_rfc3339("2026-11-22T12:00:00Z").unwrap();
        let of = |words| licence_of(words, now);
        assert_eq!([of("2026/11/24"), of("2026/11/30"), of("2026/11/22")], ["1 day", "7 days", "has ended"]);
        assert_eq!(of("for ever"), "for ever");
    }
}
