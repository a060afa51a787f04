// SPDX-License-Identifier: GPL-3.0-or-later
//! What leaves the process for Redis, sealed: encrypted, and bound to what it is and to the thing it is about. Whoever
//! gets hold of Redis can neither read a mail nor make a verdict, nor move one from a sample to another. What is left
//! to them is to delete things, and to put back what stood there before: see [`Purpose`].
//!
//! `redis.secret_file` holds the secrets, one a line. The first seals, all of them open, so that a new one can be
//! brought in: second line everywhere, then first line everywhere, then the old one is removed. From each of them
//! HKDF-SHA256 (RFC 5869) makes a key and a name for it, different ones for each `redis.prefix`; the key is used with
//! XChaCha20-Poly1305, whose nonces are long enough to be drawn at random.
//!
//! ```text
//! "\0tgs"  form  key id  nonce     ciphertext and tag
//! 4 bytes  1     4       24 bytes  as the plain text, and 16 bytes
//! ```
//!
//! Without a secret everything is written as it is. Only where it begins like the above by itself (an attachment can be
//! anything) it gets the mark in front and a form of its own, so that a reader is never in doubt.

use bytes::Bytes;
use chacha20poly1305::{AeadInOut, Key as CipherKey, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use std::{borrow::Cow, fmt};

/// What everything begins with that this module has made. No JSON does.
const MARK: &[u8; 4] = b"\0tgs";
/// The form of what is only marked, not sealed.
const PLAIN: u8 = 0;
/// The form of what is sealed.
const SEALED: u8 = 1;

const PLAIN_HEAD: usize = MARK.len() + 1;
const KEY_ID: usize = 4;
const NONCE: usize = 24;
const HEAD: usize = PLAIN_HEAD + KEY_ID + NONCE;
const TAG: usize = 16;

/// What something is, which it cannot be mistaken for anything else. An old one of the same purpose, about the same
/// thing, can be put back in its place: so each of them must do no harm when it comes twice or late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A verdict, of a sample. It says itself when the scan was.
    Verdict,
    /// The bytes of a sample, which its digest fits.
    Sample,
    /// What is held against a sample. It says itself until when it counts.
    Failed,
    /// A job, of a sample. Done twice, it gives the same.
    Job,
    /// An answer for those who wait, about a sample.
    Announcement,
    /// A dead letter, of a sample.
    Letter,
    /// A pack of records of mails, of its stream. A record says itself which it is, so one that comes twice counts once.
    Records,
    /// Who received a sample, as milters up to 0.1.1 wrote it.
    Receipt,
    /// The farm's generation, of the prefix.
    Generation,
    /// What a worker knows of the farm, of that worker.
    Report,
    /// Names that verdicts refer to, of their id, which follows from them.
    Names,
    /// Which message was delivered although a sample was not scanned. It is a word in a log.
    Owed,
    /// Words of messages that may open a sample, of that sample. Each is tried, and nothing else follows from it.
    Passwords,
}

/// Why something could not be opened. The caller treats it as if it were not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsealed {
    /// This process has a secret.
    #[error("not sealed: from a program without redis.secret_file, or forged")]
    Plain,
    /// This process has none.
    #[error("sealed, and there is no redis.secret_file to open it with")]
    NoSecret,
    /// None of this process's secrets made it.
    #[error("sealed with a secret that is not in redis.secret_file")]
    UnknownSecret,
    /// Its form is none that this program knows.
    #[error("sealed in a form that this program does not know")]
    UnknownForm,
    /// It was changed or cut off, or it belongs elsewhere.
    #[error("changed since it was sealed, or sealed for something else")]
    Changed,
}

/// Seals and opens.
pub struct Seal {
    keys: Vec<Key>,
}

struct Key {
    id: [u8; KEY_ID],
    cipher: XChaCha20Poly1305,
}

impl Seal {
    /// With these secrets, the first of which seals; without any, as [`Self::none`].
    pub fn new(secrets: &[SecretString], prefix: &str) -> Self {
        Self { keys: secrets.iter().map(|secret| Key::new(secret, prefix)).collect() }
    }

    /// Leaves everything as it is.
    pub fn none() -> Self {
        Self { keys: Vec::new() }
    }

    /// Whether there is a secret, so that sealing costs time.
    pub fn is_closed(&self) -> bool {
        !self.keys.is_empty()
    }

    /// `plain` as it may leave the process; `of` names the thing that it is about.
    pub fn seal<'a>(&self, purpose: Purpose, of: &str, plain: impl Into<Cow<'a, [u8]>>) -> Cow<'a, [u8]> {
        let plain = plain.into();
        match self.keys.first() {
            Some(key) => key.seal(purpose, of, &plain).into(),
            None if plain.starts_with(MARK) => [MARK.as_slice(), &[PLAIN], &plain].concat().into(),
            None => plain,
        }
    }

    /// What was sealed for this purpose, about this thing. Nothing is copied.
    ///
    /// # Errors
    ///
    /// [`Unsealed`]; with a secret nothing is believed that is not sealed.
    pub fn open(&self, purpose: Purpose, of: &str, bytes: impl Into<Vec<u8>>) -> Result<Bytes, Unsealed> {
        let bytes = bytes.into();
        let form = bytes.strip_prefix(MARK).map(|rest| rest.first().copied());
        match form {
            None | Some(Some(PLAIN)) if self.is_closed() => Err(Unsealed::Plain),
            None => Ok(bytes.into()),
            Some(Some(PLAIN)) => Ok(Bytes::from(bytes).slice(PLAIN_HEAD..)),
            Some(Some(SEALED)) => self.unlock(purpose, of, bytes),
            Some(_) => Err(Unsealed::UnknownForm),
        }
    }

    fn unlock(&self, purpose: Purpose, of: &str, mut bytes: Vec<u8>) -> Result<Bytes, Unsealed> {
        if !self.is_closed() {
            return Err(Unsealed::NoSecret);
        }
        let (head, body) = bytes.split_at_mut_checked(HEAD).ok_or(Unsealed::Changed)?;
        let (body, tag) = body.split_last_chunk_mut::<TAG>().ok_or(Unsealed::Changed)?;
        let (tag, length) = (Tag::from(*tag), body.len());
        let id = &head[PLAIN_HEAD..][..KEY_ID];
        let key = self.keys.iter().find(|key| key.id == id).ok_or(Unsealed::UnknownSecret)?;
        let nonce = XNonce::try_from(&head[HEAD - NONCE..]).map_err(|_| Unsealed::Changed)?;
        let bound = bound(head, purpose, of);
        key.cipher
            .decrypt_inout_detached(&nonce, &bound, body.into(), &tag)
            .map_err(|_| Unsealed::Changed)?;
        Ok(Bytes::from(bytes).slice(HEAD..HEAD + length))
    }
}

impl Key {
    fn new(secret: &SecretString, prefix: &str) -> Self {
        let derived = Hkdf::<Sha256>::new(Some(b"thundergate"), secret.expose_secret().as_bytes());
        let (mut id, mut key) = ([0; KEY_ID], CipherKey::default());
        for (what, place) in [("id", id.as_mut_slice()), ("key", &mut key)] {
            let info = format!("seal {SEALED} {what} {prefix}");
            derived.expand(info.as_bytes(), place).expect("HKDF-SHA256 gives up to 8160 bytes");
        }
        Self { id, cipher: XChaCha20Poly1305::new(&key) }
    }

    fn seal(&self, purpose: Purpose, of: &str, plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).expect("the kernel gives random bytes");
        let mut sealed = Vec::with_capacity(HEAD + plain.len() + TAG);
        for part in [MARK.as_slice(), &[SEALED], &self.id, &nonce, plain] {
            sealed.extend_from_slice(part);
        }
        let (head, body) = sealed.split_at_mut(HEAD);
        let bound = bound(head, purpose, of);
        let tag = self
            .cipher
            .encrypt_inout_detached(&XNonce::from(nonce), &bound, body.into())
            .expect("no value in Redis has 256 GiB");
        sealed.extend_from_slice(&tag);
        sealed
    }
}

/// What a seal binds besides the bytes.
fn bound(head: &[u8], purpose: Purpose, of: &str) -> Vec<u8> {
    [head, purpose.as_str().as_bytes(), b"\0", of.as_bytes()].concat()
}

impl Purpose {
    /// Its name, which never changes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verdict => "verdict",
            Self::Sample => "sample",
            Self::Failed => "failed",
            Self::Job => "job",
            Self::Announcement => "announcement",
            Self::Letter => "letter",
            Self::Records => "records",
            Self::Receipt => "receipt",
            Self::Generation => "generation",
            Self::Report => "report",
            Self::Names => "names",
            Self::Owed => "owed",
            Self::Passwords => "passwords",
        }
    }
}

/// No keys.
impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").field("keys", &self.keys.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Purpose::{Announcement, Verdict};

    const OLD: &str = "the old secret, of 32 characters";
    const NEW: &str = "the new secret, of 32 characters";

    fn seal_with(secrets: &[&str]) -> Seal {
        let secrets: Vec<SecretString> = secrets.iter().map(|&secret| secret.into()).collect();
        Seal::new(&secrets, "tg")
    }

    fn sealed(seal: &Seal, plain: &[u8]) -> Vec<u8> {
        seal.seal(Verdict, "sample", plain).into_owned()
    }

    fn opened(seal: &Seal, sealed: &[u8]) -> Result<Vec<u8>, Unsealed> {
        seal.open(Verdict, "sample", sealed).map(Into::into)
    }

    #[test]
    fn what_is_sealed_opens_and_shows_nothing() {
        let seal = seal_with(&[OLD]);
        for plain in [b"".as_slice(), b"clean", &[b'x'; 5000], b"\0tgs\0"] {
            let sealed = sealed(&seal, plain);
            assert_eq!(sealed.len(), plain.len() + HEAD + TAG);
            assert!(plain.len() < 5 || !sealed.windows(5).skip(HEAD).any(|window| window == &plain[..5]));
            assert_eq!(opened(&seal, &sealed).as_deref(), Ok(plain));
        }
        assert_ne!(sealed(&seal, b"clean"), sealed(&seal, b"clean"), "never the same twice");
        assert!(!format!("{seal:?}").contains("secret"));
    }

    #[test]
    fn no_byte_of_it_can_be_changed_and_none_removed() {
        let seal = seal_with(&[OLD]);
        let sealed = sealed(&seal, b"clean");
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[at] ^= 1 << bit;
                assert!(opened(&seal, &changed).is_err(), "byte {at}, bit {bit}");
            }
            assert!(opened(&seal, &sealed[..at]).is_err(), "cut at {at}");
        }
        let longer = [sealed.as_slice(), b"x"].concat();
        assert_eq!(opened(&seal, &longer), Err(Unsealed::Changed));
    }

    #[test]
    fn it_cannot_be_moved() {
        let seal = seal_with(&[OLD]);
        let sealed = sealed(&seal, b"clean");
        assert_eq!(seal.open(Announcement, "sample", sealed.clone()), Err(Unsealed::Changed));
        assert_eq!(seal.open(Verdict, "sample.exe", sealed.clone()), Err(Unsealed::Changed));
        let elsewhere = Seal::new(&[OLD.into()], "tg2");
        assert_eq!(opened(&elsewhere, &sealed), Err(Unsealed::UnknownSecret));
    }

    #[test]
    fn secrets_are_changed_in_three_steps() {
        let steps: [&[&str]; 4] = [&[OLD], &[OLD, NEW], &[NEW, OLD], &[NEW]];
        let seals = steps.map(seal_with);
        for neighbours in seals.windows(2) {
            let [before, after] = neighbours else { panic!("two of them") };
            assert_eq!(opened(after, &sealed(before, b"clean")).as_deref(), Ok(b"clean".as_slice()));
            assert_eq!(opened(before, &sealed(after, b"clean")).as_deref(), Ok(b"clean".as_slice()));
        }
        assert_eq!(opened(&seals[0], &sealed(&seals[3], b"clean")), Err(Unsealed::UnknownSecret));
        assert_eq!(opened(&seals[3], &sealed(&seals[0], b"clean")), Err(Unsealed::UnknownSecret));
    }

    #[test]
    fn with_and_without_a_secret_do_not_believe_each_other() {
        let (closed, open) = (seal_with(&[OLD]), Seal::none());
        assert!(closed.is_closed() && !open.is_closed());
        for plain in [b"clean".as_slice(), b"\0tgs and more", b""] {
            assert!(opened(&closed, plain).is_err());
            assert_eq!(opened(&closed, &sealed(&open, plain)), Err(Unsealed::Plain));
        }
        assert_eq!(opened(&open, &sealed(&closed, b"clean")), Err(Unsealed::NoSecret));
    }

    #[test]
    fn without_a_secret_any_bytes_come_back_as_they_were() {
        let seal = Seal::none();
        assert!(matches!(seal.seal(Verdict, "sample", b"clean".as_slice()), Cow::Borrowed(b"clean")));
        let once = sealed(&seal, b"\0tgs\x01looks sealed");
        for plain in [b"".as_slice(), b"clean", b"\0tgs", b"\0tgs\0", b"\0tgs\x01", &once] {
            assert_eq!(opened(&seal, &sealed(&seal, plain)).as_deref(), Ok(plain));
        }
        assert_eq!(opened(&seal, b"\0tgs\x07"), Err(Unsealed::UnknownForm));
    }
}
