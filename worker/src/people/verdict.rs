// SPDX-License-Identifier: GPL-3.0-or-later
//! `verdict`: what is known of a sample under each of its names, and `verdict forget`.

use super::{
    cli::{VerdictAction, VerdictArgs},
    client::Client,
    error::PeopleError,
    print::{self, count, or_dash, say, say_all},
};
use thundergate_common::{
    api::{
        Endpoint,
        verdicts::{Failed, Forget, Forgotten, Known, Sought, Verdict},
    },
    terminal::readable,
};

const NOTHING: PeopleError = PeopleError::Unknown("nothing is known of this sample");

/// Shows or forgets what is known.
pub(super) async fn run(client: &Client, args: VerdictArgs, json: bool) -> Result<(), PeopleError> {
    match (args.action, args.sample) {
        (Some(VerdictAction::Forget { sample, why }), _) => {
            forget(client, Forget { sample: sample.sample, reason: why.reason }, json).await
        }
        (Some(VerdictAction::Show(args)), _) => show(client, args.sample, json).await,
        (None, Some(sample)) => show(client, sample, json).await,
        (None, None) => Err(PeopleError::Usage("no sample named".to_owned())),
    }
}

async fn show(client: &Client, sample: String, json: bool) -> Result<(), PeopleError> {
    let answer = client.post(&Endpoint::VERDICTS, &Sought { sample }).await?;
    let known: Known = answer.read()?;
    if json {
        answer.print()?;
    } else {
        say_all(&lines(&known));
    }
    if known.verdicts.is_empty() && known.failed.is_empty() {
        return Err(NOTHING);
    }
    Ok(())
}

async fn forget(client: &Client, which: Forget, json: bool) -> Result<(), PeopleError> {
    let answer = client.post(&Endpoint::VERDICTS_FORGET, &which).await?;
    let forgotten: Forgotten = answer.read()?;
    if json {
        answer.print()?;
    } else {
        say(count(forgotten.forgotten, "verdict forgotten", "verdicts forgotten"));
    }
    if forgotten.forgotten == 0 { Err(NOTHING) } else { Ok(()) }
}

/// One block a name, and a failure after the verdict of the same name.
fn lines(known: &Known) -> Vec<String> {
    let mut blocks = Vec::new();
    for verdict in &known.verdicts {
        let failed = known.failed.iter().find(|failed| failed.sample == verdict.sample);
        let mut block = of_verdict(verdict);
        block.extend(failed.into_iter().flat_map(of_failed));
        blocks.push(block);
    }
    let has_verdict = |failed: &&Failed| known.verdicts.iter().any(|verdict| verdict.sample == failed.sample);
    for failed in known.failed.iter().filter(|failed| !has_verdict(failed)) {
        let head = ["not scanned".to_owned(), format!("sample      {}", readable(&failed.sample))];
        blocks.push(head.into_iter().chain(of_failed(failed)).collect());
    }
    blocks.join(&String::new())
}

fn of_verdict(verdict: &Verdict) -> Vec<String> {
    let signatures = verdict.signatures.as_deref().map_or_else(|| "unknown".to_owned(), readable);
    let (at, instance) = (print::time(verdict.scanned_at_ms), or_dash(&readable(&verdict.instance)));
    let mut lines = vec![
        short(verdict),
        format!("sample      {}", readable(&verdict.sample)),
        format!("score       {}", verdict.score),
        format!("scanned at  {at} by {instance} in {} ms", verdict.scan_ms),
        format!("signatures  {signatures}"),
    ];
    if verdict.outdated {
        lines.push("outdated    the next mail has it scanned again".to_owned());
    }
    for finding in &verdict.findings {
        let (level, message) = (readable(&finding.level), readable(&finding.message));
        lines.extend([String::new(), format!("{level} {message} (score {})", finding.score)]);
        lines.extend(finding.rules.iter().map(|rule| {
            format!("  {:>4}  {}  {}", rule.subscore, readable(&rule.name), readable(&rule.reason))
        }));
    }
    if verdict.omitted > 0 {
        lines.push(format!("and {} findings more, which are left out", verdict.omitted));
    }
    lines
}

fn of_failed(failed: &Failed) -> Vec<String> {
    let by = if failed.instance.is_empty() {
        String::new()
    } else {
        format!(" by {}", readable(&failed.instance))
    };
    vec![
        format!("failed at   {}{by}: {}", print::time(failed.failed_at_ms), readable(&failed.reason)),
        format!(
            "held until  {}: its mails are scan_failed without another scan; queue retry ends that",
            print::time(failed.until_ms)
        ),
    ]
}

/// What a verdict says, in a word or two.
pub(super) fn short(verdict: &Verdict) -> String {
    match (verdict.clean, verdict.outdated) {
        (true, false) => "clean".to_owned(),
        (true, true) => "clean, but outdated".to_owned(),
        (false, _) => format!("found (score {})", verdict.score),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thundergate_common::verdict::{Finding, Rule};

    fn verdict(sample: &str) -> Verdict {
        Verdict {
            sample: sample.to_owned(),
            clean: true,
            scanned_at_ms: 1_764_376_000_000,
            scan_ms: 35,
            instance: "storm1".to_owned(),
            ..Verdict::default()
        }
    }

    fn failed(sample: &str) -> Failed {
        Failed {
            sample: sample.to_owned(),
            reason: "it answered 400".to_owned(),
            instance: "storm2".to_owned(),
            failed_at_ms: 1_764_376_000_000,
            until_ms: 1_764_376_600_000,
        }
    }

    #[test]
    fn each_name_is_a_block_and_an_outdated_verdict_says_so() {
        let outdated = Verdict { outdated: true, ..verdict("d.pdf") };
        let known = Known { verdicts: vec![verdict("d"), outdated], failed: vec![failed("d.exe")] };
        assert_eq!(
            lines(&known).join("\n"),
            "clean\n\
             sample      d\n\
             score       0\n\
             scanned at  2025-11-29T00:26:40Z by storm1 in 35 ms\n\
             signatures  unknown\n\
             \n\
             clean, but outdated\n\
             sample      d.pdf\n\
             score       0\n\
             scanned at  2025-11-29T00:26:40Z by storm1 in 35 ms\n\
             signatures  unknown\n\
             outdated    the next mail has it scanned again\n\
             \n\
             not scanned\n\
             sample      d.exe\n\
             failed at   2025-11-29T00:26:40Z by storm2: it answered 400\n\
             held until  2025-11-29T00:36:40Z: its mails are scan_failed without another scan; queue retry ends that"
        );
    }

    #[test]
    fn a_failure_stands_with_the_verdict_of_its_name() {
        let known = Known { verdicts: vec![verdict("d")], failed: vec![failed("d")] };
        let lines = lines(&known);
        assert!(lines.iter().all(|line| !line.is_empty()) && lines[0] == "clean", "{lines:?}");
        assert!(lines.iter().any(|line| line.ends_with("it answered 400")), "{lines:?}");
    }

    #[test]
    fn nothing_that_others_wrote_reaches_the_terminal_as_it_is() {
        let hostile = || "\u{1b}]0;x\u{7}a\u{202e}fdp.exe\r\n\u{9b}2J".to_owned();
        let rule = Rule { name: hostile(), reason: hostile(), ..Rule::default() };
        let (level, message) = (hostile(), hostile());
        let findings = vec![Finding { level, message, rules: vec![rule], ..Finding::default() }];
        let (instance, signatures) = (hostile(), Some(hostile()));
        let verdict = Verdict { instance, signatures, findings, ..verdict(&hostile()) };
        let failed =
            Failed { sample: hostile(), reason: hostile(), instance: hostile(), ..Failed::default() };
        let all = lines(&Known { verdicts: vec![verdict], failed: vec![failed] });
        let harmless = |c: char| c.is_ascii_graphic() || c == ' ';
        assert!(all.iter().flat_map(|line| line.chars()).all(harmless), "{all:?}");
        assert_eq!(all.iter().map(|line| line.matches("fdp.exe").count()).sum::<usize>(), 9, "{all:?}");
    }
}
