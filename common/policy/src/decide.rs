// SPDX-License-Identifier: GPL-3.0-or-later
//! The one place that decides what happens to a message: a pure function over how its parts ended, what is wrong with
//! the message as a whole, and the policy.
//!
//! Every part and every trouble asks for an action; the severest wins (`Action`'s order). So a reject for one part
//! stands although another is pending, but a pending part is never delivered because another is merely tagged.

use crate::{
    action::Action,
    cause::{Cause, Trouble},
    disposition::Disposition,
    policy::Policy,
    settings::On,
};
use thundergate_common::verdict::Verdict;

/// What happens to a message, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What happens.
    pub action: Action,
    /// Why.
    pub cause: Cause,
}

/// What is known of a message when it is decided on. The same facts give the same decision at any later time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// How its parts ended.
    pub parts: &'a [Disposition],
    /// What is wrong with it as a whole.
    pub troubles: &'a [Trouble],
}

/// Decides: `policy` on what was found, `on` (the failure table) on what was not scanned.
pub fn decide(facts: Facts<'_>, policy: &Policy, on: &On) -> Decision {
    let asked = facts.parts.iter().map(|part| of_part(part, policy, on));
    let asked = asked.chain(facts.troubles.iter().map(|trouble| of_cause(trouble.cause(), on)));
    let calm = Decision { action: Action::Accept, cause: Cause::Clean };
    asked.fold(calm, |so_far, next| if next.rank() > so_far.rank() { next } else { so_far })
}

impl Decision {
    /// A bug is answered with a temporary failure, whatever the configuration says.
    pub const BUG: Self = Self { action: Action::Tempfail, cause: Cause::Bug };

    /// The severer action; between equals the one whose cause says more: that something was found, that something is
    /// not as it should be, that all is well.
    fn rank(self) -> (Action, u8) {
        let weight = match self.cause {
            Cause::Clean => 0,
            Cause::Found => 2,
            _ => 1,
        };
        (self.action, weight)
    }
}

fn of_part(part: &Disposition, policy: &Policy, on: &On) -> Decision {
    match part {
        Disposition::Found(verdict) => of_verdict(verdict, policy),
        other => of_cause(other.cause(), on),
    }
}

/// What the failure table says; what it has no row for is as it should be, but for a bug.
fn of_cause(cause: Cause, on: &On) -> Decision {
    if cause == Cause::Bug {
        return Decision::BUG;
    }
    Decision { action: on.action(cause).unwrap_or(Action::Accept), cause }
}

/// The severest judgement on any finding. An expression that cannot be evaluated is a bug, not an accept.
fn of_verdict(verdict: &Verdict, policy: &Policy) -> Decision {
    let mut action = Action::Accept;
    for finding in &verdict.findings {
        match policy.judge(finding) {
            Ok(judgement) => action = action.max(judgement),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "policy expression cannot be evaluated"
                );
                return Decision::BUG;
            }
        }
    }
    Decision { action, cause: Cause::Found }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{disposition::Failure, settings::tests::delivered_with};
    use std::sync::Arc;
    use thundergate_common::verdict::{Finding, SkipReason};

    fn found(score: i64) -> Disposition {
        Disposition::Found(Arc::new(Verdict {
            findings: vec![Finding { score, ..Finding::default() }],
            ..Verdict::default()
        }))
    }

    fn decide_with(toml: &str, parts: &[Disposition], troubles: &[Trouble]) -> (&'static str, &'static str) {
        let settings = delivered_with(toml);
        let policy = Policy::compile(&settings).unwrap();
        let decision = decide(Facts { parts, troubles }, &policy, &settings.on);
        (decision.action.as_str(), decision.cause.as_str())
    }

    #[test]
    fn nothing_found_and_nothing_wrong_is_accepted() {
        assert_eq!(decide_with("", &[], &[]), ("accept", "clean"));
        let plain = Disposition::Skipped(SkipReason::PlainText);
        assert_eq!(decide_with("", &[Disposition::Clean, plain], &[]), ("accept", "clean"));
    }

    #[test]
    fn what_is_sealed_or_unopened_has_a_row_however_clean_its_outside_is() {
        for (key, trouble, default) in
            [("sealed", Trouble::Sealed, "tag"), ("unopened", Trouble::Unopened, "accept")]
        {
            assert_eq!(decide_with("", &[Disposition::Clean], &[trouble]), (default, key));
            let quarantine = format!("policy.on.{key} = 'quarantine'");
            assert_eq!(decide_with(&quarantine, &[Disposition::Clean], &[trouble]), ("quarantine", key));
            assert_eq!(decide_with(&quarantine, &[found(95)], &[trouble]).1, "found");
        }
    }

    #[test]
    fn every_row_of_the_failure_table_has_its_default_and_its_key() {
        let rows = [
            ("pending", Disposition::Pending, "tempfail"),
            ("scan_failed", Disposition::Failed(Failure::Scan(String::new())), "tempfail"),
            ("unavailable", Disposition::Failed(Failure::Unavailable), "tempfail"),
            ("overload", Disposition::Failed(Failure::Overload), "tempfail"),
            ("oversize", Disposition::Skipped(SkipReason::TooLarge), "quarantine"),
            ("encrypted", Disposition::Skipped(SkipReason::Encrypted), "accept"),
            ("external_body", Disposition::Skipped(SkipReason::ExternalBody), "tag"),
            ("partial", Disposition::Skipped(SkipReason::Partial), "quarantine"),
        ];
        for (key, part, default) in rows {
            let parts = [Disposition::Clean, part];
            assert_eq!(decide_with("", &parts, &[]), (default, key));
            for action in ["accept", "tag", "tempfail", "quarantine", "reject"] {
                assert_eq!(
                    decide_with(&format!("policy.on.{key} = \"{action}\""), &parts, &[]),
                    (action, key)
                );
            }
        }
        let troubles = [
            ("oversize", Trouble::Oversize, "quarantine"),
            ("overload", Trouble::Overload, "tempfail"),
            ("malformed", Trouble::Malformed, "quarantine"),
            ("ambiguous", Trouble::Ambiguous, "tag"),
        ];
        for (key, trouble, default) in troubles {
            assert_eq!(decide_with("", &[Disposition::Clean], &[trouble]), (default, key));
            let toml = format!("policy.on.{key} = \"reject\"");
            assert_eq!(decide_with(&toml, &[], &[trouble]), ("reject", key));
        }
        assert_eq!(decide_with("", &[], &[Trouble::Bug]), ("tempfail", "bug"));
    }

    #[test]
    fn the_severest_action_wins_in_any_order() {
        let toml = "policy.tag = \"FullMatch.Score > 10\"\npolicy.reject = \"FullMatch.Score > 95\"";
        let mut parts = vec![Disposition::Pending, found(50), Disposition::Clean];
        for _ in 0..parts.len() {
            assert_eq!(decide_with(toml, &parts, &[Trouble::Ambiguous]), ("tempfail", "pending"));
            parts.rotate_left(1);
        }
        parts.push(found(99));
        for _ in 0..parts.len() {
            assert_eq!(decide_with(toml, &parts, &[]), ("reject", "found"));
            parts.rotate_left(1);
        }
    }

    #[test]
    fn among_equal_actions_a_finding_says_more_than_what_is_not_scanned() {
        let parts = [Disposition::Skipped(SkipReason::Encrypted), found(50), Disposition::Clean];
        assert_eq!(decide_with("", &parts, &[]), ("accept", "found"));
        let toml = "policy.tag = \"FullMatch.Score > 10\"";
        let parts = [Disposition::Skipped(SkipReason::ExternalBody), found(50)];
        assert_eq!(decide_with(toml, &parts, &[Trouble::Ambiguous]), ("tag", "found"));
    }

    #[test]
    fn a_finding_that_no_expression_names_is_accepted_as_found() {
        assert_eq!(decide_with("", &[Disposition::Clean, found(50)], &[]), ("accept", "found"));
        assert_eq!(decide_with("", &[found(91)], &[]), ("quarantine", "found"));
    }
}
