// SPDX-License-Identifier: GPL-3.0-or-later
//! Tables: columns as wide as what stands in them, no borders. On a terminal cells wrap at its width; anywhere else every
//! row is one line with whole values, for `grep` and `awk`.
//!
//! Cells are escaped: names, addresses and reasons come from mails, scanners and Redis.

use super::print::{say_all, width};
use comfy_table::{ColumnConstraint, ContentArrangement, LineStyle, TableStyle};
use thundergate_common::terminal::readable;

/// Stands between rows until the lines below a row are put there. No cell has it: they are escaped.
const BETWEEN: char = '\u{1}';
/// Columns are so far from each other, beside the blank that stands for a border.
const GAP: u16 = 1;
/// What stands below a row is indented so far.
const INDENT: &str = "    ";

/// A table.
pub(crate) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Row>,
    whole: Vec<&'static str>,
    last_is_long: bool,
}

struct Row {
    cells: Vec<String>,
    below: Vec<String>,
}

impl Table {
    /// With these columns.
    pub(crate) fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new(), whole: Vec::new(), last_is_long: false }
    }

    /// These columns never wrap: somebody copies what stands there.
    pub(crate) fn whole(mut self, columns: &[&'static str]) -> Self {
        self.whole = columns.to_vec();
        self
    }

    /// On a terminal, what stands in the last column has a line of its own below the row.
    pub(crate) fn last_is_long(mut self) -> Self {
        self.last_is_long = true;
        self
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.row_with(cells, []);
    }

    /// Adds a row with lines below it.
    pub(crate) fn row_with(
        &mut self,
        cells: impl IntoIterator<Item = String>,
        below: impl IntoIterator<Item = String>,
    ) {
        let cells: Vec<_> = cells.into_iter().map(|cell| readable(&cell)).collect();
        debug_assert_eq!(cells.len(), self.head.len(), "a cell a column");
        let below = below.into_iter().map(|line| format!("{INDENT}{}", readable(&line))).collect();
        self.rows.push(Row { cells, below });
    }

    /// Prints it.
    pub(crate) fn print(&self) {
        say_all(&self.lines(width()));
    }

    /// Its lines for a terminal of so many columns; for anything else where there is none.
    pub(crate) fn lines(&self, width: Option<u16>) -> Vec<String> {
        let splits = self.last_is_long && width.is_some();
        let columns = self.head.len() - usize::from(splits);
        let mut table = comfy_table::Table::new();
        table.load_style(TableStyle::new().row_separator(LineStyle::none().fill(BETWEEN).junction(BETWEEN)));
        table.set_header(&self.head[..columns]);
        table.add_rows(self.rows.iter().map(|row| &row.cells[..columns]));
        match width {
            Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        for (column, name) in table.column_iter_mut().zip(&self.head) {
            column.set_padding((0, GAP));
            if self.whole.contains(name) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        let long = |row: &Row| row.cells.last().filter(|_| splits).map(|cell| format!("{INDENT}{cell}"));
        let mut below = self.rows.iter().map(|row| long(row).into_iter().chain(row.below.iter().cloned()));
        let mut lines = Vec::new();
        for line in table.lines() {
            if line.starts_with(BETWEEN) {
                lines.extend(below.next().into_iter().flatten());
            } else {
                lines.push(line.trim_end().to_owned());
            }
        }
        lines.extend(below.next().into_iter().flatten());
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells<const N: usize>(cells: [&str; N]) -> [String; N] {
        cells.map(str::to_owned)
    }

    fn two() -> Table {
        let mut table = Table::new(&["NAME", "REASON", "SAMPLE"]).whole(&["NAME"]).last_is_long();
        table.row(cells(["界界.pdf", "it is said that it answered four hundred", "aaaa"]));
        table.row_with(cells(["b.pdf", "-", "bbbb"]), cells(["and one more thing"]));
        table
    }

    #[test]
    fn what_is_no_terminal_gets_whole_values_in_columns() {
        assert_eq!(
            two().lines(None),
            [
                "NAME      REASON                                    SAMPLE",
                "界界.pdf  it is said that it answered four hundred  aaaa",
                "b.pdf     -                                         bbbb",
                "    and one more thing",
            ]
        );
    }

    #[test]
    fn a_terminal_gets_lines_that_fit() {
        assert_eq!(
            two().lines(Some(30)),
            [
                "NAME      REASON",
                "界界.pdf  it is said that it",
                "          answered four",
                "          hundred",
                "    aaaa",
                "b.pdf     -",
                "    bbbb",
                "    and one more thing",
            ]
        );
    }

    #[test]
    fn nothing_that_others_wrote_reaches_the_terminal_as_it_is() {
        let hostile = "\u{1b}]0;x\u{7}a\u{202e}fdp.exe\r\n\u{9b}2J\u{1}";
        let mut table = Table::new(&["A"]);
        table.row_with(cells([hostile]), cells([hostile]));
        for width in [None, Some(200)] {
            let lines = table.lines(width);
            let harmless = |c: char| c.is_ascii_graphic() || c == ' ';
            assert!(lines.iter().flat_map(|line| line.chars()).all(harmless), "{lines:?}");
            assert_eq!(lines.iter().filter(|line| line.contains("fdp.exe")).count(), 2, "{lines:?}");
        }
    }
}
