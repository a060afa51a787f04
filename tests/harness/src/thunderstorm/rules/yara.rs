// SPDX-License-Identifier: GPL-3.0-or-later
//! YARA rules of others, by an engine that takes long to compile: hence the feature.

use super::{Match, extension, file_type, printable, split};
use boreal::{Metadata, MetadataValue, Scanner, compiler::CompilerBuilder, scanner::ScanParams};

const DEFAULT_SUBSCORE: u32 = 75;
const VARIABLES: [&str; 5] = ["filename", "extension", "filepath", "filetype", "owner"];

/// Compiled rules.
#[derive(Clone)]
pub(super) struct Compiled(Scanner);

impl Compiled {
    pub fn of(source: &str) -> anyhow::Result<Self> {
        let mut compiler = CompilerBuilder::new().build();
        for name in VARIABLES {
            compiler.define_symbol(name, "");
        }
        compiler.add_rules_str(source).map_err(|error| anyhow::anyhow!("{error}"))?;
        let mut scanner = compiler.finalize();
        scanner.set_scan_params(ScanParams::default().compute_full_matches(true).match_max_length(64));
        Ok(Self(scanner))
    }

    pub fn matches(&self, bytes: &[u8], path: &str) -> Vec<Match> {
        let mut scanner = self.0.clone();
        let (filename, directory) = split(path);
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
