// SPDX-License-Identifier: GPL-3.0-or-later
//! What a scan answers, in all the shapes that Thunderstorm servers use, turned into the same findings.
//!
//! | shape | who sends it | recognised by |
//! |---|---|---|
//! | A0 | before 2020 | `lvl`, `mod`, `msg`; rules as `rulename_1`, … in `context`; numbers as strings |
//! | A | THOR 10 | `level`, `module`, `message`, `context`, `matches` |
//! | B | jsonlog v1 | as A, with the keys of A0's `context` beside `level` |
//! | C | THOR 10 with `--jsonv2` | `level`, `file`, `reasons` |
//! | D | THOR 11, API v1 | `meta`, `subject`, `reasons` with a `signature` each |
//!
//! One reader for all: the shapes share most names, and servers differ within a shape (`firstBytes`, `firstbytes`).
//! What is missing is empty; but what is no array of objects with a level and a message is an error, because an answer
//! that is not understood must never pass for "nothing found". Entries of level `Error` and `Debug` are the scanner
//! speaking of itself: no findings; but one that reports an error and finds nothing has perhaps not looked, and the scan
//! failed.
//!
//! A SHA-256 that the scanner returns for the submitted file must be the sample's own: otherwise it scanned something
//! else, such as an upload cut short, and the scan failed.

pub(super) mod bounded;
pub(super) mod fields;
mod rules;
#[cfg(test)]
mod tests;

use fields::{Object, count, field, number, text};
use serde_json::Value;
use thundergate_common::{
    sample::SampleKey,
    verdict::{FileFacts, Finding, Rule},
};

/// Findings kept of one answer, the highest scores first; more would only fill Redis.
const MOST_FINDINGS: usize = 64;
/// Rules kept of one finding, the highest scores first.
const MOST_RULES: usize = 128;
/// Tags and matched strings kept of one rule.
const MOST_STRINGS: usize = 32;
/// Names in one object: rules as numbered keys are looked for one by one.
const MOST_NAMES: usize = 4096;
/// Bytes kept of one text.
pub(super) const LONGEST_TEXT: usize = 1024;

/// Why an answer is no scan result.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    /// Not JSON at all, or cut short.
    #[error("the answer is not JSON")]
    Json(#[from] serde_json::Error),
    /// More values in it than are read.
    #[error("the answer holds more than {} values", bounded::MOST_VALUES)]
    TooMuch,
    /// JSON, but no array.
    #[error("the answer is not a list of findings")]
    NoArray,
    /// An element of the array is of no known shape.
    #[error("the answer holds an entry of unknown shape: {0}")]
    Entry(&'static str),
    /// The scanner saw other bytes than the ones sent.
    #[error("the scanner returned another SHA-256 than the sample's: {0}")]
    OtherFile(String),
    /// It reports an error of its own, and no finding.
    #[error("the scanner found nothing and reported an error: {0}")]
    Troubled(String),
}

/// The findings in the answer of `check`, a JSON array.
pub fn parse(answer: &[u8], sample: &SampleKey) -> Result<Vec<Finding>, ShapeError> {
    findings(&bounded::value(answer)?, sample)
}

/// The findings in a JSON array that is already parsed.
pub fn findings(answer: &Value, sample: &SampleKey) -> Result<Vec<Finding>, ShapeError> {
    let entries = answer.as_array().ok_or(ShapeError::NoArray)?;
    let (mut findings, mut trouble) = (Vec::new(), None);
    for entry in entries {
        let finding = finding(entry.as_object().ok_or(ShapeError::Entry("no object"))?)?;
        check_digest(&finding.file, sample)?;
        match finding.level.to_ascii_lowercase().as_str() {
            "error" => {
                tracing::warn!(
                    sample.key = %sample, scanner.message = finding.message,
                    "The scanner reported an error of its own while it scanned a sample"
                );
                trouble = Some(finding.message);
            }
            "debug" => {}
            _ => findings.push(finding),
        }
    }
    match trouble {
        Some(message) if findings.is_empty() => Err(ShapeError::Troubled(message)),
        _ => {
            say_cut(&findings, sample);
            Ok(keep_highest(findings, MOST_FINDINGS, |finding| finding.score))
        }
    }
}

/// What is not kept of an answer is counted: rules by the finding, findings here.
fn say_cut(findings: &[Finding], sample: &SampleKey) {
    let omitted = findings.len().saturating_sub(MOST_FINDINGS);
    if omitted > 0 {
        tracing::warn!(
            sample.key = %sample, findings = findings.len(), omitted.findings = omitted,
            "A scanner found more in a sample than is kept: the highest scores are"
        );
    }
}

fn finding(entry: &Object) -> Result<Finding, ShapeError> {
    let nothing = Object::new();
    let object = |name| field(entry, &[name]).and_then(Value::as_object);
    let meta = object("meta").unwrap_or(entry);
    let context = object("context").unwrap_or(&nothing);
    let about = object("subject").or(object("file")).or(object("context")).unwrap_or(entry);

    if entry.len().max(context.len()) > MOST_NAMES {
        return Err(ShapeError::Entry("it has too many members"));
    }
    let level = text(meta, &["level", "lvl"]);
    let message = text(entry, &["message", "msg"]);
    if level.is_empty() {
        return Err(ShapeError::Entry("it has no level"));
    }
    if message.is_empty() {
        return Err(ShapeError::Entry("it has no message"));
    }
    let (rules, listed) = rules::rules(entry, context)?;
    // Without a score a policy would take an alert for nothing; only what is said for information needs none.
    let harmless = ["info", "error", "debug"].iter().any(|harmless| level.eq_ignore_ascii_case(harmless));
    let score = score(entry, context, &rules)
        .or(harmless.then_some(0))
        .ok_or(ShapeError::Entry("it has no score"))?;
    let total = count(entry, &["reason_count", "reasons_count"]).max(count(context, &["reasons_count"]));
    Ok(Finding {
        level: short(level),
        module: short(text(meta, &["module", "mod"])),
        message: short(message),
        score,
        file: file(about),
        rules_total: total.max(listed as u64),
        rules: keep_highest(rules, MOST_RULES, |rule| rule.subscore).into_iter().map(bounded).collect(),
    })
}

/// The total; the shapes without one leave only the strongest rule to go by.
fn score(entry: &Object, context: &Object, rules: &[Rule]) -> Option<i64> {
    let strongest = || rules.iter().map(|rule| rule.subscore).max();
    number(entry, &["score"]).or_else(|| number(context, &["score"])).or_else(strongest)
}

fn file(about: &Object) -> FileFacts {
    let hashes = field(about, &["hashes"]).and_then(Value::as_object).unwrap_or(about);
    let kind = text(about, &["magic_header", "filetype", "type"]);
    FileFacts {
        name: short(text(about, &["file", "path", "filename", "name"])),
        extension: short(text(about, &["ext", "extension"]).trim_start_matches('.').to_owned()),
        // A v3 subject has its category, "file", under `type`.
        kind: if kind == "file" { String::new() } else { short(kind) },
        size: count(about, &["size"]),
        first_bytes: first_bytes(about),
        md5: short(text(hashes, &["md5"])),
        sha1: short(text(hashes, &["sha1"])),
        sha256: short(text(hashes, &["sha256"])),
    }
}

fn first_bytes(about: &Object) -> String {
    let names = &["firstBytes", "first_bytes"];
    match field(about, names).and_then(Value::as_object) {
        Some(both) => short(format!("{} / {}", text(both, &["hex"]), text(both, &["ascii"]))),
        None => short(text(about, names)),
    }
}

/// Only for the submitted file itself: what was found inside an archive has another digest.
fn check_digest(file: &FileFacts, sample: &SampleKey) -> Result<(), ShapeError> {
    let other = !file.sha256.is_empty() && !file.sha256.eq_ignore_ascii_case(&sample.digest.to_string());
    if other && file.name.ends_with(&sample.upload_name()) {
        return Err(ShapeError::OtherFile(file.sha256.clone()));
    }
    Ok(())
}

/// The scanner may repeat what the mail says, so every text is bounded before it travels on.
fn bounded(rule: Rule) -> Rule {
    let list = |texts: Vec<String>| texts.into_iter().take(MOST_STRINGS).map(short).collect();
    Rule {
        name: short(rule.name),
        subscore: rule.subscore,
        reason: short(rule.reason),
        author: short(rule.author),
        reference: short(rule.reference),
        date: short(rule.date),
        class: short(rule.class),
        origin: short(rule.origin),
        tags: list(rule.tags),
        matched: list(rule.matched),
    }
}

pub(super) fn short(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(LONGEST_TEXT));
    text
}

/// At most `most` of `items`, the ones with the highest scores; in the scanner's order where nothing is left out.
fn keep_highest<T>(mut items: Vec<T>, most: usize, score: impl Fn(&T) -> i64) -> Vec<T> {
    if items.len() > most {
        items.sort_by_key(|item| std::cmp::Reverse(score(item)));
        items.truncate(most);
    }
    items
}
