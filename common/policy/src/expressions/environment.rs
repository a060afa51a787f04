// SPDX-License-Identifier: GPL-3.0-or-later
//! What an expression sees of a finding, and its evaluation on that.

use expr::{Context, Program};
use serde::Serialize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use thundergate_common::verdict::{Finding, Rule};

/// What the largest expression that is allowed needs: the interpreter recurses, and without optimisation its frames
/// take some 14 KiB each.
const STACK_NEEDED: usize = if cfg!(debug_assertions) { 6 << 20 } else { 1 << 20 };
const STACK_GIVEN: usize = 8 << 20;

/// Runs `program`. The interpreter is young: a panic in it is an error like any other.
pub(crate) fn holds(program: &Program, context: &Context) -> Result<bool, String> {
    let run = || catch_unwind(AssertUnwindSafe(|| expr::run(program, context)));
    let value = stacker::maybe_grow(STACK_NEEDED, STACK_GIVEN, run);
    let value = value.map_err(|_| "the expression cannot be evaluated".to_owned())?;
    let value = value.map_err(|error| error.to_string())?;
    value.as_bool().ok_or_else(|| "the expression gives something other than true or false".to_owned())
}

/// What an expression sees; the names are postfix2thunderstorm's.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Environment<'a> {
    full_match: FullMatch<'a>,
    matches: Vec<Match<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct FullMatch<'a> {
    level: &'a str,
    module: &'a str,
    message: &'a str,
    score: i64,
    context: FileContext<'a>,
    matches: Vec<Match<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct FileContext<'a> {
    ext: &'a str,
    file: &'a str,
    firstbytes: &'a str,
    md5: &'a str,
    reasons_count: i64,
    /// Thunderstorm's own number of an asynchronous scan, which nobody can name in advance.
    #[serde(rename = "SampleID")]
    sample_id: i64,
    sha1: &'a str,
    sha256: &'a str,
    size: i64,
    #[serde(rename = "Type")]
    kind: &'a str,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Match<'a> {
    author: &'a str,
    matched: &'a [String],
    reason: &'a str,
    #[serde(rename = "Ref")]
    reference: &'a str,
    ruledate: &'a str,
    rulename: &'a str,
    sigclass: &'a str,
    sigtype: &'a str,
    subscore: i64,
    tags: &'a [String],
}

impl<'a> Environment<'a> {
    pub(crate) fn of(finding: &'a Finding) -> Self {
        let matches: Vec<_> = finding.rules.iter().map(Match::of).collect();
        let file = &finding.file;
        let context = FileContext {
            ext: &file.extension,
            file: &file.name,
            firstbytes: &file.first_bytes,
            md5: &file.md5,
            reasons_count: integer(finding.rules_total),
            sample_id: 0,
            sha1: &file.sha1,
            sha256: &file.sha256,
            size: integer(file.size),
            kind: &file.kind,
        };
        let full_match = FullMatch {
            level: &finding.level,
            module: &finding.module,
            message: &finding.message,
            score: finding.score,
            context,
            matches: matches.clone(),
        };
        Self { full_match, matches }
    }

    pub(crate) fn context(&self) -> Result<Context, String> {
        Context::from_serialize(self).map_err(|error| error.to_string())
    }
}

impl<'a> Match<'a> {
    fn of(rule: &'a Rule) -> Self {
        Self {
            author: &rule.author,
            matched: &rule.matched,
            reason: &rule.reason,
            reference: &rule.reference,
            ruledate: &rule.date,
            rulename: &rule.name,
            sigclass: &rule.class,
            sigtype: &rule.origin,
            subscore: rule.subscore,
            tags: &rule.tags,
        }
    }
}

fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
