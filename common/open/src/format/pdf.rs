// SPDX-License-Identifier: GPL-3.0-or-later
//! PDF. One whose author only wanted nobody to print it opens with the empty password, and readers open it without asking; yet
//! its streams are as sealed as those of any other. What comes out is the same document without its password, written anew,
//! and each file embedded in it.

use crate::{
    answer::{By, Why},
    failure::Excess,
    stop::Stop,
    work::Work,
};
use lopdf::{DecompressError, Document, Error, LoadOptions, Object, Stream, encryption::DecryptionError};
use std::io::{self, Write};

/// Rounds of the dearest way to check a password: 64 and some more, which nobody chooses.
const ROUNDS: u64 = 128;

/// What a sealed document says at its end.
const SEALED: &[u8] = b"/Encrypt";

/// Opens it.
pub(crate) fn open(container: &[u8], work: &mut Work) -> Result<(), Stop> {
    let most = usize::try_from(work.budget.bytes()).unwrap_or(usize::MAX);
    // The library tries the empty password by itself.
    let document = load(container, None, most)?;
    if document.was_encrypted() {
        work.found.opened(By::EMPTY);
        return take(document, work);
    }
    if !document.trailer.has(b"Encrypt") {
        return Ok(());
    }
    let mut fitting = None;
    let by = work.passwords.first_that(&work.budget, ROUNDS, |password| {
        let fits = fits(&document, password)?;
        fitting = fits.then(|| password.to_owned());
        Ok(fits)
    })?;
    match (by, fitting) {
        (Some(by), Some(password)) => {
            let document = load(container, Some(password), most)?;
            if document.trailer.has(b"Encrypt") {
                return Err(Stop::Unsupported(Why::Cipher));
            }
            work.found.opened(by);
            take(document, work)
        }
        _ => {
            work.found.sealed();
            Ok(())
        }
    }
}

/// Whether it may ask for a password.
pub(crate) fn may_ask(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, SEALED).is_some()
}

fn load(container: &[u8], password: Option<String>, most: usize) -> Result<Document, Stop> {
    let options = LoadOptions { password, ..LoadOptions::with_max_decompressed_size(most) };
    match Document::load_mem_with_options(container, options) {
        Ok(document) => Ok(document),
        Err(Error::Decompress(DecompressError::MemoryLimitExceeded { .. })) => {
            Err(Stop::TooMuch(Excess::Bytes))
        }
        Err(Error::UnsupportedSecurityHandler(_)) => Err(Stop::Unsupported(Why::Cipher)),
        Err(_) => Err(Stop::Damaged),
    }
}

fn fits(document: &Document, password: &str) -> Result<bool, Stop> {
    match document.authenticate_password(password) {
        Ok(()) => Ok(true),
        Err(Error::InvalidPassword | Error::Decryption(DecryptionError::IncorrectPassword)) => Ok(false),
        // Nobody knows such a handler, version or revision here, or it is written where the library does not look.
        Err(_) => Err(Stop::Unsupported(Why::Cipher)),
    }
}

/// The document, and what is embedded in it.
fn take(mut document: Document, work: &mut Work) -> Result<(), Stop> {
    let mut written = Bounded { bytes: Vec::new(), most: work.budget.bytes() };
    document.save_to(&mut written).map_err(|_| Stop::TooMuch(Excess::Bytes))?;
    work.member("", written.bytes)?;
    for object in document.objects.values() {
        if let Object::Stream(stream) = object
            && stream.dict.has_type(b"EmbeddedFile")
        {
            embedded(stream, work)?;
        }
    }
    Ok(())
}

/// One that cannot be decoded is in the document still.
fn embedded(stream: &Stream, work: &mut Work) -> Result<(), Stop> {
    let most = usize::try_from(work.budget.bytes()).unwrap_or(usize::MAX);
    match stream.get_plain_content_with_limit(most) {
        Ok(bytes) => work.member("", bytes),
        Err(Error::Decompress(DecompressError::MemoryLimitExceeded { .. })) => {
            Err(Stop::TooMuch(Excess::Bytes))
        }
        Err(_) => Ok(()),
    }
}

/// Takes so many bytes and no more.
struct Bounded {
    bytes: Vec<u8>,
    most: u64,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.bytes.len() + bytes.len()) as u64 > self.most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        answer::{Answer, Container},
        budget::Budget,
        format::fixture::{NOTE, PASSWORD, data, opened, opened_within},
        request::Kind,
    };
    use std::time::Duration;

    /// The document says what its page said, without a password, and the attached file is there.
    fn assert_document(answer: &Answer, name: &str) {
        let [document, attached] = &answer.members[..] else { panic!("{name}: {answer:?}") };
        assert_eq!(&attached.bytes[..], NOTE, "{name}");
        let document = Document::load_mem(&document.bytes).unwrap();
        assert!(!document.is_encrypted() && !document.was_encrypted(), "{name}");
        let (_, page) = document.get_pages().pop_first().unwrap();
        let content = document.get_page_content(page);
        assert!(content.starts_with(b"BT (Rechnung) Tj ET"), "{name}: {content:?}");
    }

    #[test]
    fn every_cipher_opens() {
        for name in ["aes256.pdf", "aes128.pdf", "rc4-128.pdf", "rc4-40.pdf"] {
            let container = data(name);
            for (candidate, by) in [(PASSWORD, By::Candidate(1)), ("of its owner", By::Candidate(1))] {
                let answer = opened(Kind::Pdf, &container, &["Rechnung", candidate]).unwrap();
                assert_eq!(answer.container, Container::Opened(vec![by]), "{name}");
                assert_document(&answer, name);
            }
            let sealed = opened(Kind::Pdf, &container, &["Rechnung"]).unwrap();
            assert_eq!((sealed.container, sealed.members.len()), (Container::Sealed, 0), "{name}");
        }
    }

    #[test]
    fn what_only_its_owner_may_change_opens_without_a_password() {
        assert_eq!(crate::ALWAYS[0], "");
        let answer = opened(Kind::Pdf, &data("owner-only.pdf"), &["Rechnung"]).unwrap();
        assert_eq!(answer.container, Container::Opened(vec![By::EMPTY]));
        assert_document(&answer, "owner-only.pdf");
    }

    #[test]
    fn another_handler_is_not_called_sealed() {
        let mut container = data("rc4-40.pdf");
        let at = memchr::memmem::find(&container, b"/Standard").unwrap();
        container[at..at + 9].copy_from_slice(b"/Nobody's");
        let answer = opened(Kind::Pdf, &container, &[PASSWORD]).unwrap();
        assert_eq!(answer.container, Container::Unsupported(Why::Cipher));
    }

    #[test]
    fn what_is_too_large_ends() {
        let budget = Budget::new(700, 9, 1 << 20, Duration::from_secs(60));
        let refused = opened_within(budget, Kind::Pdf, &data("owner-only.pdf"), &[]);
        assert_eq!(refused, Err(Stop::TooMuch(Excess::Bytes)));
        assert_eq!(opened(Kind::Pdf, b"%PDF-1.7 /Encrypt", &[]), Err(Stop::Damaged));
    }
}
