// SPDX-License-Identifier: GPL-3.0-or-later
//! What the fuzz targets for the scanner's answers call (`tests/fuzz/`), and the unit test with all that fuzzing brought
//! to light. Built for tests and for fuzzing only.

use super::{
    facts::{self, Info, Progress},
    shapes,
};
use std::{sync::Arc, time::SystemTime};
use thundergate_common::{
    digest::Digest,
    licence,
    sample::{NameHint, SampleKey},
    verdict::{Finding, Rule, Verdict},
};

/// An entry that says nothing takes this much when it is stored, at most.
const EMPTY_RULE: usize = 400;

/// The answer to each call; whatever it is, nothing in it is kept that has no bound.
pub fn answers(data: &[u8]) {
    let sample = SampleKey { digest: Digest::of(b""), hint: NameHint::None };
    let later = facts::progress(data);
    if let Ok(Progress::Failed(words)) = &later {
        assert_short(words);
    }
    if let Ok(ticket) = facts::ticket(data) {
        assert_short(&ticket);
    }
    if let Some(info) = Info::read(data) {
        [info.thor, info.signatures, info.licence_ends].iter().flatten().for_each(|text| assert_short(text));
        assert_ne!(info.threads, Some(0));
    }
    let later = match &later {
        Ok(Progress::Done(result)) => shapes::findings(result, &sample).ok(),
        _ => None,
    };
    for findings in shapes::parse(data, &sample).ok().into_iter().chain(later) {
        assert_bounded(&findings);
        assert_stored(findings, data.len());
    }
}

/// What an instance says of itself; whatever it is, what is made of it is bounded and means something or nothing.
pub fn info(data: &[u8]) {
    let Some(info) = Info::read(data) else { return };
    let texts = [&info.thor, &info.signatures, &info.licence_ends];
    texts.into_iter().flatten().for_each(|text| assert_short(text));
    assert_ne!(info.threads, Some(0));
    for words in texts.into_iter().flatten() {
        let (ends, left) = (licence::ends(words), licence::days_left(words, SystemTime::UNIX_EPOCH));
        assert!(ends.is_some() || left.is_none(), "days without an end: {words}");
    }
}

fn assert_bounded(findings: &[Finding]) {
    assert!(findings.len() <= 64);
    for finding in findings {
        let file = &finding.file;
        let texts = [&finding.level, &finding.module, &finding.message, &file.name, &file.extension];
        let more = [&file.kind, &file.first_bytes, &file.md5, &file.sha1, &file.sha256];
        texts.iter().chain(&more).for_each(|text| assert_short(text));
        assert!(!finding.level.is_empty() && !finding.message.is_empty());
        assert!(finding.rules.len() <= 128 && finding.rules.len() as u64 <= finding.rules_total);
        finding.rules.iter().for_each(assert_rule);
    }
}

fn assert_rule(rule: &Rule) {
    let texts = [&rule.name, &rule.reason, &rule.author, &rule.reference, &rule.date, &rule.class];
    texts.iter().for_each(|text| assert_short(text));
    assert_short(&rule.origin);
    assert!(rule.tags.len() <= 32 && rule.matched.len() <= 32);
    rule.tags.iter().chain(&rule.matched).for_each(|text| assert_short(text));
}

/// The verdict comes out of its wire form as it went in, and takes hardly more than the answer it is made of.
fn assert_stored(findings: Vec<Finding>, answer: usize) {
    let rules: usize = findings.iter().map(|finding| 2 + finding.rules.len()).sum();
    let verdict = Arc::new(Verdict { findings, ..Verdict::default() });
    let wire = verdict.encode();
    assert!(wire.len() <= 2 * answer + EMPTY_RULE * (1 + rules), "{} bytes of {answer}", wire.len());
    assert_eq!(Verdict::decode(&wire).as_ref(), Some(&*verdict));
}

fn assert_short(text: &str) {
    assert!(text.len() <= 1024, "{} bytes", text.len());
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// How many files there were in `folder` of the fuzz targets' inputs.
    fn replay(folder: &str, target: fn(&[u8])) -> usize {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz").join(folder);
        let Ok(files) = fs::read_dir(folder) else { return 0 };
        let files = files.map(|file| file.expect("a folder of this repository").path());
        files
            .inspect(|file| {
                println!("{}", file.display()); // the last line that a failing test prints
                target(&fs::read(file).expect("a file of this repository"));
            })
            .count()
    }

    #[test]
    fn answers() {
        assert!(replay("corpus/answers", super::answers) > 0, "no corpus for answers");
        replay("regressions/answers", super::answers);
    }

    #[test]
    fn info() {
        assert!(replay("corpus/info", super::info) > 0, "no corpus for info");
        replay("regressions/info", super::info);
    }
}
