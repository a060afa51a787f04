// SPDX-License-Identifier: GPL-3.0-or-later
//! The work itself: a container, and the containers inside it to a small depth. No process, no pipe; the tests of the formats
//! and the fuzzer come in here.

use super::{
    answer::{Answer, Why},
    budget::Budget,
    format::{ooxml, pdf, rar, sevenzip, zip},
    found::Found,
    passwords::Passwords,
    request::Kind,
    stop::Stop,
};
use bytes::Bytes;

/// Containers inside each other, the outermost counted.
const MOST_DEPTH: usize = 4;

/// A container that is being opened, and what it may still take.
pub(crate) struct Work {
    pub(crate) passwords: Passwords,
    pub(crate) budget: Budget,
    pub(crate) found: Found,
    depth: usize,
}

/// Opens `container`.
///
/// # Errors
///
/// It is damaged, or a limit left nothing of it.
pub(crate) fn unseal(
    kind: Kind,
    container: &[u8],
    passwords: Passwords,
    budget: Budget,
) -> Result<Answer, Stop> {
    let mut work = Work { passwords, budget, found: Found::default(), depth: 0 };
    match work.open(kind, container) {
        Ok(()) => (),
        Err(Stop::Unsupported(why)) => work.found.unsupported(why),
        Err(Stop::TooMuch(excess)) => work.found.cut_off(excess),
        Err(Stop::Damaged) => return Err(Stop::Damaged),
    }
    work.found.finish()
}

impl Work {
    /// One more file, with what is sealed inside it.
    pub(crate) fn member(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), Stop> {
        self.budget.spend(bytes.len())?;
        let bytes = Bytes::from(bytes);
        self.found.member(name, bytes.clone());
        self.descend(&bytes)
    }

    /// What is sealed inside a file. One that is broken is what the scanner gets to see as it is.
    pub(crate) fn descend(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let Some(kind) = Kind::of(bytes).filter(|kind| asks(*kind, bytes)) else { return Ok(()) };
        if self.depth + 1 == MOST_DEPTH {
            self.found.unsupported(Why::Depth);
            return Ok(());
        }
        self.depth += 1;
        let opened = self.open(kind, bytes);
        self.depth -= 1;
        match opened {
            Err(Stop::Damaged) => self.found.unsupported(Why::Damaged),
            Err(Stop::Unsupported(why)) => self.found.unsupported(why),
            ended => return ended,
        }
        Ok(())
    }

    fn open(&mut self, kind: Kind, container: &[u8]) -> Result<(), Stop> {
        match kind {
            Kind::Zip => zip::open(container, self),
            Kind::Rar4 | Kind::Rar5 => rar::open(container, self),
            Kind::SevenZip => sevenzip::open(container, self),
            Kind::Pdf => pdf::open(container, self),
            Kind::Ooxml => ooxml::open(container, self),
        }
    }
}

/// Whether a file may ask for a password, or hold one that does, without a closer look.
fn asks(kind: Kind, bytes: &[u8]) -> bool {
    match kind {
        Kind::Zip => zip::may_ask(bytes),
        Kind::Pdf => pdf::may_ask(bytes),
        Kind::Ooxml => ooxml::may_ask(bytes),
        Kind::Rar4 | Kind::Rar5 | Kind::SevenZip => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        answer::Container,
        format::fixture::{NOTE, PASSWORD, data, files, opened, zipped},
    };

    #[test]
    fn a_sealed_container_inside_an_open_one_is_opened() {
        let outer = zipped(&[("inner.zip", &data("old-cipher.zip")), ("page.txt", NOTE)]);
        let answer = opened(Kind::Zip, &outer, &[PASSWORD]).unwrap();
        assert_eq!(answer.container, Container::Opened(vec![crate::By::Candidate(0)]));
        let names: Vec<&str> = files(&answer).iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["note.txt", "second.txt"], "what the scanner sees itself is left");
        for inner in ["aes256.pdf", "files.7z", "agile.docx", "files.rar4.rar"] {
            let outer = zipped(&[(inner, &data(inner))]);
            let answer = opened(Kind::Zip, &outer, &[PASSWORD]).unwrap();
            assert!(matches!(answer.container, Container::Opened(_)), "{inner}: {answer:?}");
            assert_eq!(opened(Kind::Zip, &outer, &[]).unwrap().container, Container::Sealed, "{inner}");
        }
    }

    #[test]
    fn containers_inside_containers_end_at_a_depth() {
        let mut container = data("old-cipher.zip");
        for depth in 1..6 {
            let expected = match depth {
                ..MOST_DEPTH => Container::Opened(vec![crate::By::Candidate(0)]),
                _ => Container::Unsupported(Why::Depth),
            };
            container = zipped(&[("inner.zip", &container)]);
            if depth < MOST_DEPTH + 1 {
                let answer = opened(Kind::Zip, &container, &[PASSWORD]).unwrap();
                assert_eq!(answer.container, expected, "{depth}");
            }
        }
    }

    #[test]
    fn a_damaged_container_inside_is_told_only_where_it_may_be_sealed() {
        let pdf =
            zipped(&[("a.pdf", b"%PDF-1.7 nothing of it"), ("b.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")]);
        assert_eq!(opened(Kind::Zip, &pdf, &[]).unwrap().container, Container::Unsealed);
        let pdf = zipped(&[("a.pdf", b"%PDF-1.7 trailer <</Encrypt 7 0 R>>")]);
        let answer = opened(Kind::Zip, &pdf, &[]).unwrap();
        assert_eq!(answer.container, Container::Unsupported(Why::Damaged));
    }
}
