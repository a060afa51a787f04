// SPDX-License-Identifier: GPL-3.0-or-later
//! How large a verdict may be. A scanner's answer can hold megabytes, which every process that reads the verdict would
//! read again: what is stored and announced has [`LARGEST`] bytes at most, and what is larger is not read.
//!
//! What is cut, as far as it takes: the strings that matched and other texts, then the rules with the lowest scores of each
//! finding ([`Finding::rules_total`] still counts them), then the findings with the lowest scores
//! ([`Verdict::omitted`] counts them). Rules and findings that stay keep their order.

use super::{Answer, Finding, Rule, Verdict};
use std::sync::Arc;

/// The largest wire form of a verdict that is stored and read.
pub const LARGEST: usize = 128 << 10;
/// The largest announcement that is read: a verdict, the name of its sample, a seal.
pub const LARGEST_ANNOUNCEMENT: usize = LARGEST + (8 << 10);

/// Bytes of a text, where texts are cut; why something could not be scanned is always.
const LONGEST_TEXT: usize = 512;
const LONGEST_REASON: usize = 2048;
/// Bytes of a string that matched, and how many of them a rule keeps.
const LONGEST_MATCH: usize = 200;
const MOST_MATCHES: usize = 16;
const MOST_TAGS: usize = 32;
/// How many findings are kept, and how many rules of each: the first pair with which it fits.
const MOST: [(usize, usize); 6] = [(1000, 1000), (200, 100), (50, 50), (20, 20), (5, 10), (1, 1)];

impl Verdict {
    /// Itself, cut to [`LARGEST`] where it is larger.
    #[must_use]
    pub fn bounded(self: Arc<Self>) -> Arc<Self> {
        if self.is_clean() || self.encode().len() <= LARGEST {
            return self;
        }
        let mut verdict = Self::clone(&self);
        verdict.findings.iter_mut().for_each(shorten);
        for (findings, rules) in MOST {
            verdict.keep(findings, rules);
            if verdict.encode().len() <= LARGEST {
                break;
            }
        }
        Arc::new(verdict)
    }

    fn keep(&mut self, findings: usize, rules: usize) {
        let before = self.findings.len();
        keep_highest(&mut self.findings, findings, |finding| finding.score);
        self.omitted += (before - self.findings.len()) as u64;
        for finding in &mut self.findings {
            finding.rules_total = finding.rules_total.max(finding.rules.len() as u64);
            keep_highest(&mut finding.rules, rules, |rule| rule.subscore);
        }
    }
}

impl Answer {
    /// Itself, with a verdict and a reason that are not too large.
    #[must_use]
    pub fn bounded(self) -> Self {
        match self {
            Self::Verdict(verdict) => Self::Verdict(verdict.bounded()),
            Self::Failed(mut reason) => {
                cut(&mut reason, LONGEST_REASON);
                Self::Failed(reason)
            }
            Self::Skipped(reason) => Self::Skipped(reason),
        }
    }
}

/// The `most` with the highest scores, the earlier of equal ones, in their order.
fn keep_highest<T>(all: &mut Vec<T>, most: usize, score: impl Fn(&T) -> i64) {
    if all.len() <= most {
        return;
    }
    let mut ranks: Vec<usize> = (0..all.len()).collect();
    ranks.sort_by_key(|at| std::cmp::Reverse(score(&all[*at])));
    let mut kept = vec![false; all.len()];
    ranks.iter().take(most).for_each(|at| kept[*at] = true);
    let mut kept = kept.into_iter();
    all.retain(|_| kept.next().unwrap_or_default());
}

fn shorten(finding: &mut Finding) {
    let file = &mut finding.file;
    let texts = [&mut finding.level, &mut finding.module, &mut finding.message, &mut file.name];
    texts.into_iter().for_each(|text| cut(text, LONGEST_TEXT));
    let facts = [&mut file.extension, &mut file.kind, &mut file.first_bytes];
    facts.into_iter().for_each(|text| cut(text, LONGEST_TEXT));
    let digests = [&mut file.md5, &mut file.sha1, &mut file.sha256];
    digests.into_iter().for_each(|text| cut(text, LONGEST_TEXT));
    finding.rules.iter_mut().for_each(shorten_rule);
}

fn shorten_rule(rule: &mut Rule) {
    let texts = [&mut rule.name, &mut rule.reason, &mut rule.author, &mut rule.reference];
    texts.into_iter().for_each(|text| cut(text, LONGEST_TEXT));
    let facts = [&mut rule.date, &mut rule.class, &mut rule.origin];
    facts.into_iter().for_each(|text| cut(text, LONGEST_TEXT));
    rule.tags.truncate(MOST_TAGS);
    rule.tags.iter_mut().for_each(|text| cut(text, LONGEST_MATCH));
    rule.matched.truncate(MOST_MATCHES);
    rule.matched.iter_mut().for_each(|text| cut(text, LONGEST_MATCH));
}

fn cut(text: &mut String, most: usize) {
    text.truncate(text.floor_char_boundary(most));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many findings with so many rules, whose scores grow, and strings of so many bytes.
    fn large(findings: i64, rules: i64, bytes: usize) -> Arc<Verdict> {
        let rule = |subscore| Rule {
            name: format!("rule{subscore}"),
            subscore,
            matched: vec!["\u{1}".repeat(bytes); 20],
            ..Rule::default()
        };
        let finding = |score| Finding {
            score,
            message: "é".repeat(bytes),
            rules: (0..rules).map(rule).collect(),
            ..Finding::default()
        };
        Arc::new(Verdict { findings: (0..findings).map(finding).collect(), ..Verdict::default() })
    }

    #[test]
    fn a_usual_verdict_is_left_as_it_is() {
        let usual = large(2, 10, 50);
        assert!(Arc::ptr_eq(&usual, &usual.clone().bounded()));
    }

    #[test]
    fn a_verdict_of_any_size_fits_and_keeps_what_scores_highest() {
        for (findings, rules, bytes) in [(1, 1, 1 << 20), (1, 5000, 10), (3000, 2, 10), (100, 100, 100)] {
            let whole = large(findings, rules, bytes);
            let cut = whole.clone().bounded();
            assert!(cut.encode().len() <= LARGEST, "{findings} {rules} {bytes}: {}", cut.encode().len());
            assert_eq!(cut.score(), whole.score());
            assert_eq!(cut.omitted + cut.findings.len() as u64, findings as u64);
            let last = cut.findings.last().unwrap();
            assert_eq!(last.rules_total, rules as u64, "all are counted");
            assert_eq!(last.rules.last().unwrap().subscore, rules - 1);
            assert!(last.rules.is_sorted_by_key(|rule| rule.subscore), "in their order");
        }
    }

    #[test]
    fn a_long_reason_is_cut() {
        let Answer::Failed(reason) = Answer::Failed("é".repeat(5000)).bounded() else { panic!("failed") };
        assert!(reason.len() <= LONGEST_REASON && reason.len() > LONGEST_REASON - 2);
    }
}
