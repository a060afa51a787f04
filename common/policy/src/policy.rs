// SPDX-License-Identifier: GPL-3.0-or-later
//! The compiled policy: which findings matter. An expression that holds for any finding of a message proposes its action,
//! and the severest wins.

use crate::{
    action::Action,
    expressions::{self, Environment, holds},
    settings::PolicyConfig,
};
use expr::Program;
use thundergate_common::{config::Fault, verdict::Finding};

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

impl PolicyConfig {
    /// Finds what is wrong with it although every value is of its kind.
    ///
    /// # Errors
    ///
    /// A failure that discards mail, or the first expression that cannot be used.
    pub fn check(&self) -> Result<(), Fault> {
        for (row, action) in self.on.rows() {
            if action == Action::Discard {
                let keys = [&*format!("policy.on.{}", row.as_str())];
                return Err(Fault::new(&keys, "a failure must not discard mail"));
            }
        }
        let compiled = Policy::compile(self);
        compiled.map(drop).map_err(|error| Fault::new(&[&format!("policy.{}", error.action)], error.problem))
    }
}

impl Policy {
    /// Compiles the expressions that are not empty and tries them on examples.
    ///
    /// # Errors
    ///
    /// The first expression that is too long, no expression, uses an unknown name, or fails on an example.
    pub fn compile(config: &PolicyConfig) -> Result<Self, PolicyError> {
        let rules = config.expressions().into_iter().filter(|(_, text)| !text.trim().is_empty());
        let compiled = rules.map(|(action, text)| match expressions::compile(text) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{expressions::MOST_TOKENS, settings::tests::delivered_with};
    use thundergate_common::verdict::Rule;

    const ORIGINAL: &str = "one(Matches, {.Subscore > 90}) or FullMatch.Score > 90";

    fn quarantine(expression: &str) -> Result<Policy, String> {
        let config = PolicyConfig { quarantine: expression.to_owned(), ..delivered_with("") };
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
        let widest = format!("true{}", " and true".repeat(MOST_TOKENS));
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
            ..delivered_with("")
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
