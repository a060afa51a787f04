// SPDX-License-Identifier: GPL-3.0-or-later
//! The JSON that a Thunderstorm server answers, in both generations of its API.
//!
//! Old: THOR 10.7's default form (setup guide, `resources/openapi.json`). v1: log version 3 in the form of the released
//! `docs/openapi.yaml` 1.0.0 of thunderstorm-openapi.

use super::{
    rules::{Assessment, Match, extension, file_type, printable},
    settings::Settings,
};
use md5::Md5;
use serde_json::{Value, json};
use sha1::Sha1;
use std::fmt::Write as _;

/// Which generation of the API a request came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// `/api/…`
    Old,
    /// `/api/v1/…`
    V1,
}

/// What a server counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Samples whose scan ended.
    pub scanned: u64,
    /// Requests answered 503.
    pub denied: u64,
    /// Asynchronous requests that no thread has taken.
    pub queued: usize,
    /// Mean of the scans, in milliseconds.
    pub scan_ms: u64,
    /// Mean of scans and waiting before them, in milliseconds.
    pub total_ms: u64,
    /// Since the last start.
    pub uptime_seconds: u64,
}

/// The answer to a scan: an array of at most one finding.
pub fn findings(
    generation: Generation,
    name: &str,
    bytes: &[u8],
    assessment: Option<&Assessment>,
    limit: usize,
) -> Value {
    let Some(assessment) = assessment else { return json!([]) };
    let listed = if limit == 0 { assessment.matches.len() } else { limit.min(assessment.matches.len()) };
    let matches = &assessment.matches[..listed];
    match generation {
        Generation::Old => json!([old_finding(name, bytes, assessment, matches)]),
        Generation::V1 => json!([v1_finding(name, bytes, assessment, matches)]),
    }
}

/// The answer to `info`.
pub fn info(generation: Generation, settings: &Settings) -> Value {
    match generation {
        Generation::Old => json!({
            "allowed_samples_per_hour": 0,
            "license_expiration_date": settings.licence_ends.replace('-', "/"),
            "sigma_version": "r2026-10-01",
            "signature_version": settings.signatures,
            "thor_timestamp": "2026-10-01 08:00:00",
            "thor_version": settings.thor_version,
            "threads": settings.threads,
            "yara_version": "4.5.5",
        }),
        Generation::V1 => json!({
            "version_info": {
                "thor": settings.thor_version,
                "build": "2026-10-01 08:00:00",
                "signatures": settings.signatures,
                "sigma": "r2026-10-01",
            },
            "arguments": ["--stand-in"],
            "license_expiration": format!("{}T00:00:00Z", settings.licence_ends),
            "license_owner": "stand-in",
            "scan_speed_limitation": 0,
            "threads": settings.threads,
        }),
    }
}

/// The answer to `status`.
pub fn status(generation: Generation, counters: Counters) -> Value {
    let requests = counters.scanned + counters.denied;
    match generation {
        Generation::Old => json!({
            "avg_scan_time_milliseconds": counters.scan_ms,
            "avg_total_time_milliseconds": counters.total_ms,
            "denied_request_proportion": counters.denied as f64 / requests.max(1) as f64,
            "denied_requests": counters.denied,
            "queued_async_requests": counters.queued,
            "quota_wait_time_milliseconds": 0,
            "quota_waits": 0,
            "scanned_samples": counters.scanned,
            "uptime_seconds": counters.uptime_seconds,
        }),
        Generation::V1 => json!({
            "scanned_samples": counters.scanned,
            "queued_async_requests": counters.queued,
            "avg_scan_time_milliseconds": counters.scan_ms,
            "avg_wait_time_milliseconds": counters.total_ms.saturating_sub(counters.scan_ms),
        }),
    }
}

fn old_finding(name: &str, bytes: &[u8], assessment: &Assessment, matches: &[Match]) -> Value {
    json!({
        "level": assessment.level,
        "module": "Filescan",
        "message": message(assessment.level),
        "score": assessment.score,
        "context": {
            "ext": extension(name),
            "file": name,
            "firstBytes": format!("{} / {}", hex(head(bytes)), printable(head(bytes))),
            "md5": digest::<Md5>(bytes),
            "sha1": digest::<Sha1>(bytes),
            "sha256": thundergate_common::digest::Digest::of(bytes).to_string(),
            "size": bytes.len(),
            "type": file_type(bytes),
            "reasons_count": assessment.matches.len(),
        },
        "matches": matches.iter().map(old_match).collect::<Vec<_>>(),
    })
}

fn old_match(found: &Match) -> Value {
    json!({
        "matched": found.strings.iter().map(|(_, text)| text).collect::<Vec<_>>(),
        "reason": found.description,
        "ref": found.reference,
        "ruledate": found.date,
        "rulename": found.rule,
        "subscore": found.subscore,
        "tags": found.tags,
        "author": found.author,
        "sigclass": "YARA Rule",
        "sigtype": "internal",
    })
}

fn v1_finding(name: &str, bytes: &[u8], assessment: &Assessment, matches: &[Match]) -> Value {
    json!({
        "type": "THOR finding",
        "meta": {
            "time": "2026-11-01T12:00:00Z",
            "level": assessment.level,
            "module": "HTTPServer",
            "scan_id": "S-standin",
            "hostname": "127.0.0.1",
        },
        "message": message(assessment.level),
        "subject": {
            "type": "file",
            "path": name,
            "exists": "yes",
            "extension": extension(name),
            "magic_header": file_type(bytes),
            "hashes": {
                "md5": digest::<Md5>(bytes),
                "sha1": digest::<Sha1>(bytes),
                "sha256": thundergate_common::digest::Digest::of(bytes).to_string(),
            },
            "first_bytes": { "hex": hex(head(bytes)), "ascii": printable(head(bytes)) },
            "size": bytes.len(),
            "permissions": null,
        },
        "score": assessment.score,
        "reasons": matches.iter().map(v1_reason).collect::<Vec<_>>(),
        "reason_count": assessment.matches.len(),
        "context": null,
        "log_version": "v3.0.0",
    })
}

fn v1_reason(found: &Match) -> Value {
    let matched =
        |(offset, text): &(u64, String)| json!({ "data": text, "offset": offset, "field": "/content" });
    json!({
        "type": "reason",
        "summary": format!("YARA rule {}", found.rule),
        "signature": {
            "score": found.subscore,
            "reference": [found.reference],
            "origin": "internal",
            "kind": "YARA Rule",
            "date": found.date,
            "tags": found.tags,
            "rule_name": found.rule,
            "description": found.description,
            "author": found.author,
        },
        "matched": found.strings.iter().map(matched).collect::<Vec<_>>(),
    })
}

fn message(level: &str) -> &'static str {
    match level {
        "Alert" => "Malware file found",
        "Warning" => "Suspicious file found",
        _ => "Possibly Dangerous file found",
    }
}

fn head(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(20)]
}

fn digest<D: md5::Digest>(bytes: &[u8]) -> String {
    hex(&D::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}
