// SPDX-License-Identifier: GPL-3.0-or-later
//! `verdict` and `seen`: what is known of one sample, and which mails held it.

use super::{CliError, print_json, print_table, say_all};
use std::time::{Duration, UNIX_EPOCH};
use thundergate_common::{
    hub::{Hub, Operator},
    record::seen::{Seen, Sighting, Sought},
    sample::{HintStyle, NameHint, SampleKey},
    terminal::shown,
    verdict::Verdict,
};

/// Mails shown.
const MAILS: usize = 1000;
/// Recipients shown in one row of the table; `--json` has all.
const RECIPIENTS: usize = 20;

/// A sample's key as it is written everywhere: `<digest>`, `<digest>.<extension>` or `<digest>/<name>`.
pub(super) fn parse(text: &str) -> Result<SampleKey, String> {
    let (digest, rest) = text.split_at_checked(64).unwrap_or((text, ""));
    let digest = digest.parse().map_err(|error: thundergate_common::digest::NotADigest| error.to_string())?;
    let hint = match rest.split_at_checked(1) {
        None => NameHint::None,
        Some((".", _)) => NameHint::of(HintStyle::Extension, Some(rest)),
        Some(("/", name)) => NameHint::of(HintStyle::Full, Some(name)),
        Some(_) => return Err("after the digest there may be .extension or /name".to_owned()),
    };
    if hint == NameHint::None && !rest.is_empty() {
        return Err("what follows the digest is no extension".to_owned());
    }
    Ok(SampleKey { digest, hint })
}

/// Prints the verdict of `sample`.
pub(super) async fn show(hub: &dyn Hub, sample: &SampleKey, json: bool) -> Result<(), CliError> {
    let verdicts = hub.look_up(std::slice::from_ref(sample)).await?;
    let verdict = verdicts.into_iter().next().flatten().ok_or(CliError::Unknown)?;
    if json {
        return print_json(&*verdict);
    }
    say_all(&lines(&verdict));
    Ok(())
}

/// Forgets the verdict of `sample`.
pub(super) async fn forget(hub: &dyn Operator, sample: &SampleKey) -> Result<(), CliError> {
    if hub.forget(sample).await? { Ok(()) } else { Err(CliError::Unknown) }
}

/// What `seen` looks for: as [`parse`], but a digest alone means the sample under any name.
pub(super) fn sought(text: &str) -> Result<Sought, String> {
    let SampleKey { digest, hint } = parse(text)?;
    Ok(Sought { digest, hint: Some(hint).filter(|hint| *hint != NameHint::None) })
}

/// Prints who received what is `sought`, and how sure that is.
pub(super) async fn seen(hub: &dyn Operator, sought: &Sought, json: bool) -> Result<(), CliError> {
    let seen = hub.seen(sought, MAILS).await?;
    if json {
        // Standard output holds the mails alone, as it always did.
        eprintln!("{}", summary(&seen));
        return print_json(&seen.mails);
    }
    if seen.mails.is_empty() {
        eprintln!("{}", summary(&seen));
        return Err(CliError::Unknown);
    }
    print_table(
        ["AT", "QUEUE ID", "DECISION", "FROM", "TO", "NAME"],
        &seen.mails.iter().map(row).collect::<Vec<_>>(),
    );
    say!("{}", summary(&seen));
    Ok(())
}

fn row(mail: &Sighting) -> [String; 6] {
    [
        time(mail.at),
        mail.queue_id.clone(),
        mail.decision.clone(),
        mail.sender.clone(),
        recipients(mail),
        mail.name.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}

fn recipients(mail: &Sighting) -> String {
    let shown = &mail.recipients[..mail.recipients.len().min(RECIPIENTS)];
    let all = mail.recipients_total.unwrap_or(mail.recipients.len());
    match all - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// How many mails, since when, and what may be missing.
fn summary(seen: &Seen) -> String {
    let at_least = if seen.is_at_least() { "at least " } else { "" };
    let mails = if seen.mails.len() == 1 { "mail" } else { "mails" };
    let mut text = format!("{at_least}{} {mails}", seen.mails.len());
    if let Some(since) = seen.since_ms {
        text += &format!("; records reach back to {}", time(since / 1000));
    }
    if seen.dropped {
        text += ", older ones are dropped";
    }
    if seen.more {
        text += "; there are more mails than are shown";
    }
    if seen.unsure > 0 {
        text += &format!("; {} more had too many parts for their records to name all", seen.unsure);
    }
    text
}

fn lines(verdict: &Verdict) -> Vec<String> {
    let signatures = verdict.signatures.as_deref().unwrap_or("unknown");
    let (at, instance) = (time(verdict.scanned_at), shown(&verdict.instance));
    let mut lines = vec![
        if verdict.is_clean() { "clean" } else { "found" }.to_owned(),
        format!("score       {}", verdict.score()),
        format!("scanned at  {at} by {instance} in {} ms", verdict.scan_ms),
        format!("signatures  {}", shown(signatures)),
    ];
    for finding in &verdict.findings {
        let (level, message) = (shown(&finding.level), shown(&finding.message));
        lines.extend([String::new(), format!("{level} {message} (score {})", finding.score)]);
        lines.extend(
            finding.rules.iter().map(|rule| {
                format!("  {:>4}  {}  {}", rule.subscore, shown(&rule.name), shown(&rule.reason))
            }),
        );
    }
    lines
}

fn time(seconds: u64) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH);
    humantime_serde::re::humantime::format_rfc3339_seconds(at).to_string()
}

#[cfg(test)]
mod tests {
    use super::{super::table, *};
    use thundergate_common::verdict::{Finding, Rule};

    #[test]
    fn nothing_that_others_wrote_reaches_the_terminal_as_it_is() {
        let hostile = || "\u{1b}]0;x\u{7}a\u{202e}fdp.exe\r\n\u{9b}2J".to_owned();
        let rule = Rule { name: hostile(), reason: hostile(), ..Rule::default() };
        let (level, message) = (hostile(), hostile());
        let finding = Finding { level, message, rules: vec![rule], ..Finding::default() };
        let (instance, signatures) = (hostile(), Some(hostile()));
        let verdict = Verdict { instance, signatures, findings: vec![finding], ..Verdict::default() };
        let mut all = lines(&verdict);
        all.extend(table(["A"], &[[hostile()]]));
        assert!(
            all.iter().flat_map(|line| line.chars()).all(|c| c.is_ascii_graphic() || c == ' '),
            "{all:?}"
        );
        assert_eq!(all.iter().map(|line| line.matches("fdp.exe").count()).sum::<usize>(), 7, "{all:?}");
    }

    #[test]
    fn a_summary_says_how_sure_it_is() {
        let sure = Seen { since_ms: Some(1_764_376_000_123), ..Seen::default() };
        assert_eq!(summary(&sure), "0 mails; records reach back to 2025-11-29T00:26:40Z");
        let unsure = Seen { dropped: true, more: true, unsure: 2, ..sure };
        assert_eq!(
            summary(&unsure),
            "at least 0 mails; records reach back to 2025-11-29T00:26:40Z, older ones are dropped; there are more mails \
             than are shown; 2 more had too many parts for their records to name all"
        );
    }

    #[test]
    fn a_digest_alone_is_sought_under_any_name() {
        let digest = "ab".repeat(32);
        assert_eq!(sought(&digest).unwrap().hint, None);
        assert_eq!(sought(&format!("{digest}.PDF")).unwrap().hint, Some(NameHint::Extension("pdf".into())));
        assert!(sought(&digest[1..]).is_err());
    }

    #[test]
    fn a_sample_is_named_as_it_is_written() {
        let digest = "ab".repeat(32);
        for name in [digest.clone(), format!("{digest}.exe"), format!("{digest}/a b.exe")] {
            assert_eq!(parse(&name).unwrap().to_string(), name);
        }
        assert_eq!(
            parse(&format!("{}.EXE", digest.to_uppercase())).unwrap().to_string(),
            format!("{digest}.exe")
        );
        for wrong in
            ["", "ab", &digest[1..], &format!("{digest}x"), &format!("{digest}."), &format!("{digest}.a b")]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
