// SPDX-License-Identifier: GPL-3.0-or-later
//! Files that do to the stand-in what hostile or unlucky files do to a scanner, and files that only newer signatures know.
//!
//! A file says so itself, by a mark anywhere in its bytes. A file that the scanner passes over, because it is larger than
//! `max_file_bytes`, does nothing.

use aho_corasick::{AhoCorasick, MatchKind};
use std::sync::LazyLock;

/// What a file does to the scanner that reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hostility {
    /// The scan is answered 500.
    Refused,
    /// The scan is answered with an entry of level `Error` and nothing else.
    Error,
    /// The connection is closed after the upload, without an answer.
    HungUp,
    /// The scanner dies: its connections and its port are closed, and it is back after [`Settings::restart`].
    ///
    /// [`Settings::restart`]: super::Settings::restart
    Crash,
    /// A thread is busy for [`Settings::slow`], and stays so when the client has gone.
    ///
    /// [`Settings::slow`]: super::Settings::slow
    Slow,
}

impl Hostility {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Refused, Self::Error, Self::HungUp, Self::Crash, Self::Slow];

    /// What a file has in it that does this.
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Refused => "THUNDERGATE-TEST-REFUSED",
            Self::Error => "THUNDERGATE-TEST-ERROR",
            Self::HungUp => "THUNDERGATE-TEST-HUNG-UP",
            Self::Crash => "THUNDERGATE-TEST-CRASH",
            Self::Slow => "THUNDERGATE-TEST-SLOW",
        }
    }
}

/// What a file begins with that signatures older than the version behind it do not know, whatever else is in it:
/// `THUNDERGATE-TEST-SINCE-2026/11/01-120000`.
pub const SINCE: &str = "THUNDERGATE-TEST-SINCE-";
/// As long as `2026/11/01-120000`.
const VERSION_BYTES: usize = 17;

/// The marks of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// What it does to its scanner: the first of its marks decides.
    pub hostility: Option<Hostility>,
    /// The first signatures that know it, `2026/11/01-120000`.
    pub since: Option<String>,
}

static SEARCH: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let marks = Hostility::ALL.into_iter().map(Hostility::mark).chain([SINCE]);
    let search = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(marks);
    search.expect("the marks are few and short")
});

impl Marks {
    pub fn of(bytes: &[u8]) -> Self {
        let mut marks = Self::default();
        for found in SEARCH.find_iter(bytes) {
            match Hostility::ALL.get(found.pattern().as_usize()) {
                Some(hostility) => _ = marks.hostility.get_or_insert(*hostility),
                None => marks.since = marks.since.or_else(|| version(&bytes[found.end()..])),
            }
        }
        marks
    }

    /// Whether these signatures know the file; versions sort as text.
    pub fn are_known_to(&self, signatures: &str) -> bool {
        self.since.as_deref().is_none_or(|since| since <= signatures)
    }
}

fn version(bytes: &[u8]) -> Option<String> {
    bytes.get(..VERSION_BYTES).map(|version| String::from_utf8_lossy(version).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_mark_of_a_file_decides() {
        assert_eq!(Marks::of(b"nothing"), Marks::default());
        for hostility in Hostility::ALL {
            let bytes = format!("some bytes {}, THUNDERGATE-TEST-SLOW", hostility.mark());
            assert_eq!(Marks::of(bytes.as_bytes()).hostility, Some(hostility));
        }
    }

    #[test]
    fn older_signatures_do_not_know_a_file_that_says_since_when() {
        let marks = Marks::of(b"x THUNDERGATE-TEST-SINCE-2026/11/01-120000 THUNDERGATE-TEST-STRONG-1");
        assert!(marks.are_known_to("2026/11/01-120000") && marks.are_known_to("2026/12/01-000000"));
        assert!(!marks.are_known_to("2026/10/31-120000"));
        assert!(Marks::of(b"THUNDERGATE-TEST-SINCE-2026").are_known_to(""), "a mark without a version");
    }
}
