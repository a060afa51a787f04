// SPDX-License-Identifier: GPL-3.0-or-later
//! `verdict` and `seen`: what is known of one sample.

use super::{CliError, print_json, print_table};
use std::time::{Duration, UNIX_EPOCH};
use thundergate_common::{
    hub::{Hub, Operator, Receipt},
    sample::{HintStyle, NameHint, SampleKey},
    verdict::Verdict,
};

/// Recipients shown.
const RECEIPTS: usize = 1000;

/// A sample's key as it is written everywhere: `<digest>`, `<digest>.<extension>` or `<digest>/<name>`.
pub fn parse(text: &str) -> Result<SampleKey, String> {
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
pub async fn show(hub: &dyn Hub, sample: &SampleKey, json: bool) -> Result<(), CliError> {
    let verdicts = hub.look_up(std::slice::from_ref(sample)).await?;
    let verdict = verdicts.into_iter().next().flatten().ok_or(CliError::Unknown)?;
    if json {
        return print_json(&*verdict);
    }
    print_verdict(&verdict);
    Ok(())
}

/// Forgets the verdict of `sample`.
pub async fn forget(hub: &dyn Operator, sample: &SampleKey) -> Result<(), CliError> {
    if hub.forget(sample).await? { Ok(()) } else { Err(CliError::Unknown) }
}

/// Prints who received `sample`.
pub async fn seen(hub: &dyn Operator, sample: &SampleKey, json: bool) -> Result<(), CliError> {
    let receipts = hub.receipts(sample, RECEIPTS).await?;
    if json {
        return print_json(&receipts);
    }
    if receipts.is_empty() {
        return Err(CliError::Unknown);
    }
    print_table(
        ["AT", "QUEUE ID", "DECISION", "FROM", "TO", "NAME"],
        &receipts.iter().map(row).collect::<Vec<_>>(),
    );
    Ok(())
}

fn row(receipt: &Receipt) -> [String; 6] {
    // Names and addresses come from mails: nothing of them may reach the terminal as a control sequence.
    let shown = |text: &str| text.escape_debug().to_string();
    [
        time(receipt.at),
        shown(&receipt.queue_id),
        receipt.decision.clone(),
        shown(&receipt.sender),
        shown(&receipt.recipients.join(", ")),
        shown(receipt.name.as_deref().unwrap_or("-")),
    ]
}

fn print_verdict(verdict: &Verdict) {
    let signatures = verdict.signatures.as_deref().unwrap_or("unknown");
    say!("{}", if verdict.is_clean() { "clean" } else { "found" });
    say!("score       {}", verdict.score());
    say!("scanned at  {} by {} in {} ms", time(verdict.scanned_at), verdict.instance, verdict.scan_ms);
    say!("signatures  {signatures}");
    for finding in &verdict.findings {
        say!("\n{} {} (score {})", finding.level, finding.message.escape_debug(), finding.score);
        for rule in &finding.rules {
            say!("  {:>4}  {}  {}", rule.subscore, rule.name.escape_debug(), rule.reason.escape_debug());
        }
    }
}

fn time(seconds: u64) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH);
    humantime_serde::re::humantime::format_rfc3339_seconds(at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

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
