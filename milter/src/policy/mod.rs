// SPDX-License-Identifier: GPL-3.0-or-later
//! The configured expressions that say which findings matter, `[policy]`.
//!
//! The language is Go's expr, as postfix2thunderstorm has it, over the same names: `FullMatch` is the finding, with
//! `FullMatch.Context` for the file; `Matches` are the rules that matched. `.Subscore` inside a predicate is the rule
//! at hand. `one` means exactly one; `any` is what most people want.
//!
//! An expression that holds for any finding of a message proposes its action, and the severest wins. What can be wrong
//! with an expression is found when it is compiled, see [`check`]; what still fails later is an error, which the
//! caller turns into a temporary failure, never into "did not match".

mod check;
mod names;
mod tokens;

use crate::config::PolicyConfig;
use expr::{Context, Program};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};
use thundergate_common::verdict::{Finding, Rule};

/// What the largest expression that is allowed needs: the interpreter recurses, and without optimisation its frames
/// take some 14 KiB each.
const STACK_NEEDED: usize = if cfg!(debug_assertions) { 6 << 20 } else { 1 << 20 };
const STACK_GIVEN: usize = 8 << 20;

/// What can happen to a message; the later, the severer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It passes.
    Accept,
    /// It passes with a header that says why somebody should look.
    Tag,
    /// The sender shall try again later.
    Tempfail,
    /// The MTA holds it.
    Quarantine,
    /// The sender gets it back.
    Reject,
    /// It vanishes, and the sender is told it was accepted.
    Discard,
}

impl Action {
    /// All of them, in their order.
    pub const ALL: [Self; 6] =
        [Self::Accept, Self::Tag, Self::Tempfail, Self::Quarantine, Self::Reject, Self::Discard];

    /// Its name in the configuration, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Tag => "tag",
            Self::Tempfail => "tempfail",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
            Self::Discard => "discard",
        }
    }

    /// What the status page says of one mail that was not scanned, and of several.
    pub fn of_unscanned(self) -> [&'static str; 2] {
        match self {
            Self::Tempfail => ["is deferred", "are deferred"],
            Self::Quarantine => ["is held", "are held"],
            Self::Reject => ["is rejected", "are rejected"],
            Self::Discard => ["is discarded", "are discarded"],
            Self::Accept | Self::Tag => ["passes unscanned", "pass unscanned"],
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An expression that cannot be used, or that failed on a finding.
#[derive(Debug, thiserror::Error)]
#[error("policy.{action}: {problem}")]
pub struct PolicyError {
    /// Whose expression it is.
    pub action: Action,
    /// What is wrong.
    pub problem: String,
}

/// The compiled expressions, the severest first.
#[derive(Debug)]
pub struct Policy {
    rules: Vec<(Action, Program)>,
}

impl Policy {
    /// Compiles the expressions that are not empty and tries them on examples.
    ///
    /// # Errors
    ///
    /// The first expression that is too long, no expression, uses an unknown name, or fails on an example.
    pub fn compile(config: &PolicyConfig) -> Result<Self, PolicyError> {
        let rules = config.expressions().into_iter().filter(|(_, text)| !text.trim().is_empty());
        let compiled = rules.map(|(action, text)| match check::compile(text) {
            Ok(program) => Ok((action, program)),
            Err(problem) => Err(PolicyError { action, problem }),
        });
        let mut rules = compiled.collect::<Result<Vec<_>, _>>()?;
        rules.sort_by_key(|(action, _)| std::cmp::Reverse(*action));
        Ok(Self { rules })
    }

    /// The severest action whose expression holds for `finding`; [`Action::Accept`] where none does.
    ///
    /// # Errors
    ///
    /// An expression failed, and no severer one holds.
    pub fn judge(&self, finding: &Finding) -> Result<Action, PolicyError> {
        if self.rules.is_empty() {
            return Ok(Action::Accept);
        }
        let context = Environment::of(finding).context();
        for (action, program) in &self.rules {
            match context.as_ref().map_err(Clone::clone).and_then(|context| holds(program, context)) {
                Ok(true) => return Ok(*action),
                Ok(false) => {}
                Err(problem) => return Err(PolicyError { action: *action, problem }),
            }
        }
        Ok(Action::Accept)
    }
}

/// Runs `program`. The interpreter is young: a panic in it is an error like any other.
fn holds(program: &Program, context: &Context) -> Result<bool, String> {
    let run = || catch_unwind(AssertUnwindSafe(|| expr::run(program, context)));
    let value = stacker::maybe_grow(STACK_NEEDED, STACK_GIVEN, run);
    let value = value.map_err(|_| "the expression cannot be evaluated".to_owned())?;
    let value = value.map_err(|error| error.to_string())?;
    value.as_bool().ok_or_else(|| "the expression gives something other than true or false".to_owned())
}

/// What an expression sees; the names are postfix2thunderstorm's.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Environment<'a> {
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
    fn of(finding: &'a Finding) -> Self {
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

    fn context(&self) -> Result<Context, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGINAL: &str = "one(Matches, {.Subscore > 90}) or FullMatch.Score > 90";

    fn quarantine(expression: &str) -> Result<Policy, String> {
        let config = PolicyConfig { quarantine: expression.to_owned(), ..PolicyConfig::example() };
        Policy::compile(&config).map_err(|error| error.to_string())
    }

    fn finding(score: i64, subscores: &[i64]) -> Finding {
        let rule = |&subscore| Rule { subscore, name: "SUSP_X".to_owned(), ..Rule::default() };
        Finding { score, rules: subscores.iter().map(rule).collect(), ..Finding::default() }
    }

    #[test]
    fn the_original_expression_means_what_it_meant() {
        let policy = quarantine(ORIGINAL).unwrap();
        let action = |score, subscores: &[i64]| policy.judge(&finding(score, subscores)).unwrap();
        assert_eq!(action(91, &[]), Action::Quarantine);
        assert_eq!(action(90, &[90]), Action::Accept);
        assert_eq!(action(0, &[95, 10]), Action::Quarantine);
        assert_eq!(action(0, &[95, 95]), Action::Accept, "one means exactly one");
    }

    #[test]
    fn forms_of_the_language_work() {
        let holds = [
            "any(Matches, {.Subscore > 90})",
            "any(Matches, .Subscore > 90)",
            "any(Matches, #.Subscore > 90 and .Rulename startsWith \"SUSP\")",
            "count(Matches, {.Subscore > 50}) == 2",
            "all(Matches, { .Subscore > 50 /* . */ }) // .Nothing",
            "none(Matches, {.Subscore > 95 || not (.Rulename matches '^SUSP_')})",
            "len(filter(Matches, {.Subscore in [95, 60]})) == 2",
            "sum(map(Matches, {.Subscore})) > 150",
            "max(map(Matches, .Subscore)) == 95",
            "len(Matches) > 0 ? Matches[0].Subscore > 90 : false",
            "let strong = filter(Matches, {.Subscore > 90}); len(strong) == 1",
            "Matches | any({.Subscore > 90})",
            "FullMatch.Score >= 75 && FullMatch.Context.Ext == \"\"",
            "any(FullMatch.Matches, {.Subscore > 90})",
            "FullMatch[\"Score\"] > 1",
            "\"x.Nothing\" != 'y.Nothing'",
            "any(Matches, {not any(.Tags, {# == \"T1027\"})})",
        ];
        for expression in holds {
            let policy = quarantine(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
            assert_eq!(policy.judge(&finding(80, &[95, 60])).unwrap(), Action::Quarantine, "{expression}");
        }
    }

    #[test]
    fn a_mistake_is_found_when_it_is_loaded() {
        for (expression, complaint) in [
            ("FullMatch.Scoer > 90", "`Scoer`"),
            ("FullMatch.Subscore > 90", "`Subscore`"),
            ("FullMatch[\"Scoer\"] == 1", "`Scoer`"),
            ("FullMatch.Score > 90 or any(Matches, {.Scoer > 1})", "`Scoer`"),
            ("any(Matches, {.Score > 1})", "`Score`"),
            ("any(Matchs, {.Subscore > 1})", "`Matchs`"),
            ("eny(Matches, {.Subscore > 1})", "`eny`"),
            ("any(Matches, {Subscore > 1})", "`Subscore`"),
            ("FullMatch.Context.Ext == \"exe\" and FullMatch.Level > 5", "operand"),
            ("FullMatch.Level == \"Alert\" and FullMatch.Module == \"X\" and not FullMatch.Score", "oper"),
            ("FullMatch.Score", "true or false"),
            ("Matches[0].Subscore > 90", "operand"),
            ("FullMatch.Score > 90 and FullMatch.Level matches \"(\"", "`matches`"),
            ("FullMatch.Score > ", "expected"),
            ("\"", "expected"),
            (".Subscore > 1", "#"),
        ] {
            let error = quarantine(expression).expect_err(expression);
            assert!(
                error.starts_with("policy.quarantine: ") && error.contains(complaint),
                "{expression}: {error}"
            );
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn what_could_exhaust_the_stack_is_refused() {
        let long = format!("FullMatch.Score > 1 or FullMatch.Message == \"{}\"", "x".repeat(5000));
        let deep = format!("{}true{}", "(".repeat(65), ")".repeat(65));
        let wide = format!("true{}", " and true".repeat(400));
        let negated = format!("{}true", "!".repeat(1000));
        for expression in [long, deep, wide, negated] {
            let error = quarantine(&expression).unwrap_err();
            assert!(error.contains("too"), "{error}");
        }
        let widest = format!("true{}", " and true".repeat(tokens::MOST));
        assert!(quarantine(&widest).is_ok());
        let deepest = format!("{}true{}", "(".repeat(64), ")".repeat(64));
        assert!(quarantine(&deepest).is_ok());
    }

    #[test]
    fn the_severest_action_that_holds_wins() {
        let config = PolicyConfig {
            tag: "FullMatch.Score > 40".to_owned(),
            quarantine: "FullMatch.Score > 60".to_owned(),
            reject: "FullMatch.Score > 80".to_owned(),
            ..PolicyConfig::example()
        };
        let policy = Policy::compile(&config).unwrap();
        for (score, action) in
            [(40, Action::Accept), (41, Action::Tag), (61, Action::Quarantine), (81, Action::Reject)]
        {
            assert_eq!(policy.judge(&finding(score, &[])).unwrap(), action);
        }
    }

    #[test]
    fn without_expressions_everything_is_accepted() {
        let policy = quarantine(" ").unwrap();
        assert_eq!(policy.judge(&finding(100, &[100])).unwrap(), Action::Accept);
    }
}
