// SPDX-License-Identifier: GPL-3.0-or-later
//! What postconf(1) prints, read: lists of milters with their parameters, times.

use crate::front::milter::Listen;
use std::{collections::HashMap, time::Duration};

/// What is asked for.
pub(super) const NAMES: [&str; 7] = [
    "smtpd_milters",
    "non_smtpd_milters",
    "milter_content_timeout",
    "milter_command_timeout",
    "milter_default_action",
    "milter_protocol",
    "message_size_limit",
];

/// Parameters by name.
pub(super) struct Values(HashMap<String, String>);

/// A milter in a list of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Milter {
    /// Where it is.
    pub address: Listen,
    parameters: Vec<(String, String)>,
}

impl Values {
    /// Reads `name = value`, a line each.
    pub(super) fn read(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Self(pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect())
    }

    /// A value; empty where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The milters of a list, as far as they have an address.
    pub(super) fn milters(&self, name: &str) -> Vec<Milter> {
        entries(self.text(name)).into_iter().filter_map(Milter::read).collect()
    }

    /// A milter's own time-out, or the general one.
    pub(super) fn time(&self, milter: &Milter, name: &str) -> Option<Duration> {
        time(milter.parameter(name).unwrap_or_else(|| self.text(&format!("milter_{name}"))))
    }
}

impl Milter {
    fn read(entry: &str) -> Option<Self> {
        let address = entry.parse().ok()?;
        let inner = entry.trim_start_matches('{').trim_end_matches('}');
        let words = inner.split([',', ' ', '\t']).filter_map(|word| word.split_once('='));
        let parameters = words.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
        Some(Self { address, parameters: parameters.collect() })
    }

    /// What stands behind its address.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What commas and blanks separate outside of braces.
fn entries(list: &str) -> Vec<&str> {
    let (mut entries, mut depth, mut from) = (Vec::new(), 0_usize, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' | ' ' | '\t' if depth == 0 => {
                entries.push(&list[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    entries.push(&list[from..]);
    entries.retain(|entry| !entry.is_empty());
    entries
}

/// `30s`, `5m`; seconds without a unit.
fn time(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    Some(Duration::from_secs(number.parse::<u64>().ok()?.saturating_mul(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_separated_outside_of_braces() {
        let list = "{ inet:localhost:1, default_action=accept },unix:/run/a.sock  inet:b:2";
        assert_eq!(
            entries(list),
            ["{ inet:localhost:1, default_action=accept }", "unix:/run/a.sock", "inet:b:2"]
        );
        let milter = Milter::read(entries(list)[0]).unwrap();
        assert_eq!(milter.address.to_string(), "inet:localhost:1");
        assert_eq!((milter.parameter("default_action"), milter.parameter("x")), (Some("accept"), None));
        assert_eq!(Milter::read("$nothing"), None);
    }

    #[test]
    fn times_have_units() {
        for (text, seconds) in [("30s", Some(30)), ("5m", Some(300)), ("7", Some(7)), ("1w", Some(604_800))] {
            assert_eq!(time(text).map(|time| time.as_secs()), seconds, "{text}");
        }
        assert_eq!([time(""), time("s"), time("5x")], [None; 3]);
    }
}
