// SPDX-License-Identifier: GPL-3.0-or-later
//! How answers of servers in the field differ from the two forms in [`shapes`](super::shapes): older and other versions,
//! options that change the form, and small differences that nobody announced.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// One of the ways in which an answer differs. It changes what it finds and leaves the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drift {
    /// A0, before 2020: `lvl`, `mod`, `msg`, rules as numbered keys of `context`, numbers as strings, no score.
    Flat,
    /// C, `--jsonv2`: `file` and `reasons` beside `level`, and a version of the log that is a number.
    Sections,
    /// D since February 2026: `THOR assessment`, and matched data as an object with its encoding.
    Assessment,
    /// D with `reasons` that are null, as for a finding that no rule explains.
    NullReasons,
    /// `context.firstbytes`, as later versions of THOR 10 spell it.
    SmallLetters,
    /// No `matches`.
    NoMatches,
    /// The scores of all rules added up, as before THOR 10.7.
    Sum,
    /// An entry of level `Error` beside what was found.
    ErrorBeside,
    /// An entry of level `Error` instead of what was found.
    ErrorAlone,
    /// Ids of asynchronous scans are strings.
    TextIds,
}

impl Drift {
    /// What the server answers instead of these findings.
    pub(super) fn apply(self, findings: Value) -> Value {
        let Value::Array(mut findings) = findings else { return findings };
        match self {
            Self::ErrorAlone => findings = vec![trouble()],
            Self::ErrorBeside => findings.push(trouble()),
            _ => findings.iter_mut().for_each(|finding| self.change(finding)),
        }
        Value::Array(findings)
    }

    fn change(self, finding: &mut Value) {
        match self {
            Self::Flat => *finding = flat(finding),
            Self::Sections => *finding = sections(finding),
            Self::Assessment => assessment(finding),
            Self::NullReasons => finding["reasons"] = Value::Null,
            Self::SmallLetters => {
                let bytes = finding["context"]["firstBytes"].take();
                finding["context"]["firstbytes"] = bytes;
                remove(&mut finding["context"], "firstBytes");
            }
            Self::NoMatches => remove(finding, "matches"),
            Self::Sum => {
                let sum: i64 = matches(finding).iter().filter_map(|rule| rule["subscore"].as_i64()).sum();
                finding["score"] = sum.into();
            }
            Self::ErrorBeside | Self::ErrorAlone | Self::TextIds => {}
        }
    }
}

fn trouble() -> Value {
    json!({"level": "Error", "module": "Filescan", "message": "could not open the file", "score": 0, "context": {}})
}

fn remove(object: &mut Value, key: &str) {
    object.as_object_mut().and_then(|object| object.remove(key));
}

fn matches(finding: &Value) -> &[Value] {
    finding["matches"].as_array().map_or(&[], Vec::as_slice)
}

fn flat(finding: &Value) -> Value {
    let mut context = Map::new();
    for key in ["file", "md5", "sha1", "sha256", "type"] {
        context.insert(key.to_owned(), finding["context"][key].clone());
    }
    for (number, rule) in (1..).zip(matches(finding)) {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        for (name, key) in [("rulename", "rulename"), ("reason", "reason"), ("subscore", "subscore")] {
            context.insert(format!("{name}_{number}"), text(&rule[key]).into());
        }
    }
    json!({"lvl": finding["level"], "mod": finding["module"], "msg": finding["message"], "context": context})
}

fn sections(finding: &Value) -> Value {
    let context = &finding["context"];
    let reason = |rule: &Value| {
        json!({"reason": rule["reason"], "rulename": rule["rulename"],
               "signature": {"score": rule["subscore"], "tags": rule["tags"]}})
    };
    json!({
        "time": "2026-11-01T12:00:00Z", "level": finding["level"], "module": finding["module"],
        "message": finding["message"], "score": finding["score"], "log_version": 2,
        "file": {"path": context["file"], "size": context["size"], "sha256": context["sha256"]},
        "reasons": matches(finding).iter().map(reason).collect::<Vec<_>>(),
    })
}

fn assessment(finding: &mut Value) {
    finding["type"] = "THOR assessment".into();
    let reasons = finding["reasons"].as_array_mut().into_iter().flatten();
    for string in reasons.filter_map(|reason| reason["matched"].as_array_mut()).flatten() {
        string["data"] = json!({"data": string["data"].take(), "encoding": "plain"});
    }
}
