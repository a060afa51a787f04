// SPDX-License-Identifier: GPL-3.0-or-later
//! `scan --explain`: how messages in files are taken apart, step by step, for people who ask why a sample exists or why
//! a message is ambiguous. Nothing is scanned, so neither a scanner nor Redis is needed.

use crate::{
    command::scan,
    config::Config,
    outcome::inspection::{Malformed, short, troubles},
};
use bytes::Bytes;
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    io::Write,
    path::{Path, PathBuf},
};
use thundergate_common::{
    digest::Digest,
    sealed::{Sealed, maybe_sealed},
    terminal,
    verdict::SkipReason,
};
use thundergate_extract::{Ambiguity, Extraction, Step, explain};
use thundergate_policy::{Decision, Disposition, Facts, Policy, Trouble, decide};

/// How one message was taken apart.
struct Explained {
    file: String,
    size: usize,
    extraction: Extraction,
    steps: Vec<Step>,
    sealed: Vec<MaybeSealed>,
    /// What the policy says if the scanner finds nothing.
    if_clean: Decision,
}

/// Explains `files` one after the other, as text or as a JSON object a line.
///
/// # Errors
///
/// [`scan::Unreadable`] for the first file that cannot be read; `out` cannot be written.
pub fn run(config: &Config, files: &[PathBuf], json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let policy = Policy::compile(&config.policy)?;
    for file in files {
        let explained = Explained::of(config, &policy, file)?;
        if json {
            writeln!(out, "{}", terminal::json(&explained.as_json(), false)?)?;
        } else {
            write!(out, "{}", explained.as_text())?;
        }
    }
    Ok(())
}

/// A sample that may ask for a password.
struct MaybeSealed {
    name: Option<String>,
    digest: Digest,
    kind: Sealed,
}

impl MaybeSealed {
    fn all_of(extraction: &Extraction) -> Vec<Self> {
        let mut found = Vec::new();
        for part in &extraction.parts {
            if let Some(kind) = maybe_sealed(&part.content.bytes()) {
                found.push(Self { name: part.name.clone(), digest: part.digest, kind });
            }
        }
        found
    }
}

fn troubles_of(extraction: &Extraction) -> Vec<Trouble> {
    let mut found = troubles(extraction.malformed.map(Malformed::Exceeded), &extraction.ambiguities, &[]);
    if extraction.parts.iter().any(|part| part.unopened.is_some()) {
        found.push(Trouble::Unopened);
    }
    found
}

impl Explained {
    fn of(config: &Config, policy: &Policy, file: &Path) -> Result<Self, scan::Unreadable> {
        let message = Bytes::from(scan::read(file)?);
        let size = message.len();
        let (extraction, steps) = explain(&message, config.scan.bodies, &config.limits.budget());
        let if_clean = if size as u64 > config.limits.message_bytes.as_u64() {
            decide(Facts { parts: &[], troubles: &[Trouble::Oversize] }, policy, &config.policy.on)
        } else {
            let dispositions = if_clean(&extraction, config.limits.sample_bytes.as_u64());
            decide(
                Facts { parts: &dispositions, troubles: &troubles_of(&extraction) },
                policy,
                &config.policy.on,
            )
        };
        let sealed = MaybeSealed::all_of(&extraction);
        Ok(Self { file: file.display().to_string(), size, extraction, steps, sealed, if_clean })
    }

    fn as_json(&self) -> Value {
        json!({
            "file": self.file,
            "size_bytes": self.size,
            "steps": self.steps.iter().map(step_as_json).collect::<Vec<_>>(),
            "samples": self.extraction.parts.len(),
            "skipped": self.extraction.skipped.len(),
            "malformed": self.extraction.malformed,
            "ambiguities": self.extraction.ambiguities,
            "maybe_sealed": self.sealed.iter().map(|MaybeSealed { name, digest, kind }| {
                json!({ "name": name, "digest": digest, "kind": kind })
            }).collect::<Vec<_>>(),
            "if_clean": { "decision": self.if_clean.action.as_str(), "cause": self.if_clean.cause.as_str() },
        })
    }

    fn as_text(&self) -> String {
        let steps: String = self.steps.iter().map(step_as_text).collect();
        format!("{}\n{steps}{}", terminal::shown(&self.file), self.summary())
    }

    fn summary(&self) -> String {
        let Extraction { parts, skipped, ambiguities, malformed, .. } = &self.extraction;
        let plural = if parts.len() == 1 { "" } else { "s" };
        let mut text = format!("  {} sample{plural}, {} skipped", parts.len(), skipped.len());
        if let Some(budget) = malformed {
            push(&mut text, format_args!("; malformed: {budget}"));
        }
        if !ambiguities.is_empty() {
            push(&mut text, format_args!("; ambiguous: {}", Ambiguity::list(ambiguities)));
        }
        for kind in ambiguities {
            push(&mut text, format_args!("\n    {kind}: {}", kind.meaning()));
        }
        for MaybeSealed { name, digest, kind } in &self.sealed {
            let name = name.as_deref().map_or("-".to_owned(), shown);
            push(&mut text, format_args!("\n    may be sealed: {kind}  {name}  {digest}"));
        }
        let Decision { action, cause } = self.if_clean;
        push(&mut text, format_args!("\n  if nothing is found: {} ({})\n", action.as_str(), cause.as_str()));
        text
    }
}

/// How the parts end if the scanner finds nothing in any.
fn if_clean(extraction: &Extraction, sample_bytes: u64) -> Vec<Disposition> {
    let skipped = extraction.skipped.iter().map(|part| Disposition::Skipped(part.reason));
    let scanned = extraction.parts.iter().map(|part| {
        if part.size > sample_bytes { Disposition::Skipped(SkipReason::TooLarge) } else { Disposition::Clean }
    });
    skipped.chain(scanned).collect()
}

fn step_as_json(step: &Step) -> Value {
    match step {
        Step::Reading { choices } => json!({ "step": "reading", "choices": choices }),
        Step::Entity { depth, media_type, offset } => {
            json!({ "step": "entity", "depth": depth, "type": media_type, "offset": offset })
        }
        Step::Sample { depth, name, within, decoding, digest, size, why, known } => json!({
            "step": "sample",
            "depth": depth,
            "name": name,
            "within": within,
            "decoding": decoding,
            "digest": digest,
            "size_bytes": size,
            "why": why,
            "known": known,
        }),
        Step::Skipped { depth, size, reason } => {
            json!({ "step": "skipped", "depth": depth, "size_bytes": size, "reason": reason.as_str() })
        }
    }
}

/// One line; what an entity is read as stands below it. Texts of the sender's are escaped, since control characters and
/// those that turn the direction of text would have the terminal show something else.
fn step_as_text(step: &Step) -> String {
    let line = |depth: usize, text: String| format!("{:indent$}{text}\n", "", indent = 4 + 2 * depth);
    match step {
        Step::Reading { choices } => format!("  reading: {}\n", shown(choices)),
        Step::Entity { depth, media_type, offset } => {
            line(*depth, format!("{} at {offset}", shown(media_type)))
        }
        Step::Sample { depth, name, within, decoding, digest, size, why, known } => {
            let name = name.as_deref().map_or("-".to_owned(), shown);
            let name = within.as_deref().map_or(name.clone(), |within| format!("{}/{name}", shown(within)));
            let mut text = format!("{name}  {decoding}  {size} bytes  {digest}");
            if let Some(why) = why {
                push(&mut text, format_args!("  because of {why}"));
            }
            if *known {
                text.push_str("  (found before)");
            }
            line(*depth + 1, text)
        }
        Step::Skipped { depth, size, reason } => {
            line(*depth + 1, format!("skipped {}, {size} bytes", reason.as_str()))
        }
    }
}

fn shown(text: &str) -> String {
    terminal::shown(&short(text)).to_string()
}

fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;
    use thundergate_extract::Exceeded;

    fn explained(toml: &str, steps: Vec<Step>, extraction: Extraction) -> Explained {
        let config = Config::from_toml(toml).unwrap();
        let policy = Policy::compile(&config.policy).unwrap();
        let parts = if_clean(&extraction, config.limits.sample_bytes.as_u64());
        let if_clean =
            decide(Facts { parts: &parts, troubles: &troubles_of(&extraction) }, &policy, &config.policy.on);
        let sealed = MaybeSealed::all_of(&extraction);
        Explained { file: "invoice.eml".into(), size: 2000, extraction, steps, sealed, if_clean }
    }

    fn sample(name: Option<&str>, why: Option<Ambiguity>, known: bool) -> Step {
        Step::Sample {
            depth: 1,
            name: name.map(str::to_owned),
            within: None,
            decoding: "base64",
            digest: Digest::of(b"a"),
            size: 1234,
            why,
            known,
        }
    }

    fn steps() -> Vec<Step> {
        let entity =
            |depth, media_type: &str, offset| Step::Entity { depth, media_type: media_type.into(), offset };
        vec![
            Step::Reading { choices: "canonical".into() },
            entity(0, "multipart/mixed", 0),
            entity(1, "text/plain", 312),
            Step::Skipped { depth: 1, size: 12, reason: SkipReason::PlainText },
            entity(1, "application/pdf", 420),
            sample(Some("invoice.pdf"), None, false),
            Step::Reading { choices: "last Content-Type".into() },
            sample(None, Some(Ambiguity::AfterPadding), true),
        ]
    }

    #[test]
    fn a_file_in_a_file_is_shown_with_the_way_to_it() {
        let mut step = sample(Some("invoice.xlsm"), None, false);
        if let Step::Sample { within, .. } = &mut step {
            *within = Some("mail.msg".to_owned());
        }
        assert!(step_as_text(&step).trim_start().starts_with("mail.msg/invoice.xlsm  base64"));
        assert_eq!(step_as_json(&step)["within"], "mail.msg");
    }

    #[test]
    fn the_text_is_a_tree() {
        let extraction = Extraction {
            ambiguities: vec![Ambiguity::RepeatedType, Ambiguity::AfterPadding],
            ..Extraction::default()
        };
        let digest = Digest::of(b"a");
        let text = explained("", steps(), extraction).as_text();
        let (tree, rest) = text.split_once("  0 samples").unwrap();
        assert_eq!(
            tree,
            format!(
                "invoice.eml\n  reading: canonical\n    multipart/mixed at 0\n      text/plain at 312\n        \
                 skipped plain_text, 12 bytes\n      application/pdf at 420\n        \
                 invoice.pdf  base64  1234 bytes  {digest}\n  reading: last Content-Type\n        \
                 -  base64  1234 bytes  {digest}  because of base64_after_padding  (found before)\n"
            )
        );
        assert!(
            rest.starts_with(", 0 skipped; ambiguous: repeated_content_type, base64_after_padding\n"),
            "{rest}"
        );
        assert!(rest.ends_with("\n  if nothing is found: tag (ambiguous)\n"), "{rest}");
    }

    #[test]
    fn the_json_has_the_same() {
        let value = explained("", steps(), Extraction::default()).as_json();
        assert_eq!(value["file"], "invoice.eml");
        assert_eq!(value["steps"].as_array().unwrap().len(), 8);
        assert_eq!(
            value["steps"][5],
            json!({
                "step": "sample", "depth": 1, "name": "invoice.pdf", "within": null, "decoding": "base64", "size_bytes": 1234,
                "digest": Digest::of(b"a").to_string(), "why": null, "known": false,
            })
        );
        assert_eq!(value["steps"][3]["reason"], "plain_text");
        assert_eq!(value["if_clean"], json!({ "decision": "accept", "cause": "clean" }));
    }

    #[test]
    fn what_may_be_sealed_is_named() {
        let message = "From: a@a.example\r\nContent-Type: application/pdf; name=a.pdf\r\n\r\n%PDF-1.7 /Encrypt 5 0 R\r\n";
        let config = Config::from_toml("").unwrap();
        let (extraction, steps) = explain(&Bytes::from(message), config.scan.bodies, &config.limits.budget());
        let digest = extraction.parts[0].digest;
        let explained = explained("", steps, extraction);
        let text = explained.as_text();
        assert!(text.contains(&format!("\n    may be sealed: pdf  a.pdf  {digest}\n")), "{text}");
        assert_eq!(explained.as_json()["maybe_sealed"][0]["kind"], "pdf");
    }

    #[test]
    fn what_could_not_be_scanned_or_taken_apart_decides() {
        let skipped = thundergate_extract::Skipped {
            name: None,
            media_type: "message/partial".into(),
            size: 1,
            reason: SkipReason::Partial,
        };
        let partial = Extraction { skipped: vec![skipped], ..Extraction::default() };
        let text = explained("", Vec::new(), partial.clone()).as_text();
        assert!(text.contains("1 skipped\n  if nothing is found: quarantine (partial)\n"), "{text}");
        let malformed = Extraction { malformed: Some(Exceeded::Parts), ..partial };
        let text = explained("policy.on.malformed = 'reject'", Vec::new(), malformed).as_text();
        assert!(text.contains("; malformed: parts\n  if nothing is found: reject (malformed)\n"), "{text}");
    }

    #[test]
    fn no_name_reaches_the_terminal_as_it_is() {
        let hostile = "\u{1b}]0;x\u{7}a\u{202e}fdp.exe\r\n\u{9b}2J\u{2066}\u{200f}";
        let entity = Step::Entity { depth: 0, media_type: hostile.to_owned(), offset: 0 };
        for step in [sample(Some(hostile), None, false), entity] {
            let text = step_as_text(&step);
            assert!(
                text.trim_end_matches('\n').chars().all(|c| c.is_ascii_graphic() || c == ' '),
                "{text:?}"
            );
            assert!(text.contains("fdp.exe"), "{text:?}");
        }
        let long = step_as_text(&sample(Some(&"a".repeat(100_000)), None, false));
        assert!(long.len() < 2000, "{}", long.len());
    }
}
