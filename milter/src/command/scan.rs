// SPDX-License-Identifier: GPL-3.0-or-later
//! `scan`: the path of a message without an MTA, for messages in files.

use crate::{
    command::{assembly::Assembly, standalone::Scanners},
    config::Config,
    inspect::inspector::Gate,
    mail::{
        envelope::{Client, Envelope},
        forged::Forged,
        message::{Lost, Message},
    },
    observe::report::milliseconds,
    outcome::inspection::{Inspected, Inspection, Malformed},
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use indicatif::{ProgressBar, ProgressStyle};
use prometheus_client::registry::Registry;
use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use thundergate_common::{
    terminal::{self, legible, shown},
    verdict::Rule,
};
use thundergate_extract::Ambiguity;
use thundergate_policy::{Action, Disposition, Policy};
use tokio_util::sync::CancellationToken;

/// How long the first look at scanners and hub may take.
const START_PATIENCE: Duration = Duration::from_millis(2500);

/// Messages under way at a time, so that a farm has something to do.
const AT_A_TIME: usize = 8;

/// How a run of `scan` ended, the severest of its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// Every message is accepted.
    Accepted,
    /// The policy decided otherwise on at least one.
    Otherwise,
    /// At least one could not be scanned.
    Impossible,
}

/// A message's file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", file.display())]
pub struct Unreadable {
    file: PathBuf,
    source: std::io::Error,
}

/// Scans `files`, several at a time, and prints in their order what became of each, as text or as a JSON object a line.
pub async fn run(
    config: &Config,
    files: &[PathBuf],
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<Ended> {
    let assembly = Assembly::new(config, &mut Registry::default()).await?.unrecorded();
    let scanners = assembly.scanners();
    let (gate, running) = assembly.start(CancellationToken::new());
    let gate = match first_look(&gate, scanners.as_ref(), config).await {
        Ok(()) => gate,
        Err(causes) => {
            causes.iter().for_each(|cause| eprintln!("thundergate-milter: {}", legible(cause)));
            unwaiting(&gate, config)?
        }
    };
    let scanned = each(&gate, files, |file, inspection| match json {
        true => writeln!(out, "{}", terminal::json(&as_json(file, inspection), false)?),
        false => write_text(file, inspection, out),
    })
    .await;
    drop(gate);
    running.stop().await;
    scanned
}

/// Whether something scans: what stands behind the hub, or the scanners inside. Of what is behind Redis, it says itself that
/// nothing does.
///
/// # Errors
///
/// Why nothing can be scanned, and what to do.
async fn first_look(gate: &Gate, scanners: Option<&Scanners>, config: &Config) -> Result<(), Vec<String>> {
    let inside = async {
        match scanners {
            Some(scanners) => scanners.first_look(START_PATIENCE).await,
            None => Err(Vec::new()),
        }
    };
    if config.redis.is_none() {
        return inside.await;
    }
    let behind = async {
        let hub = &gate.resolver.hub;
        hub.probe().await.map_err(|trouble| trouble.reason)?;
        hub.outage().map_or(Ok(()), |reason| Err(format!("no scanner answers: {reason}")))
    };
    let Err(cause) = behind.await else { return Ok(()) };
    inside.await.map_err(|mut causes| {
        causes.insert(0, cause);
        causes
    })
}

/// The gate for messages that cannot be scanned: there is nothing to wait for.
fn unwaiting(gate: &Gate, config: &Config) -> anyhow::Result<Arc<Gate>> {
    let mut settings = config.of_messages();
    settings.wait.deadline = Duration::ZERO;
    Ok(Arc::new(gate.reconfigured(settings, Policy::compile(&config.policy)?)))
}

async fn each(
    gate: &Gate,
    files: &[PathBuf],
    mut print: impl FnMut(&Path, &Inspection) -> std::io::Result<()>,
) -> anyhow::Result<Ended> {
    let bar = bar(files.len());
    let inspected = stream::iter(files).map(async |file| {
        let message = message(gate, read(file)?);
        let envelope = Envelope { queue_id: file.display().to_string(), ..Envelope::default() };
        Ok::<_, Unreadable>((file, gate.inspect(&Client::default(), &envelope, message).await))
    });
    let mut inspected = std::pin::pin!(inspected.buffered(AT_A_TIME));
    let mut ended = Ended::Accepted;
    while let Some(next) = inspected.next().await {
        let (file, inspection) = next?;
        ended = ended.max(Ended::of(&inspection));
        bar.suspend(|| print(file, &inspection))?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(ended)
}

/// On stderr, where that is a terminal; nothing elsewhere, and for a single file.
fn bar(files: usize) -> ProgressBar {
    if files < 2 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} messages, {per_sec:0}, {eta} to go");
    ProgressBar::new(files as u64).with_style(style.expect("the template is one"))
}

/// The bytes in `file`; `-` is standard input.
///
/// # Errors
///
/// [`Unreadable`].
pub fn read(file: &Path) -> Result<Vec<u8>, Unreadable> {
    let mut bytes = Vec::new();
    let read = match file.as_os_str() == "-" {
        true => std::io::stdin().read_to_end(&mut bytes).map(|_| bytes),
        false => std::fs::read(file),
    };
    read.map_err(|source| Unreadable { file: file.to_owned(), source })
}

fn message(gate: &Gate, bytes: Vec<u8>) -> Message {
    let bytes = Bytes::from(bytes);
    let (size, mut share) = (bytes.len() as u64, gate.memory.share());
    let bytes = match bytes.len() {
        length if length > gate.message_bytes() => Err(Lost::Oversize),
        length if !share.take(length) => Err(Lost::Overload),
        _ => Ok(bytes),
    };
    Message { bytes, size, share, forged: Forged::default() }
}

impl Ended {
    fn of(inspection: &Inspection) -> Self {
        let impossible =
            |part: &Inspected| matches!(part.disposition, Disposition::Pending | Disposition::Failed(_));
        if inspection.parts.iter().any(impossible) {
            Self::Impossible
        } else if inspection.decision.action == Action::Accept {
            Self::Accepted
        } else {
            Self::Otherwise
        }
    }
}

fn as_json(file: &Path, inspection: &Inspection) -> serde_json::Value {
    let part = |part: &Inspected| {
        let findings = match &part.disposition {
            Disposition::Found(verdict) => verdict.findings.as_slice(),
            _ => &[],
        };
        serde_json::json!({
            "name": part.name,
            "type": part.media_type,
            "size_bytes": part.size,
            "digest": part.key.as_ref().map(|key| key.digest),
            "disposition": part.disposition.as_str(),
            "reason": part.disposition.reason(),
            "within": part.within,
            "container": part.container().as_str(),
            "unopened": part.unopened,
            "source": part.source.as_str(),
            "findings": findings,
        })
    };
    serde_json::json!({
        "file": file.display().to_string(),
        "decision": inspection.decision.action.as_str(),
        "cause": inspection.decision.cause.as_str(),
        "malformed": inspection.malformed.map(Malformed::as_str),
        "ambiguities": inspection.ambiguities,
        "parts": inspection.parts.iter().map(part).collect::<Vec<_>>(),
        "duration_ms": milliseconds(inspection.duration),
    })
}

fn write_text(file: &Path, inspection: &Inspection, out: &mut impl Write) -> std::io::Result<()> {
    let decision = inspection.decision;
    let name = file.display().to_string();
    writeln!(out, "{}: {} ({})", shown(&name), decision.action.as_str(), decision.cause.as_str())?;
    if let Some(malformed) = inspection.malformed {
        writeln!(out, "  malformed: {}", malformed.as_str())?;
    }
    if !inspection.ambiguities.is_empty() {
        writeln!(out, "  ambiguous: {}", Ambiguity::list(&inspection.ambiguities))?;
    }
    inspection.parts.iter().try_for_each(|part| write_part(part, out))
}

fn write_part(part: &Inspected, out: &mut impl Write) -> std::io::Result<()> {
    let digest = part.key.as_ref().map_or("-".to_owned(), |key| key.digest.to_string());
    let remark =
        part.disposition.reason().or(part.container().as_str()).or(part.unopened.and(Some("unopened")));
    let reason = remark.map(|remark| format!(" ({})", shown(remark))).unwrap_or_default();
    writeln!(
        out,
        "  {:8}{reason} {} {} {} bytes {digest}",
        part.disposition.as_str(),
        shown(part.name.as_deref().unwrap_or("-")),
        shown(&part.media_type),
        part.size
    )?;
    let Disposition::Found(verdict) = &part.disposition else { return Ok(()) };
    for finding in &verdict.findings {
        let rule = |rule: &Rule| format!("{} {}", shown(&rule.name), rule.subscore);
        writeln!(
            out,
            "           {} {} {}: {}",
            shown(&finding.level),
            finding.score,
            shown(&finding.message),
            finding.rules.iter().map(rule).collect::<Vec<_>>().join(", ")
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use thundergate_common::verdict::{Finding, Verdict};
    use thundergate_policy::Failure;
    use thundergate_policy::{Cause, Decision, Source};

    #[test]
    fn nothing_that_sender_or_scanner_wrote_reaches_the_terminal_as_it_is() {
        let hostile = "\u{1b}]0;x\u{7}a\u{202e}fdp.exe\r\n\u{9b}2J".to_owned();
        let rule = Rule { name: hostile.clone(), subscore: 95, ..Rule::default() };
        let (level, message) = (hostile.clone(), hostile.clone());
        let finding = Finding { level, message, score: 95, rules: vec![rule], ..Finding::default() };
        let verdict = Verdict { findings: vec![finding], ..Verdict::default() };
        let part = Inspected {
            verdict: None,
            name: Some(hostile.clone()),
            within: None,
            unopened: None,
            media_type: hostile.clone(),
            size: 1,
            key: None,
            disposition: Disposition::Found(Arc::new(verdict)),
            source: Source::Scan,
        };
        let failed = Disposition::Failed(Failure::Scan(hostile.clone()));
        let parts = vec![Inspected { disposition: failed, ..part.clone() }, part];
        let decision = Decision { action: Action::Quarantine, cause: Cause::Found };
        let inspection = Inspection { parts, ..Inspection::of(decision) };
        let mut text = Vec::new();
        write_text(Path::new(&hostile), &inspection, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.chars().all(|c| c.is_ascii_graphic() || matches!(c, ' ' | '\n')), "{text:?}");
        assert_eq!((text.lines().count(), text.matches("fdp.exe").count()), (4, 9), "{text}");
        let json = terminal::json(&as_json(Path::new(&hostile), &inspection), false).unwrap();
        assert!(json.chars().all(|c| c.is_ascii_graphic()), "{json:?}");
    }
}
