// SPDX-License-Identifier: GPL-3.0-or-later
//! The one place that decides what happens to a message: a pure function over how its parts ended, what is wrong with
//! the message as a whole, and the policy.
//!
//! Every part and every trouble asks for an action; the severest wins (`Action`'s order). So a reject for one part
//! stands although another is pending, but a pending part is never delivered because another is merely tagged.

use crate::{
    config::On,
    extract::Extraction,
    policy::{Action, Policy},
};
use std::sync::Arc;
use thundergate_common::{
    admin::status::{Level, Reason},
    verdict::{SkipReason, Verdict},
};

/// How one part ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Disposition {
    /// Scanned, nothing found.
    Clean,
    /// Scanned, something found.
    Found(Arc<Verdict>),
    /// Not known at the deadline; the scan goes on and the verdict will be stored.
    Pending,
    /// Not scanned, on purpose.
    Skipped(SkipReason),
    /// Not scanned, because something went wrong.
    Failed(Failure),
}

/// How a disposition was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// This process remembered the verdict.
    Local,
    /// The hub had the verdict.
    Hub,
    /// Scanned for this message.
    Scan,
    /// Joined a scan that was under way.
    Joined,
    /// Not looked up.
    None,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The scan failed for good.
    Scan(String),
    /// The hub cannot be reached, and nothing can scan without it.
    Unavailable,
    /// The queue or the memory is full.
    Overload,
}

/// What is wrong with a message as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Larger than `limits.message_bytes`.
    Oversize,
    /// No memory for it.
    Overload,
    /// It cannot be taken apart within its budget.
    Malformed,
    /// Readers could differ on it.
    Ambiguous,
    /// A bug of ours.
    Bug,
}

/// Why a decision was made; the label `cause` in logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// Every sample is clean, or there is none.
    Clean,
    /// An expression of the policy holds, or none does although something was found.
    Found,
    /// A verdict is still pending.
    Pending,
    /// A scan failed for good.
    ScanFailed,
    /// The hub is unreachable.
    Unavailable,
    /// Queue or memory is full.
    Overload,
    /// The message or a part is too large.
    Oversize,
    /// The message cannot be taken apart.
    Malformed,
    /// Readers could differ on it.
    Ambiguous,
    /// A part is encrypted.
    Encrypted,
    /// The content of a part is elsewhere.
    ExternalBody,
    /// The message is a fragment of another one, or holds one.
    Partial,
    /// The policy trusts client or sender.
    Trusted,
    /// A bug of ours.
    Bug,
}

/// What happens to a message, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What happens.
    pub action: Action,
    /// Why.
    pub cause: Cause,
}

/// Decides: `policy` on what was found, `on` (the failure table) on what was not scanned.
pub fn decide(parts: &[Disposition], troubles: &[Trouble], policy: &Policy, on: &On) -> Decision {
    let asked = parts.iter().map(|part| of_part(part, policy, on));
    let asked = asked.chain(troubles.iter().map(|trouble| of_trouble(*trouble, on)));
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
    let (action, cause) = match part {
        Disposition::Clean => (Action::Accept, Cause::Clean),
        Disposition::Found(verdict) => return of_verdict(verdict, policy),
        Disposition::Pending => (on.pending, Cause::Pending),
        Disposition::Skipped(SkipReason::TooLarge) => (on.oversize, Cause::Oversize),
        Disposition::Skipped(SkipReason::Encrypted) => (on.encrypted, Cause::Encrypted),
        Disposition::Skipped(SkipReason::ExternalBody) => (on.external_body, Cause::ExternalBody),
        Disposition::Skipped(SkipReason::Partial) => (on.partial, Cause::Partial),
        Disposition::Skipped(SkipReason::Trusted) => (Action::Accept, Cause::Trusted),
        Disposition::Skipped(SkipReason::PlainText | SkipReason::Empty) => (Action::Accept, Cause::Clean),
        Disposition::Failed(Failure::Scan(_)) => (on.scan_failed, Cause::ScanFailed),
        Disposition::Failed(Failure::Unavailable) => (on.unavailable, Cause::Unavailable),
        Disposition::Failed(Failure::Overload) => (on.overload, Cause::Overload),
    };
    Decision { action, cause }
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

fn of_trouble(trouble: Trouble, on: &On) -> Decision {
    let (action, cause) = match trouble {
        Trouble::Oversize => (on.oversize, Cause::Oversize),
        Trouble::Overload => (on.overload, Cause::Overload),
        Trouble::Malformed => (on.malformed, Cause::Malformed),
        Trouble::Ambiguous => (on.ambiguous, Cause::Ambiguous),
        Trouble::Bug => return Decision::BUG,
    };
    Decision { action, cause }
}

impl Trouble {
    /// What is wrong with a message that was taken apart.
    pub fn of(extraction: &Extraction) -> Vec<Self> {
        let malformed = extraction.malformed.map(|_| Self::Malformed);
        let ambiguous = (!extraction.ambiguities.is_empty()).then_some(Self::Ambiguous);
        malformed.into_iter().chain(ambiguous).collect()
    }
}

impl Disposition {
    /// Its name in logs and metrics; the reason is [`Disposition::reason`].
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Found(_) => "found",
            Self::Pending => "pending",
            Self::Skipped(_) => "skipped",
            Self::Failed(_) => "failed",
        }
    }

    /// Why a part was skipped or failed.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Skipped(reason) => Some(reason.as_str()),
            Self::Failed(Failure::Scan(reason)) => Some(reason),
            Self::Failed(Failure::Unavailable) => Some("unavailable"),
            Self::Failed(Failure::Overload) => Some("overload"),
            Self::Clean | Self::Found(_) | Self::Pending => None,
        }
    }
}

impl Source {
    /// All of them, in their order.
    pub const ALL: [Self; 5] = [Self::Local, Self::Hub, Self::Scan, Self::Joined, Self::None];

    /// Its name in logs and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Hub => "hub",
            Self::Scan => "scan",
            Self::Joined => "joined",
            Self::None => "none",
        }
    }
}

impl Cause {
    /// All of them, in their order.
    pub const ALL: [Self; 14] = [
        Self::Clean,
        Self::Found,
        Self::Pending,
        Self::ScanFailed,
        Self::Unavailable,
        Self::Overload,
        Self::Oversize,
        Self::Malformed,
        Self::Ambiguous,
        Self::Encrypted,
        Self::ExternalBody,
        Self::Partial,
        Self::Trusted,
        Self::Bug,
    ];

    /// Its name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Found => "found",
            Self::Pending => "pending",
            Self::ScanFailed => "scan_failed",
            Self::Unavailable => "unavailable",
            Self::Overload => "overload",
            Self::Oversize => "oversize",
            Self::Malformed => "malformed",
            Self::Ambiguous => "ambiguous",
            Self::Encrypted => "encrypted",
            Self::ExternalBody => "external_body",
            Self::Partial => "partial",
            Self::Trusted => "trusted",
            Self::Bug => "bug",
        }
    }

    /// What the status page says of mails that were not scanned for this cause; nothing of those that shall not be.
    pub fn reason(self) -> Option<Reason> {
        let (level, why) = match self {
            Self::Trusted => return None,
            Self::Pending => (Level::Bad, "scans take too long"),
            Self::ScanFailed => (Level::Bad, "scans fail"),
            Self::Unavailable => (Level::Bad, "the hub does not answer"),
            Self::Overload => (Level::Bad, "queue or memory is full"),
            Self::Bug => (Level::Bad, "a bug; please report what the log says"),
            Self::Oversize => (Level::Note, "too large"),
            Self::Malformed => (Level::Note, "too deep or too many parts"),
            Self::Encrypted => (Level::Note, "encrypted"),
            Self::ExternalBody => (Level::Note, "the content is elsewhere"),
            Self::Partial => (Level::Note, "fragments of a mail"),
            Self::Clean | Self::Found | Self::Ambiguous => (Level::Note, self.as_str()),
        };
        Some(Reason { level, why, takes_scanner: matches!(self, Self::Pending | Self::ScanFailed) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use thundergate_common::verdict::Finding;

    fn found(score: i64) -> Disposition {
        Disposition::Found(Arc::new(Verdict {
            findings: vec![Finding { score, ..Finding::default() }],
            ..Verdict::default()
        }))
    }

    fn decide_with(toml: &str, parts: &[Disposition], troubles: &[Trouble]) -> (&'static str, &'static str) {
        let config = Config::from_toml(toml).unwrap();
        let policy = Policy::compile(&config.policy).unwrap();
        let decision = decide(parts, troubles, &policy, &config.policy.on);
        (decision.action.as_str(), decision.cause.as_str())
    }

    #[test]
    fn a_cause_is_told_in_words_and_a_wanted_one_is_not() {
        assert_eq!(Cause::Trusted.reason(), None);
        let told =
            |cause: Cause| cause.reason().map(|reason| (reason.level, reason.why, reason.takes_scanner));
        assert_eq!(told(Cause::Pending), Some((Level::Bad, "scans take too long", true)));
        assert_eq!(told(Cause::ScanFailed), Some((Level::Bad, "scans fail", true)));
        assert_eq!(told(Cause::Unavailable), Some((Level::Bad, "the hub does not answer", false)));
        assert_eq!(told(Cause::Encrypted), Some((Level::Note, "encrypted", false)));
        assert_eq!(told(Cause::Ambiguous), Some((Level::Note, "ambiguous", false)));
    }

    #[test]
    fn nothing_found_and_nothing_wrong_is_accepted() {
        assert_eq!(decide_with("", &[], &[]), ("accept", "clean"));
        let plain = Disposition::Skipped(SkipReason::PlainText);
        assert_eq!(decide_with("", &[Disposition::Clean, plain], &[]), ("accept", "clean"));
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
