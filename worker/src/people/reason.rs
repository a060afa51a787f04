// SPDX-License-Identifier: GPL-3.0-or-later
//! The reason of a decision about a mail, as one would tell it to whoever asks where the mail is: what became of it, why, and
//! what comes next.

use super::{print, verdict};
use std::fmt::Write as _;
use thundergate_common::{
    api::mails::{Mail, Part},
    terminal::readable,
};
use thundergate_policy::{Action, Cause};

/// The reason of `mail`, at `now_ms`.
pub(super) fn of(mail: &Mail, now_ms: u64) -> String {
    let action = Action::ALL.into_iter().find(|action| action.as_str() == mail.decision);
    let cause = Cause::ALL.into_iter().find(|cause| cause.as_str() == mail.cause);
    let outcome = action.map_or_else(|| readable(&mail.decision), |action| outcome(action).to_owned());
    let why =
        cause.map_or_else(|| format!("for the cause {}", readable(&mail.cause)), |cause| why(cause, mail));
    let delivers = matches!(action, Some(Action::Accept | Action::Tag)) || mail.passive;
    let mut text = if mail.passive && action != Some(Action::Accept) {
        format!("The mail was accepted, since the milter is passive; else it would have been {outcome} {why}")
    } else {
        format!("The mail was {outcome} {why}")
    };
    let next = if delivers { after_delivery(mail) } else { next(action, cause, mail, now_ms) };
    if let Some(next) = next {
        let _ = write!(text, "; {next}");
    }
    text.push('.');
    text
}

fn outcome(action: Action) -> &'static str {
    match action {
        Action::Accept => "accepted",
        Action::Tag => "accepted with a header that warns of it",
        Action::Tempfail => "deferred",
        Action::Quarantine => "held by the MTA",
        Action::Reject => "rejected",
        Action::Discard => "discarded",
    }
}

fn why(cause: Cause, mail: &Mail) -> String {
    let what = |dispositions: &[&str]| names(mail, dispositions);
    match cause {
        Cause::Clean if mail.parts.is_empty() => "since there was nothing to scan in it".to_owned(),
        Cause::Clean => "since the scanner found nothing in it".to_owned(),
        Cause::Found => format!("since the scanner found something in {}", what(&["found"])),
        Cause::Pending => {
            let reason = reason(mail, "pending").map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("since there was no verdict on {} in time{reason}", what(&["pending"]))
        }
        Cause::ScanFailed => scan_failed(mail),
        Cause::Unavailable => match reason(mail, "failed") {
            Some(reason) if reason != "unavailable" => {
                format!("since no scanner could take {}: {reason}", what(&["failed"]))
            }
            _ => "since Redis did not answer, and nothing could be scanned without it".to_owned(),
        },
        Cause::Overload => "since the queue or the memory for samples was full".to_owned(),
        Cause::Oversize => "since it, or a part of it, is larger than what is scanned".to_owned(),
        Cause::Malformed => {
            "since it cannot be taken apart: it has too many parts, or too deep ones".to_owned()
        }
        Cause::Ambiguous => "since mail clients could read it in different ways".to_owned(),
        Cause::Encrypted => "since a part is encrypted, and no scanner can look into it".to_owned(),
        Cause::Sealed => {
            "since a part asks for a password that is not in the mail, and no scanner can look into it"
                .to_owned()
        }
        Cause::Unopened => "since a part is an archive or a disk image that nobody opens".to_owned(),
        Cause::ExternalBody => "since a part has its content elsewhere (message/external-body)".to_owned(),
        Cause::Partial => "since it is a fragment of a mail, or holds one (message/partial)".to_owned(),
        Cause::Trusted => "without a scan, since policy.trust covers its client or sender".to_owned(),
        Cause::Bug => "since thundergate has a bug: please report what its log says of this mail".to_owned(),
    }
}

fn scan_failed(mail: &Mail) -> String {
    let failed = mail.parts.iter().find(|part| part.disposition == "failed");
    let instance = failed.and_then(|part| part.failed_now.as_ref()).map(|failed| &*failed.instance);
    let who = instance.filter(|name| !name.is_empty()).map_or_else(|| "no scanner".to_owned(), readable);
    let reason = reason(mail, "failed").map(|reason| format!(": {reason}")).unwrap_or_default();
    format!(
        "since {who} could {}scan {}{reason}",
        if who == "no scanner" { "" } else { "not " },
        names(mail, &["failed"])
    )
}

/// What comes next where the mail was not delivered.
fn next(action: Option<Action>, cause: Option<Cause>, mail: &Mail, now_ms: u64) -> Option<String> {
    match action? {
        Action::Tempfail => Some(format!("the sender tries again, and {}", next_try(cause, mail, now_ms))),
        Action::Quarantine => {
            Some("it stays in the MTA's hold queue until somebody releases or deletes it".to_owned())
        }
        Action::Reject => Some("the sender was told, and nothing tries again".to_owned()),
        Action::Discard => Some("nobody was told".to_owned()),
        Action::Accept | Action::Tag => None,
    }
}

/// What the next try of a deferred mail meets.
fn next_try(cause: Option<Cause>, mail: &Mail, now_ms: u64) -> String {
    let open = || mail.parts.iter().filter(|part| matches!(&*part.disposition, "pending" | "failed"));
    let held = open().filter_map(|part| part.failed_now.as_ref()).find(|failed| failed.until_ms > now_ms);
    if let Some(held) = held {
        let until = print::time(held.until_ms);
        return format!(
            "until {until} the next try gets the same answer without a scan (`thundergate queue retry` ends that)"
        );
    }
    let answered = |part: &Part| part.verdict_now.as_ref().is_some_and(|verdict| !verdict.outdated);
    if open().next().is_some() && open().all(answered) {
        return "the next try is answered from the verdict that is there now".to_owned();
    }
    match cause {
        Some(Cause::Pending | Cause::ScanFailed | Cause::Unavailable | Cause::Overload | Cause::Bug)
        | None => "the next try has scanned what is still open".to_owned(),
        Some(Cause::Found) => "the next try is answered in the same way".to_owned(),
        Some(cause) => format!("the next try is answered in the same way (policy.on.{})", cause.as_str()),
    }
}

/// Where a mail was delivered: what is known by now to be bad in it.
fn after_delivery(mail: &Mail) -> Option<String> {
    let bad = |part: &&Part| part.verdict_now.as_ref().is_some_and(|verdict| !verdict.clean);
    let part = mail.parts.iter().find(bad)?;
    let (verdict, sample) = (part.verdict_now.as_ref()?, part.sample.as_deref().unwrap_or_default());
    Some(format!(
        "{} is {} by now, and `thundergate seen {}` shows who received it",
        name(part),
        verdict::short(verdict),
        readable(sample)
    ))
}

fn reason(mail: &Mail, disposition: &str) -> Option<String> {
    let reason =
        |part: &Part| part.reason.as_deref().filter(|_| part.disposition == disposition).map(readable);
    mail.parts.iter().find_map(reason)
}

/// The parts that ended so.
fn names(mail: &Mail, dispositions: &[&str]) -> String {
    let mut parts = mail.parts.iter().filter(|part| dispositions.contains(&&*part.disposition));
    let more = parts.clone().count().saturating_sub(1);
    match (parts.next(), more) {
        (None, _) => "a part".to_owned(),
        (Some(part), 0) => name(part),
        (Some(part), more) => format!("{} and {more} more", name(part)),
    }
}

fn name(part: &Part) -> String {
    part.name.as_deref().map_or_else(|| "a part without a name".to_owned(), readable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use thundergate_common::api::verdicts::{Failed, Verdict};

    const NOW: u64 = 1_764_376_000_000;

    fn part(disposition: &str, reason: Option<&str>) -> Part {
        Part {
            name: Some("a.pdf".to_owned()),
            sample: Some("d.pdf".to_owned()),
            disposition: disposition.to_owned(),
            reason: reason.map(str::to_owned),
            ..Part::default()
        }
    }

    fn mail(decision: Action, cause: Cause, parts: &[Part]) -> Mail {
        Mail {
            decision: decision.as_str().to_owned(),
            cause: cause.as_str().to_owned(),
            parts: parts.to_vec(),
            ..Mail::default()
        }
    }

    fn told(decision: Action, cause: Cause, parts: &[Part]) -> String {
        of(&mail(decision, cause, parts), NOW)
    }

    #[test]
    fn every_cause_is_told_in_the_words_of_a_person() {
        let sentences = Cause::ALL.map(|cause| {
            let disposition = match cause {
                Cause::Clean => "clean",
                Cause::Found => "found",
                Cause::Pending => "pending",
                Cause::ScanFailed | Cause::Unavailable => "failed",
                _ => "skipped",
            };
            told(Action::Quarantine, cause, &[part(disposition, None)])
        });
        let ends = sentences.each_ref().map(|sentence| {
            let sentence = sentence.strip_prefix("The mail was held by the MTA ").unwrap();
            sentence
                .strip_suffix("; it stays in the MTA's hold queue until somebody releases or deletes it.")
                .unwrap()
        });
        assert_eq!(
            ends,
            [
                "since the scanner found nothing in it",
                "since the scanner found something in a.pdf",
                "since there was no verdict on a.pdf in time",
                "since no scanner could scan a.pdf",
                "since Redis did not answer, and nothing could be scanned without it",
                "since the queue or the memory for samples was full",
                "since it, or a part of it, is larger than what is scanned",
                "since it cannot be taken apart: it has too many parts, or too deep ones",
                "since mail clients could read it in different ways",
                "since a part is encrypted, and no scanner can look into it",
                "since a part asks for a password that is not in the mail, and no scanner can look into it",
                "since a part is an archive or a disk image that nobody opens",
                "since a part has its content elsewhere (message/external-body)",
                "since it is a fragment of a mail, or holds one (message/partial)",
                "without a scan, since policy.trust covers its client or sender",
                "since thundergate has a bug: please report what its log says of this mail",
            ]
        );
    }

    #[test]
    fn a_deferral_says_what_the_next_try_meets() {
        let reason = Some("it answered 400");
        let answered = Part {
            verdict_now: Some(Verdict { clean: true, ..Verdict::default() }),
            ..part("failed", reason)
        };
        assert_eq!(
            told(Action::Tempfail, Cause::ScanFailed, &[answered]),
            "The mail was deferred since no scanner could scan a.pdf: it answered 400; the sender tries again, and the next \
             try is answered from the verdict that is there now."
        );
        let failed = Failed { instance: "storm1".to_owned(), until_ms: NOW + 60_000, ..Failed::default() };
        let held = Part { failed_now: Some(failed.clone()), ..part("failed", reason) };
        assert_eq!(
            told(Action::Tempfail, Cause::ScanFailed, &[held]),
            "The mail was deferred since storm1 could not scan a.pdf: it answered 400; the sender tries again, and until \
             2025-11-29T00:27:40Z the next try gets the same answer without a scan (`thundergate queue retry` ends that)."
        );
        let over = Part { failed_now: Some(Failed { until_ms: NOW, ..failed }), ..part("failed", reason) };
        for open in [over, part("pending", None)] {
            let said = told(Action::Tempfail, Cause::Pending, &[open]);
            assert!(said.ends_with("the next try has scanned what is still open."), "{said}");
        }
        let outdated = Verdict { clean: true, outdated: true, ..Verdict::default() };
        let outdated = Part { verdict_now: Some(outdated), ..part("pending", None) };
        let said = told(Action::Tempfail, Cause::Pending, &[outdated]);
        assert!(said.ends_with("the next try has scanned what is still open."), "{said}");
        let said = told(Action::Tempfail, Cause::Encrypted, &[]);
        assert!(said.ends_with("the next try is answered in the same way (policy.on.encrypted)."), "{said}");
    }

    #[test]
    fn no_scanner_and_no_redis_are_told_apart() {
        let said = told(Action::Tempfail, Cause::Unavailable, &[part("failed", Some("all are busy"))]);
        assert!(said.contains("since no scanner could take a.pdf: all are busy;"), "{said}");
        let said = told(Action::Tempfail, Cause::Unavailable, &[part("failed", Some("unavailable"))]);
        assert!(said.contains("since Redis did not answer"), "{said}");
    }

    #[test]
    fn a_passive_milter_accepts_what_it_would_not_have() {
        let passive = |action, cause| of(&Mail { passive: true, ..mail(action, cause, &[]) }, NOW);
        assert_eq!(
            passive(Action::Reject, Cause::Found),
            "The mail was accepted, since the milter is passive; else it would have been rejected since the scanner found \
             something in a part."
        );
        assert_eq!(
            passive(Action::Accept, Cause::Clean),
            "The mail was accepted since there was nothing to scan in it."
        );
    }

    #[test]
    fn what_was_delivered_and_is_bad_by_now_is_told() {
        let found = Verdict { score: 85, ..Verdict::default() };
        let late = Part { verdict_now: Some(found), ..part("pending", None) };
        assert_eq!(
            told(Action::Tag, Cause::Pending, &[late, part("pending", None)]),
            "The mail was accepted with a header that warns of it since there was no verdict on a.pdf and 1 more in time; \
             a.pdf is found (score 85) by now, and `thundergate seen d.pdf` shows who received it."
        );
    }

    #[test]
    fn words_of_a_later_version_are_told_as_they_are() {
        let mail = Mail { decision: "defer\u{1b}".to_owned(), cause: "owed".to_owned(), ..Mail::default() };
        assert_eq!(of(&mail, NOW), "The mail was defer\\u{1b} for the cause owed.");
    }
}
