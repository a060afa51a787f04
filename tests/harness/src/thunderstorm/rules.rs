// SPDX-License-Identifier: GPL-3.0-or-later
//! Matching: rules over bytes and a file name, and the score that THOR 10.7 would make of what matched.
//!
//! The stand-in's own rules are a table in [`own`], so that nobody needs an engine for them. With the feature `yara` it
//! takes YARA rules of others too, which see THOR's external variables; their meta entries `score`, `description`,
//! `author`, `reference` and `date` and their tags go into the answer. A rule without a score counts 75, as in THOR.

mod own;
#[cfg(feature = "yara")]
mod yara;

/// The score below which THOR reports nothing.
const REPORTED_FROM: u32 = 40;

/// Rules, ready to match.
#[derive(Clone)]
pub struct Rules(Engine);

#[derive(Clone)]
enum Engine {
    Own,
    #[cfg(feature = "yara")]
    Yara(yara::Compiled),
}

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
    /// The rules of the stand-in itself.
    pub fn own() -> Self {
        Self(Engine::Own)
    }

    /// YARA rules of somebody else.
    ///
    /// # Errors
    /// They are no YARA rules, or this build has no engine for them (feature `yara`).
    #[cfg(feature = "yara")]
    pub fn compile(source: &str) -> anyhow::Result<Self> {
        Ok(Self(Engine::Yara(yara::Compiled::of(source)?)))
    }

    /// YARA rules of somebody else, for which this build has no engine.
    ///
    /// # Errors
    /// Always: the feature `yara` has the engine.
    #[cfg(not(feature = "yara"))]
    pub fn compile(_: &str) -> anyhow::Result<Self> {
        anyhow::bail!("this stand-in was built without the feature `yara` and knows its own rules only")
    }

    /// What matches in `bytes` under `path`, if it is enough for a report.
    pub fn assess(&self, bytes: &[u8], path: &str) -> Option<Assessment> {
        assessment(match &self.0 {
            Engine::Own => own::matches(bytes, path),
            #[cfg(feature = "yara")]
            Engine::Yara(compiled) => compiled.matches(bytes, path),
        })
    }
}

/// The name of a file without its directory, and the directory.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once(['/', '\\']).map_or((path, ""), |(directory, name)| (name, directory))
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
