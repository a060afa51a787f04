// SPDX-License-Identifier: GPL-3.0-or-later
//! The work itself: a container, then those inside it, one after the other, to a small depth. No process, no pipe; the tests of
//! the formats and the fuzzer come in here.

use super::{
    answer::{Answer, Why},
    budget::Budget,
    format::{ooxml, pdf, rar, sevenzip, zip},
    passwords::Passwords,
    request::Kind,
    stop::Stop,
    work::{Inner, Work},
};

/// Containers inside each other, the outermost not counted.
const MOST_DEPTH: usize = 3;

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
    let mut work = Work::new(passwords, budget);
    match open(kind, container, &mut work) {
        Err(Stop::Damaged) => return Err(Stop::Damaged),
        ended => work.found.note(ended),
    }
    while let Some(inner) = work.next_inner() {
        open_inner(&inner, &mut work);
    }
    work.found.finish()
}

/// One inside another. One that is broken and asks for nothing is what the scanner gets to see as it is.
fn open_inner(inner: &Inner, work: &mut Work) {
    if !asks(inner.kind, &inner.bytes) {
        return;
    }
    let opened = if inner.depth > MOST_DEPTH {
        Err(Stop::Unsupported(Why::Depth))
    } else {
        open(inner.kind, &inner.bytes, work)
    };
    work.found.note(opened);
}

fn open(kind: Kind, container: &[u8], work: &mut Work) -> Result<(), Stop> {
    match kind {
        Kind::Zip => zip::open(container, work),
        Kind::Rar4 | Kind::Rar5 => rar::open(container, work),
        Kind::SevenZip => sevenzip::open(container, work),
        Kind::Pdf => pdf::open(container, work),
        Kind::Ooxml => ooxml::open(container, work),
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
        for depth in 1..=MOST_DEPTH + 1 {
            container = zipped(&[("inner.zip", &container)]);
            let answer = opened(Kind::Zip, &container, &[PASSWORD]).unwrap();
            let expected = match depth {
                ..=MOST_DEPTH => Container::Opened(vec![crate::By::Candidate(0)]),
                _ => Container::Unsupported(Why::Depth),
            };
            assert_eq!(answer.container, expected, "{depth}");
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
