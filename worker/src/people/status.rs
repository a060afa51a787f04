// SPDX-License-Identifier: GPL-3.0-or-later
//! `status`: how the programs here are, each in its own remarks and some numbers. The status page says more.

use super::{
    client::Client,
    error::PeopleError,
    print::{self, say, say_all},
};
use serde::Deserialize;
use std::collections::BTreeMap;
use thundergate_common::{clock::now_ms, hub::QueueState, terminal::readable};

/// What is shown of [`thundergate_common::admin::status::Status`]; all of it is absent where a program does not know it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    program: Program,
    remarks: Vec<Remark>,
    flow: Option<Flow>,
    waiting: Option<Waiting>,
    queue: Option<QueueState>,
    farm: Option<Vec<Instance>>,
    signatures: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Program {
    name: String,
    version: String,
    process: String,
    started_ms: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Remark {
    level: String,
    text: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Flow {
    decisions: BTreeMap<String, Counted>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Counted {
    last_minute: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Waiting {
    mails: usize,
    seats: usize,
    oldest_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Instance {
    healthy: usize,
}

/// Shows how each of `clients` is. One that does not answer is an error once the others are shown.
pub(super) async fn show(clients: &[Client], json: bool) -> Result<(), PeopleError> {
    let (mut answers, mut error) = (Vec::new(), None);
    for client in clients {
        match client.status().await {
            Ok(answer) => answers.push(answer),
            Err(one) => error = error.or(Some(one)),
        }
    }
    if json {
        let all =
            answers.iter().map(|answer| answer.read::<serde_json::Value>()).collect::<Result<Vec<_>, _>>()?;
        print::json(&all)?;
    } else {
        for (number, answer) in answers.iter().enumerate() {
            if number > 0 {
                say("");
            }
            say_all(&lines(&answer.read()?, now_ms()));
        }
    }
    error.map_or(Ok(()), Err)
}

fn lines(status: &Status, now_ms: u64) -> Vec<String> {
    let Program { name, version, process, started_ms } = &status.program;
    let [name, version, process] = [name, version, process].map(|text| readable(text));
    let mut lines = vec![format!("{name} {version}, {process}, up {}", print::age(*started_ms, now_ms))];
    let level = |remark: &Remark| readable(&remark.level);
    lines.extend(
        status.remarks.iter().map(|remark| format!("  {:<6}{}", level(remark), readable(&remark.text))),
    );
    let mut fact = |name: &str, text: String| lines.push(format!("  {name:<16}{text}"));
    if let Some(flow) = &status.flow {
        let recent = flow.decisions.iter().filter(|(_, counted)| counted.last_minute > 0);
        let mails =
            recent.map(|(decision, counted)| format!("{} {}", readable(decision), counted.last_minute));
        let mails = mails.collect::<Vec<_>>().join(", ");
        fact("last minute", if mails.is_empty() { "no mail".to_owned() } else { mails });
    }
    if let Some(Waiting { mails, seats, oldest_ms }) = status.waiting {
        let oldest = oldest_ms.map(|ms| format!(", the oldest for {}", print::span(ms))).unwrap_or_default();
        fact("waiting mails", format!("{mails} of at most {seats}{oldest}"));
    }
    if let Some(farm) = &status.farm {
        let healthy = farm.iter().filter(|one| one.healthy > 0).count();
        fact("scanners", format!("{healthy} of {} scan", farm.len()));
    }
    if let Some(signatures) = &status.signatures {
        fact("signatures", readable(signatures));
    }
    if let Some(queue) = &status.queue {
        for lane in &queue.lanes {
            let waits = format!("{} waiting, {} claimed", lane.waiting, lane.claimed);
            let oldest =
                lane.oldest_ms.map(|ms| format!(", the oldest for {}", print::span(ms))).unwrap_or_default();
            fact(&format!("lane {}", lane.lane.as_str()), waits + &oldest);
        }
        fact("dead letters", queue.dead_letters.to_string());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_told_in_remarks_and_numbers() {
        let status = r#"{
            "program": {"name": "milter", "version": "0.1.1", "process": "mx1:7", "started_ms": 1000, "later": 1},
            "remarks": [{"level": "bad", "text": "No scanner answers."}, {"level": "note", "text": "Passive \u001b."}],
            "flow": {"decisions": {"accept": {"last_minute": 7}, "tag": {"last_minute": 0}}},
            "waiting": {"mails": 2, "seats": 50, "oldest_ms": 1500},
            "farm": [{"healthy": 1}, {"healthy": 0}],
            "signatures": "2026/01/12-1",
            "queue": {"lanes": [{"lane": "mail", "waiting": 3, "claimed": 1, "oldest_ms": null}],
                      "dead_letters": 4, "sample_bytes": 0}
        }"#;
        assert_eq!(
            lines(&serde_json::from_str(status).unwrap(), 3_601_000),
            [
                "milter 0.1.1, mx1:7, up 1h 0m",
                "  bad   No scanner answers.",
                "  note  Passive \\u{1b}.",
                "  last minute     accept 7",
                "  waiting mails   2 of at most 50, the oldest for 1.5 s",
                "  scanners        1 of 2 scan",
                "  signatures      2026/01/12-1",
                "  lane mail       3 waiting, 1 claimed",
                "  dead letters    4",
            ]
        );
        assert_eq!(lines(&serde_json::from_str("{}").unwrap(), 0), [" , , up 0s"]);
    }
}
