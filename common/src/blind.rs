// SPDX-License-Identifier: GPL-3.0-or-later
//! When instances gave clean verdicts that are not to be believed. At most [`MOST`] spans: where there would be more,
//! two of them become one that covers both, so that too little is believed and never too much.

use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};

/// So many are kept.
pub(crate) const MOST: usize = 64;
/// In place of an instance's name: any instance.
const ANY: &str = "";

/// From an instance's last good canary to its next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlindSpan {
    /// Its name; empty: any instance.
    pub instance: String,
    /// When it was still good, in seconds since the epoch by the hub's clock.
    pub from: u64,
    /// When it was good again; none while it is blind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

impl BlindSpan {
    /// Whether it is about the scan behind `verdict`: that ended after `from`, and had not begun after `to`.
    pub fn covers(&self, verdict: &Verdict) -> bool {
        (self.instance == ANY || self.instance == verdict.instance)
            && self.from <= verdict.scanned_at
            && self.to.is_none_or(|to| verdict.began_at() <= to)
    }

    /// One that covers both.
    fn joined(&self, other: &Self) -> Self {
        let instance = if self.instance == other.instance { &self.instance } else { ANY };
        Self {
            instance: instance.to_owned(),
            from: self.from.min(other.from),
            to: self.to.zip(other.to).map(|(one, another)| one.max(another)),
        }
    }
}

/// The same spans, as many as are kept.
pub(crate) fn bounded(mut spans: Vec<BlindSpan>) -> Vec<BlindSpan> {
    while spans.len() > MOST {
        join_two(&mut spans);
    }
    spans
}

/// `instance` is blind since `from`.
pub(crate) fn open(spans: &mut Vec<BlindSpan>, instance: &str, from: u64) {
    spans.push(BlindSpan { instance: instance.to_owned(), from, to: None });
    while spans.len() > MOST {
        join_two(spans);
    }
}

/// It is good at `to`.
pub(crate) fn close(spans: &mut [BlindSpan], instance: &str, to: u64) {
    let open = spans.iter_mut().filter(|span| span.instance == instance && span.to.is_none());
    open.for_each(|span| span.to = Some(to));
}

/// Joins the two oldest spans of one instance; where no instance has two, the two oldest that are over, and where there are
/// not two of these, the two oldest.
fn join_two(spans: &mut Vec<BlindSpan>) {
    spans.sort_by_key(|span| span.from);
    let later = |at: usize| (at + 1..spans.len()).find(|next| spans[*next].instance == spans[at].instance);
    let same = (0..spans.len()).find_map(|at| Some((at, later(at)?)));
    let over: Vec<usize> = (0..spans.len()).filter(|at| spans[*at].to.is_some()).take(2).collect();
    let (one, another) = same.unwrap_or(match over[..] {
        [one, another] => (one, another),
        _ => (0, 1),
    });
    let joined = spans[one].joined(&spans[another]);
    spans.remove(another);
    spans[one] = joined;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(instance: &str, from: u64, to: Option<u64>) -> BlindSpan {
        BlindSpan { instance: instance.to_owned(), from, to }
    }

    fn scan(instance: &str, scanned_at: u64, scan_ms: u64) -> Verdict {
        Verdict { instance: instance.to_owned(), scanned_at, scan_ms, ..Verdict::default() }
    }

    #[test]
    fn a_span_covers_the_scans_of_its_instance_that_touch_it() {
        let closed = span("a", 100, Some(200));
        let covered = [99, 100, 200, 201].map(|at| closed.covers(&scan("a", at, 0)));
        assert_eq!(covered, [false, true, true, false]);
        assert!(closed.covers(&scan("a", 203, 3000)), "it began in the span");
        assert!(!closed.covers(&scan("b", 150, 0)));
        assert!(span("a", 100, None).covers(&scan("a", 9_999, 0)));
        assert!(span(ANY, 100, None).covers(&scan("b", 150, 0)));
    }

    #[test]
    fn too_many_spans_are_joined_and_all_that_was_covered_still_is() {
        for instances in [1, 7, 64, 200] {
            let (mut spans, mut all) = (Vec::new(), Vec::new());
            for number in 0..200_u64 {
                let name = format!("storm{}", number % instances);
                close(&mut spans, &name, number * 10);
                let from = number * 10 + 3;
                open(&mut spans, &name, from);
                if number % 2 == 0 {
                    close(&mut spans, &name, from + 4);
                }
                all.push(scan(&name, from + 2, 0));
                assert!(spans.len() <= MOST);
            }
            let uncovered = all.iter().filter(|scan| !spans.iter().any(|span| span.covers(scan))).count();
            assert_eq!(uncovered, 0, "{instances} instances");
        }
    }

    #[test]
    fn spans_of_one_instance_are_joined_before_those_of_two() {
        let mut spans: Vec<_> = (0..62).map(|at| span(&format!("storm{at}"), at, None)).collect();
        spans.extend([span("x", 100, Some(110)), span("x", 120, Some(130))]);
        open(&mut spans, "y", 200);
        assert_eq!(spans.len(), MOST);
        assert!(spans.contains(&span("x", 100, Some(130))));
        assert!(spans.iter().all(|span| span.instance != ANY));
    }
}
