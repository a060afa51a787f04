// SPDX-License-Identifier: GPL-3.0-or-later
//! Matching: YARA rules over bytes and a file name, and the score that THOR 10.7 would make of what matched.
//!
//! Rules see THOR's external variables; their meta entries `score`, `description`, `author`, `reference` and `date` and
//! their tags go into the answer. A rule without a score counts 75, as in THOR.

use boreal::{Metadata, MetadataValue, Scanner, compiler::CompilerBuilder, scanner::ScanParams};

/// The score below which THOR reports nothing.
const REPORTED_FROM: u32 = 40;
const DEFAULT_SUBSCORE: u32 = 75;
const OWN_RULES: &str = include_str!("rules.yar");
const VARIABLES: [&str; 5] = ["filename", "extension", "filepath", "filetype", "owner"];

/// Compiled rules.
#[derive(Clone)]
pub struct Rules(Scanner);

/// One rule that matched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Match {
    /// The rule's name.
    pub rule: String,
    /// Its score.
    pub subscore: u32,
    /// Its description.
    pub description: String,
    /// Its author.
    pub author: String,
    /// Its reference.
    pub reference: String,
    /// Its date, `2026-11-01`.
    pub date: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// The strings it found, with their offsets; empty for rules without strings.
    pub strings: Vec<(u64, String)>,
}

/// What THOR would report of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// `Notice`, `Warning` or `Alert`.
    pub level: &'static str,
    /// The scores of all matches combined, 40 to 100.
    pub score: u32,
    /// The strongest first.
    pub matches: Vec<Match>,
}

impl Rules {
    /// The rules in `rules.yar`.
    pub fn own() -> Self {
        Self::compile(OWN_RULES).expect("the stand-in's own rules compile")
    }

    /// Rules of somebody else.
    pub fn compile(source: &str) -> anyhow::Result<Self> {
        let mut compiler = CompilerBuilder::new().build();
        for name in VARIABLES {
            compiler.define_symbol(name, "");
        }
        compiler.add_rules_str(source).map_err(|error| anyhow::anyhow!("{error}"))?;
        let mut scanner = compiler.finalize();
        scanner.set_scan_params(ScanParams::default().compute_full_matches(true).match_max_length(64));
        Ok(Self(scanner))
    }

    /// What matches in `bytes` under `path`, if it is enough for a report.
    pub fn assess(&self, bytes: &[u8], path: &str) -> Option<Assessment> {
        assessment(self.matches(bytes, path))
    }

    fn matches(&self, bytes: &[u8], path: &str) -> Vec<Match> {
        let mut scanner = self.0.clone();
        let (directory, filename) = path.rsplit_once(['/', '\\']).unwrap_or(("", path));
        let values = [filename, &extension(filename), directory, file_type(bytes), ""];
        for (name, value) in VARIABLES.into_iter().zip(values) {
            scanner.define_symbol(name, value).expect("the variable was defined as a string");
        }
        let result = match scanner.scan_mem(bytes) {
            Ok(result) => result,
            Err((error, partial)) => {
                tracing::warn!(%error, "a rule could not be evaluated");
                partial
            }
        };
        result.rules.iter().map(|rule| matched(&scanner, rule)).collect()
    }
}

/// The last extension of a name, in lower case and with its dot.
pub fn extension(name: &str) -> String {
    name.rsplit_once('.').map(|(_, extension)| format!(".{}", extension.to_lowercase())).unwrap_or_default()
}

/// The type of a file by its first bytes, as THOR calls it.
pub fn file_type(bytes: &[u8]) -> &'static str {
    const MAGIC: [(&[u8], &str); 8] = [
        (b"MZ", "EXE"),
        (b"\x7fELF", "ELF"),
        (b"%PDF", "PDF"),
        (b"PK\x03\x04", "ZIP"),
        (b"\xd0\xcf\x11\xe0", "OLE"),
        (b"{\\rtf", "RTF"),
        (b"<?php", "PHP"),
        (b"Rar!", "RAR"),
    ];
    MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)).map_or("UNKNOWN", |(_, name)| name)
}

fn matched(scanner: &Scanner, rule: &boreal::scanner::EvaluatedRule<'_>) -> Match {
    let text = |name: &str| match meta(scanner, rule.metadatas, name) {
        Some(MetadataValue::Bytes(text)) => {
            String::from_utf8_lossy(scanner.get_bytes_symbol(text)).into_owned()
        }
        _ => String::new(),
    };
    let subscore = match meta(scanner, rule.metadatas, "score") {
        Some(MetadataValue::Integer(score)) => u32::try_from(score).unwrap_or(0).min(100),
        _ => DEFAULT_SUBSCORE,
    };
    let found = rule.matches.iter().flat_map(|string| string.matches.first());
    Match {
        rule: rule.name.to_owned(),
        subscore,
        description: text("description"),
        author: text("author"),
        reference: text("reference"),
        date: text("date"),
        tags: rule.tags.iter().map(|tag| scanner.get_string_symbol(*tag).to_owned()).collect(),
        strings: found.map(|at| (at.offset as u64, printable(&at.data))).collect(),
    }
}

fn meta(scanner: &Scanner, entries: &[Metadata], name: &str) -> Option<MetadataValue> {
    entries.iter().find(|entry| scanner.get_string_symbol(entry.name) == name).map(|entry| entry.value)
}

/// ASCII with everything else as dots.
pub(super) fn printable(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| if (b' '..=b'~').contains(&b) { char::from(b) } else { '.' }).collect()
}

fn assessment(mut matches: Vec<Match>) -> Option<Assessment> {
    matches.sort_by(|a, b| b.subscore.cmp(&a.subscore).then_with(|| a.rule.cmp(&b.rule)));
    let subscores: Vec<u32> = matches.iter().map(|found| found.subscore).collect();
    let score = combined(&subscores);
    let strongest = subscores.first().copied().unwrap_or_default();
    let level = match score {
        81.. if strongest > 75 => "Alert",
        60.. => "Warning",
        REPORTED_FROM.. => "Notice",
        _ => return None,
    };
    Some(Assessment { level, score, matches })
}

/// `100 * (1 - Π (1 - sᵢ / 100 / 2ⁱ))` over the scores in descending order (THOR manual, "Scoring System", since 10.7).
fn combined(descending: &[u32]) -> u32 {
    let left: f64 =
        (0_i32..).zip(descending).map(|(i, &s)| 1.0 - f64::from(s) / 100.0 / 2_f64.powi(i)).product();
    (100.0 * (1.0 - left)).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_combine_as_in_thor_10_7() {
        assert_eq!(combined(&[]), 0);
        assert_eq!(combined(&[60]), 60);
        assert_eq!(combined(&[75, 65]), 83); // 1 - 0.25 * 0.675
        assert_eq!(combined(&[95, 92]), 97); // 1 - 0.05 * 0.54
        assert_eq!(combined(&[100, 100, 100]), 100);
    }

    #[test]
    fn many_weak_matches_make_no_alert() {
        let weak = Match { subscore: 75, ..Match::default() };
        let report = assessment(vec![weak; 4]).unwrap();
        assert!(report.score > 80);
        assert_eq!(report.level, "Warning");
    }

    #[test]
    fn the_name_alone_can_make_a_file_suspicious() {
        let rules = Rules::own();
        let program = b"MZ\x90\x00 not a real program";
        assert_eq!(rules.assess(program, "setup.exe"), None);
        let report = rules.assess(program, "C:\\mail\\invoice.PDF").unwrap();
        assert_eq!((report.level, report.score), ("Warning", 70));
        assert_eq!(report.matches[0].rule, "SUSP_Executable_Under_Document_Name");
        assert_eq!(rules.assess(b"", "invoice.pdf.exe").unwrap().matches[0].rule, "SUSP_Double_Extension");
    }

    #[test]
    fn a_rule_that_does_not_compile_is_an_error() {
        assert!(Rules::compile("rule broken { condition: nonsense }").is_err());
    }
}
