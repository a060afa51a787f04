// SPDX-License-Identifier: GPL-3.0-or-later
//! What `info` and the asynchronous calls answer, in both generations of the API.

use super::shapes::{
    LONGEST_TEXT, ShapeError, bounded,
    fields::{Object, field, number, text},
    short,
};
use serde::Serialize;
use serde_json::Value;

/// What a server says of itself. Everything is optional: generations and stand-ins differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Info {
    /// THOR's version, such as `10.7.8`.
    pub thor: Option<String>,
    /// Signature version, such as `2026/01/12-160550`; these sort as text.
    pub signatures: Option<String>,
    /// Scans at a time.
    pub threads: Option<usize>,
    /// When its licence ends, as the server writes it.
    pub licence_ends: Option<String>,
}

/// One of these is in every `info`, whatever the server, its version and its options.
const KNOWN: [&str; 4] = ["version_info", "thor_version", "signature_version", "threads"];

/// Where an asynchronous scan stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// Queued or being scanned.
    Running,
    /// Over; the array of findings.
    Done(Value),
    /// It failed, or the server does not know it; the server's words.
    Failed(String),
}

impl Info {
    /// Reads the body of `info`; none where it is not a JSON object that Thunderstorm could have sent. A login page can
    /// be JSON too, and whoever serves it must not get people's mail.
    pub fn read(body: &[u8]) -> Option<Self> {
        let body: Object = bounded::object(body).ok()?;
        field(&body, &KNOWN)?;
        let versions = field(&body, &["version_info"]).and_then(Value::as_object).unwrap_or(&body);
        let known = |text: String| (!text.is_empty()).then(|| short(text));
        Some(Self {
            thor: known(text(versions, &["thor", "thor_version"])),
            signatures: known(text(versions, &["signatures", "signature_version"])),
            threads: number(&body, &["threads"]).and_then(|n| n.try_into().ok()).filter(|n| *n > 0),
            licence_ends: known(text(&body, &["license_expiration", "license_expiration_date"])),
        })
    }
}

/// The id that `checkAsync` gave; numbers and strings are both in use.
pub fn ticket(body: &[u8]) -> Result<String, ShapeError> {
    let body = bounded::object(body)?;
    Some(text(&body, &["id"]))
        .filter(|id| matches!(id.len(), 1..=LONGEST_TEXT))
        .ok_or(ShapeError::Entry("no id"))
}

/// Reads the body of `getAsyncResults`. The states are sentences, and none is specified: one this program does not know
/// is an error rather than a guess.
pub fn progress(body: &[u8]) -> Result<Progress, ShapeError> {
    let body = bounded::object(body)?;
    let status = text(&body, &["status"]);
    let says = |words: &[&str]| words.iter().any(|word| status.to_ascii_lowercase().contains(word));
    // Before "complete" and "finished": what is "not complete" or "unfinished" must not pass for clean.
    if says(&["fail", "invalid", "error", "unknown", "incomplete", "unfinished", "not ", "abort", "cancel"]) {
        return Ok(Progress::Failed(short(status)));
    }
    if says(&["complete", "finished", "done"]) {
        // A clean sample may have no result at all.
        let result = field(&body, &["result", "results"]).cloned();
        return Ok(Progress::Done(result.unwrap_or(Value::Array(Vec::new()))));
    }
    if says(&["wait", "scanned", "queue", "pending", "progress", "running"]) {
        return Ok(Progress::Running);
    }
    Err(ShapeError::Entry("unknown status of an asynchronous scan"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn info_of_both_generations() {
        let old = json!({"allowed_samples_per_hour": 0, "license_expiration_date": "2021/01/30", "thor_version": "10.6.0",
                         "signature_version": "2020/08/31-164212", "threads": 40});
        let new = json!({"version_info": {"thor": "10.8.0", "signatures": "2026/01/12-160550"},
                         "license_expiration": "2026-07-08T00:00:00Z", "threads": "16"});
        let old = Info::read(old.to_string().as_bytes()).unwrap();
        assert_eq!(old.thor.as_deref(), Some("10.6.0"));
        assert_eq!(old.signatures.as_deref(), Some("2020/08/31-164212"));
        assert_eq!((old.threads, old.licence_ends.as_deref()), (Some(40), Some("2021/01/30")));
        let new = Info::read(new.to_string().as_bytes()).unwrap();
        assert_eq!(new.thor.as_deref(), Some("10.8.0"));
        assert_eq!(new.signatures.as_deref(), Some("2026/01/12-160550"));
        assert_eq!(new.threads, Some(16));
    }

    #[test]
    fn info_may_say_little_but_must_be_thunderstorms() {
        assert_eq!(Info::read(b"{\"threads\":0}").unwrap(), Info::default());
        assert!(Info::read(b"<html>").is_none());
        assert!(Info::read(b"[]").is_none());
        assert!(Info::read(b"{}").is_none());
        assert!(Info::read(b"{\"error\":\"sign in\",\"version\":\"1\"}").is_none());
    }

    #[test]
    fn ids_are_numbers_or_strings() {
        assert_eq!(ticket(b"{\"id\":12345}").unwrap(), "12345");
        assert_eq!(ticket(b"{\"id\":\"3f-8a\"}").unwrap(), "3f-8a");
        assert!(ticket(b"{}").is_err());
        assert!(ticket(b"[]").is_err());
    }

    #[test]
    fn a_clean_asynchronous_scan_has_an_empty_a_null_or_no_result() {
        for result in [json!({"result": []}), json!({"result": null}), json!({}), json!({"results": []})] {
            let mut body = result;
            body["status"] = json!("sample ANALYSIS complete");
            assert_eq!(progress(body.to_string().as_bytes()).unwrap(), Progress::Done(json!([])));
        }
    }

    #[test]
    fn an_asynchronous_scan_runs_fails_or_is_unknown() {
        let of = |status: &str| progress(json!({"status": status, "result": []}).to_string().as_bytes());
        assert_eq!(of("Waiting for execution").unwrap(), Progress::Running);
        assert_eq!(of("Currently being scanned").unwrap(), Progress::Running);
        assert!(matches!(of("Sample analysis failed"), Ok(Progress::Failed(_))));
        assert!(matches!(of("invalid"), Ok(Progress::Failed(_))));
        for status in
            ["Analysis incomplete", "Analysis not complete", "Unfinished", "Aborted, done", "cancelled"]
        {
            assert!(!matches!(of(status), Ok(Progress::Done(_))), "{status}");
        }
        assert!(of("wonderful").is_err());
        assert!(of("").is_err());
    }
}
