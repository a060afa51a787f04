// SPDX-License-Identifier: GPL-3.0-or-later
//! The table in `deploy/mime-ambiguity.md`: how many variants of each technique there are, and who finds them.
//!
//! `UPDATE=1 cargo test -p thundergate-extract --test techniques` writes it; otherwise it is compared. That all variants
//! are found by us is what the tests of the rows say, so it is counted only where the table is written.

use super::{ROWS, Row, message::Variant, missed, readers};
use std::fs;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/mime-ambiguity.md");
const START: &str =
    "<!-- The table is written by `UPDATE=1 cargo test -p thundergate-extract --test techniques`. -->\n";
const END: &str = "<!-- End of the table. -->\n";

/// One line of the table.
struct Line {
    technique: String,
    variants: usize,
    mail_parser: usize,
    python: Option<usize>,
    ours: usize,
}

impl Line {
    fn written(&self) -> String {
        let Self { technique, variants, mail_parser, ours, .. } = self;
        let python = self.python.map_or("-".to_owned(), |found| found.to_string());
        format!("| {technique} | {variants} | {mail_parser} | {python} | {ours} |\n")
    }
}

/// `T5` and what is done.
fn technique(row: &Row) -> String {
    let name = row.name.split('_').next().unwrap_or_default();
    let (letters, number) = name.split_at(name.find(|letter: char| letter.is_ascii_digit()).unwrap_or(0));
    format!("{}{} | {}", letters.to_uppercase(), number.trim_start_matches('0'), row.what)
}

fn lines(groups: &[Vec<Variant>], python: Option<&[usize]>, count: bool) -> Vec<Line> {
    let line = |(index, (row, variants)): (usize, (&Row, &Vec<Variant>))| Line {
        technique: technique(row),
        variants: variants.len(),
        mail_parser: variants.iter().filter(|variant| readers::mail_parser_finds(variant)).count(),
        python: python.map(|counts| counts[index]),
        ours: if count {
            variants.iter().filter(|variant| missed(variant).is_none()).count()
        } else {
            variants.len()
        },
    };
    let mut lines: Vec<_> = ROWS.iter().zip(groups).enumerate().map(line).collect();
    let sum = |of: fn(&Line) -> usize| lines.iter().map(of).sum();
    let total = Line {
        technique: " | All".into(),
        variants: sum(|line| line.variants),
        mail_parser: sum(|line| line.mail_parser),
        python: python.map(|counts| counts.iter().sum()),
        ours: sum(|line| line.ours),
    };
    lines.push(total);
    lines
}

#[test]
fn the_table_for_operators_is_up_to_date() {
    let file = fs::read_to_string(FILE).expect("the table is there");
    let (before, rest) = file.split_once(START).expect("the table has a start");
    let (table, after) = rest.split_once(END).expect("the table has an end");
    let groups: Vec<_> = ROWS.iter().map(Row::variants).collect();
    let update = std::env::var_os("UPDATE").is_some();
    let (version, python) = readers::python_finds(&groups).unzip();
    let heading = format!("Python {}", version.as_deref().unwrap_or("3"));
    // Another Python finds other variants.
    let python = python.filter(|_| update || table.contains(&format!("| {heading} |")));
    let lines = lines(&groups, python.as_deref(), update);
    if update {
        let head = format!(
            "| | what is done | variants | mail-parser | {heading} | thundergate |\n|---|---|--:|--:|--:|--:|\n"
        );
        let table: String = lines.iter().map(Line::written).collect();
        fs::write(FILE, format!("{before}{START}\n{head}{table}\n{END}{after}"))
            .expect("the table can be written");
        return;
    }
    let known: Vec<_> = table.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    assert_eq!(known.len(), lines.len(), "rows came or went: run with UPDATE=1");
    for (mut line, known) in lines.into_iter().zip(known) {
        line.python = line.python.or_else(|| known.split('|').nth(5)?.trim().parse().ok());
        assert_eq!(line.written().trim(), known, "run with UPDATE=1");
    }
}
