// SPDX-License-Identifier: GPL-3.0-or-later
//! The rules of the stand-in. They recognise test files and little else: nobody is protected by them.
//!
//! `own.yar` says the same in YARA, as an example for those who bring their own; a test with the feature `yara` compares.

use super::{Match, extension, printable, split};
use aho_corasick::AhoCorasick;
use std::sync::LazyLock;

/// A rule: what it is called, the texts that it looks for, and whether it holds.
struct Rule {
    name: &'static str,
    tags: &'static [&'static str],
    description: &'static str,
    reference: &'static str,
    score: u32,
    texts: &'static [Text],
    holds: fn(&File<'_>) -> bool,
}

/// A text that a rule looks for.
enum Text {
    /// As it is.
    Exact(&'static [u8]),
    /// In any case, as ASCII and as UTF-16.
    AnyCase(&'static str),
}

/// A file, and where it has each text of a rule: the first place of each.
struct File<'a> {
    bytes: &'a [u8],
    name: &'a str,
    found: Vec<Option<Place>>,
}

/// Where a text is: its offset, and its end.
type Place = (usize, usize);

/// The beginning of the EICAR test file, as numbers, so that no scanner reports this repository.
const EICAR: &[u8] = &[
    0x58, 0x35, 0x4f, 0x21, 0x50, 0x25, 0x40, 0x41, 0x50, 0x5b, 0x34, 0x5c, 0x50, 0x5a, 0x58, 0x35,
    0x34, //
    0x28, 0x50, 0x5e, 0x29, 0x37, 0x43, 0x43, 0x29, 0x37, 0x7d, 0x24, 0x45, 0x49, 0x43, 0x41, 0x52,
];
/// The EICAR test file begins with its text, or nearly.
const EICAR_WITHIN: usize = 128;
/// How many texts of the rule about macros say that they run by themselves; the others start programs.
const OPENERS: usize = 3;
const DOCUMENTS: [&str; 15] = [
    ".pdf", ".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx", ".txt", ".rtf", ".jpg", ".jpeg", ".png",
    ".gif", ".htm", ".html",
];
const HIDING: [&str; 9] = [".pdf", ".doc", ".docx", ".xls", ".xlsx", ".txt", ".jpg", ".jpeg", ".png"];
const PROGRAMS: [&str; 8] = ["exe", "scr", "com", "bat", "cmd", "js", "vbs", "lnk"];
const OURS: &str = "tests/README.md";

static RULES: [Rule; 8] = [
    Rule {
        name: "EICAR_Test_File",
        tags: &["EICAR", "TEST"],
        description: "The EICAR anti-malware test file",
        reference: "https://www.eicar.org/download-anti-malware-testfile/",
        score: 100,
        texts: &[Text::Exact(EICAR)],
        holds: |file| file.found[0].is_some_and(|(offset, _)| offset <= EICAR_WITHIN),
    },
    Rule {
        name: "SUSP_VBA_AutoOpen_Shell",
        tags: &["MACRO", "SUSP", "T1059_005"],
        description: "A macro that runs when a document opens and starts a program",
        reference: "https://attack.mitre.org/techniques/T1059/005/",
        score: 75,
        texts: &[
            Text::AnyCase("AutoOpen"),
            Text::AnyCase("Document_Open"),
            Text::AnyCase("Workbook_Open"),
            Text::AnyCase("WScript.Shell"),
            Text::AnyCase("Shell("),
            Text::AnyCase("powershell"),
        ],
        holds: |file| {
            let (opens, runs) = file.found.split_at(OPENERS);
            opens.iter().any(Option::is_some) && runs.iter().any(Option::is_some)
        },
    },
    Rule {
        name: "SUSP_Executable_Under_Document_Name",
        tags: &["EXE", "NAME", "T1036_008"],
        description: "A Windows executable whose name claims to be a document or a picture",
        reference: "https://attack.mitre.org/techniques/T1036/008/",
        score: 70,
        texts: &[],
        holds: |file| file.bytes.starts_with(b"MZ") && DOCUMENTS.contains(&&*extension(file.name)),
    },
    Rule {
        name: "SUSP_Double_Extension",
        tags: &["NAME", "T1036_007"],
        description: "A file name that hides a program's extension behind a document's",
        reference: "https://attack.mitre.org/techniques/T1036/007/",
        score: 65,
        texts: &[],
        holds: |file| has_double_extension(file.name),
    },
    marker(
        "Test_Marker_Suspicious",
        "A marker of our own tests with a score in the middle",
        60,
        &[Text::Exact(b"THUNDERGATE-TEST-SUSPICIOUS")],
    ),
    marker(
        "Test_Marker_Low",
        "A marker of our own tests that is only just reported",
        45,
        &[Text::Exact(b"THUNDERGATE-TEST-LOW")],
    ),
    marker(
        "Test_Marker_Strong_One",
        "A marker of our own tests with a high score",
        95,
        &[Text::Exact(b"THUNDERGATE-TEST-STRONG-1")],
    ),
    marker(
        "Test_Marker_Strong_Two",
        "A second marker with a high score, for files with two strong matches",
        92,
        &[Text::Exact(b"THUNDERGATE-TEST-STRONG-2")],
    ),
];

const fn marker(name: &'static str, description: &'static str, score: u32, texts: &'static [Text]) -> Rule {
    let holds = |file: &File<'_>| file.found[0].is_some();
    Rule { name, tags: &["TEST"], description, reference: OURS, score, texts, holds }
}

/// One pass over a file finds the texts of all rules.
struct Search {
    automaton: AhoCorasick,
    /// Of each pattern: its rule, its text within it, and how it is spelt if that matters.
    patterns: Vec<(usize, usize, Option<&'static [u8]>)>,
}

static SEARCH: LazyLock<Search> = LazyLock::new(|| {
    let (mut spelt, mut patterns) = (Vec::new(), Vec::new());
    for (rule, texts) in RULES.iter().map(|rule| rule.texts).enumerate() {
        for (text, wanted) in texts.iter().enumerate() {
            match wanted {
                Text::Exact(bytes) => {
                    spelt.push(bytes.to_vec());
                    patterns.push((rule, text, Some(*bytes)));
                }
                Text::AnyCase(ascii) => {
                    spelt.push(ascii.as_bytes().to_vec());
                    spelt.push(ascii.bytes().flat_map(|byte| [byte, 0]).collect());
                    patterns.extend([(rule, text, None); 2]);
                }
            }
        }
    }
    let automaton = AhoCorasick::builder().ascii_case_insensitive(true).build(spelt);
    Search { automaton: automaton.expect("the patterns are few and short"), patterns }
});

/// The rules that hold for `bytes` under `path`.
pub(super) fn matches(bytes: &[u8], path: &str) -> Vec<Match> {
    let (name, _) = split(path);
    let found = SEARCH.places(bytes);
    RULES.iter().zip(found).filter_map(|(rule, found)| rule.matched(&File { bytes, name, found })).collect()
}

impl Search {
    /// The first place of every text, by rule.
    fn places(&self, bytes: &[u8]) -> Vec<Vec<Option<Place>>> {
        let mut places: Vec<_> = RULES.iter().map(|rule| vec![None; rule.texts.len()]).collect();
        for found in self.automaton.find_overlapping_iter(bytes) {
            let (rule, text, spelt) = self.patterns[found.pattern().as_usize()];
            if spelt.is_some_and(|spelt| spelt != &bytes[found.range()]) {
                continue;
            }
            let (first, place) = (&mut places[rule][text], (found.start(), found.end()));
            if first.is_none_or(|first| place < first) {
                *first = Some(place);
            }
        }
        places
    }
}

impl Rule {
    fn matched(&self, file: &File<'_>) -> Option<Match> {
        let shown = |&(offset, end): &Place| (offset as u64, printable(&file.bytes[offset..end]));
        (self.holds)(file).then(|| Match {
            rule: self.name.to_owned(),
            subscore: self.score,
            description: self.description.to_owned(),
            author: "thundergate".to_owned(),
            reference: self.reference.to_owned(),
            date: "2026-11-01".to_owned(),
            tags: self.tags.iter().map(|&tag| tag.to_owned()).collect(),
            strings: file.found.iter().flatten().map(shown).collect(),
        })
    }
}

/// `invoice.pdf.exe`, with blanks, underscores and dots in between or not.
fn has_double_extension(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let Some((before, extension)) = name.rsplit_once('.') else { return false };
    let before = before.trim_end_matches([' ', '_', '.']);
    PROGRAMS.contains(&extension) && HIDING.iter().any(|hiding| before.ends_with(hiding))
}

#[cfg(all(test, feature = "yara"))]
mod tests {
    use super::super::Rules;
    use crate::mails::{eicar, noise};

    #[test]
    fn the_same_rules_in_yara_say_the_same() {
        let yara = Rules::compile(include_str!("own.yar")).unwrap();
        let wide = |text: &str| text.bytes().flat_map(|byte| [byte, 0]).collect::<Vec<_>>();
        let mut late = vec![b' '; 128];
        late.extend(eicar());
        let mut too_late = vec![b' '; 129];
        too_late.extend(eicar());
        let files: Vec<Vec<u8>> = vec![
            Vec::new(),
            noise(1, 10_000),
            eicar(),
            eicar().to_ascii_lowercase(),
            late,
            too_late,
            b"MZ\x90\x00 not a real program".to_vec(),
            b"xMZ".to_vec(),
            b"Sub autoopen() CreateObject(\"wscript.SHELL\").Run Shell(\"POWERSHELL\")".to_vec(),
            b"Sub AutoOpen() : nothing".to_vec(),
            b"Shell(\"powershell\") Shell(\"powershell\")".to_vec(),
            [wide("Document_OPEN"), b"Document_Open Shell(".to_vec(), wide("shell(")].concat(),
            b"THUNDERGATE-TEST-LOW THUNDERGATE-TEST-LOW".to_vec(),
            b"thundergate-test-low THUNDERGATE-TEST-SUSPICIOUS".to_vec(),
            b"THUNDERGATE-TEST-STRONG-2, THUNDERGATE-TEST-STRONG-1".to_vec(),
        ];
        let names = [
            "",
            "a",
            "a.pdf",
            "/x/y.PDF",
            "C:\\mail\\a.docx",
            "a.doc",
            "a.html",
            "a.htm",
            "a.docm",
            "a.pdf.exe",
            "a.PDF . _ ..ExE",
            "a.pdf.pdf",
            "pdf.exe",
            "a.pdfx.exe",
            "a.jpeg_.lnk",
            "a.rtf.exe",
            ".pdf.js",
            "a.pdf.exe ",
            "b.pdf/a.exe",
            "a.",
            "ä.png.scr",
        ];
        for bytes in &files {
            for name in names {
                let (own, yara) = (Rules::own().assess(bytes, name), yara.assess(bytes, name));
                assert_eq!(own, yara, "{name:?} with {:?}", String::from_utf8_lossy(bytes));
            }
        }
    }
}
