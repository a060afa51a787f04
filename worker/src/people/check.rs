// SPDX-License-Identifier: GPL-3.0-or-later
//! `check`: what each program here finds wrong with what it needs. The worst stands last, where one looks first on a
//! terminal, and below each finding what to do.

use super::{
    client::Client,
    error::PeopleError,
    print::{self, say, say_all, width},
    table::Table,
};
use thundergate_common::{
    api::{
        Endpoint, Scope,
        check::{Finding, Level, Report, Wanted},
    },
    terminal::readable,
};

/// Has each of `clients` look, and shows what it found. Returns the exit status of the worst finding. One that does not
/// answer is an error once the others are shown.
pub(super) async fn show(clients: &[Client], scan: bool, json: bool) -> Result<u8, PeopleError> {
    let endpoint =
        if scan { Endpoint { scope: Scope::Operator, ..Endpoint::CHECK } } else { Endpoint::CHECK };
    let (mut answers, mut error) = (Vec::new(), None);
    for client in clients {
        match client.post(&endpoint, &Wanted { scan }).await {
            Ok(answer) => answers.push(answer),
            Err(one) => error = error.or(Some(one)),
        }
    }
    let reports = answers.iter().map(|answer| answer.read::<Report>()).collect::<Result<Vec<_>, _>>()?;
    if json {
        let all =
            answers.iter().map(|answer| answer.read::<serde_json::Value>()).collect::<Result<Vec<_>, _>>()?;
        print::json(&all)?;
    } else {
        for (number, report) in reports.iter().enumerate() {
            if number > 0 {
                say("");
            }
            say_all(&lines(report, width()));
        }
    }
    let status = reports.iter().map(Report::status).max().unwrap_or(0);
    error.map_or(Ok(status), Err)
}

/// What a person sees of a report, on a terminal of so many columns.
pub(crate) fn lines(report: &Report, width: Option<u16>) -> Vec<String> {
    let mut findings: Vec<&Finding> = report.findings.iter().collect();
    findings.sort_by_key(|finding| finding.level);
    let mut table = Table::new(&["LEVEL", "SUBJECT", "FOUND"]).whole(&["LEVEL"]);
    for finding in findings {
        let cure = Some(&finding.cure).filter(|cure| !cure.is_empty()).map(|cure| format!("-> {cure}"));
        table.row_with([word(finding.level).to_owned(), finding.subject.clone(), finding.text.clone()], cure);
    }
    let mut lines = vec![format!("{} {}", readable(&report.program), readable(&report.process))];
    lines.extend(table.lines(width));
    lines.push(summary(&report.findings));
    lines
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Warning => "warning",
        Level::Unavailable => "unavailable",
        Level::Wrong => "wrong",
    }
}

/// How many findings of each level there are, the worst first.
fn summary(findings: &[Finding]) -> String {
    let levels = [Level::Wrong, Level::Unavailable, Level::Warning, Level::Ok];
    let count = |level: Level| findings.iter().filter(|finding| finding.level == level).count();
    let counted = levels.into_iter().filter(|level| count(*level) > 0);
    let counted = counted.map(|level| format!("{} {}", count(level), word(level)));
    let counted = counted.collect::<Vec<_>>().join(", ");
    if counted.is_empty() { "nothing was looked at".to_owned() } else { counted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_stands_last_and_each_has_its_cure() {
        let findings = vec![
            Finding::new(Level::Wrong, "redis.url", "the password is wrong", "set redis.password_file"),
            Finding::ok("farm.instances storm1", "answers"),
            Finding::new(Level::Warning, "wait.deadline", "it is \"long\"", ""),
        ];
        let report = Report { program: "worker".to_owned(), process: "mx1:7".to_owned(), findings };
        assert_eq!(
            lines(&report, None),
            [
                "worker mx1:7",
                "LEVEL    SUBJECT                FOUND",
                "ok       farm.instances storm1  answers",
                "warning  wait.deadline          it is \"long\"",
                "wrong    redis.url              the password is wrong",
                "    -> set redis.password_file",
                "1 wrong, 1 warning, 1 ok",
            ]
        );
        assert_eq!(lines(&Report::default(), None).last().unwrap(), "nothing was looked at");
    }
}
