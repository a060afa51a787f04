// SPDX-License-Identifier: GPL-3.0-or-later
//! The newer way, since Office 2010 ([MS-OFFCRYPTO] 2.3.4.10 to 2.3.4.15): an XML document names cipher, digest, rounds and
//! salts. The password opens a key, the key the package, in segments.

use super::aes::{self, BLOCK};
use crate::{answer::Why, stop::Stop};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use roxmltree::{Document, Node};
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha384, Sha512};

/// Purposes of a key that is derived from a password.
const VERIFIER: [u8; 8] = [0xfe, 0xa7, 0xd2, 0x76, 0x3b, 0x4b, 0x9e, 0x79];
const VERIFIER_HASH: [u8; 8] = [0xd7, 0xaa, 0x0f, 0x6d, 0x30, 0x61, 0x34, 0x4e];
const KEY: [u8; 8] = [0x14, 0x6e, 0x0b, 0xe7, 0xab, 0xac, 0xd0, 0xd6];

/// What a derived value is filled up with.
const FILL: u8 = 0x36;
/// Bytes of a segment of the package.
const SEGMENT: usize = 4096;
/// Bytes of a salt, or of anything else that stands in the XML in base64.
const LONGEST: usize = 128;

/// How one document is sealed.
pub(super) struct Info {
    package: Cipher,
    password: Cipher,
    rounds: u32,
    verifier: Vec<u8>,
    verifier_hash: Vec<u8>,
    key: Vec<u8>,
}

/// A salt, a digest and the length of a key: of the package, or of what the password opens.
struct Cipher {
    salt: Vec<u8>,
    hash: Hash,
    key_bytes: usize,
}

#[derive(Clone, Copy)]
enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Info {
    pub(super) fn of(xml: &[u8]) -> Result<Self, Stop> {
        let text = std::str::from_utf8(xml).map_err(|_| Stop::Damaged)?;
        let document = Document::parse(text.trim_end_matches('\0')).map_err(|_| Stop::Damaged)?;
        let package = element(&document, "keyData").ok_or(Stop::Damaged)?;
        // Beside keys for passwords there may be those for certificates, which have another name.
        let key = element(&document, "encryptedKey").ok_or(Stop::Unsupported(Why::Cipher))?;
        let rounds = key.attribute("spinCount").and_then(|rounds| rounds.parse().ok());
        Ok(Self {
            package: Cipher::of(&package)?,
            password: Cipher::of(&key)?,
            rounds: rounds.ok_or(Stop::Damaged)?,
            verifier: bytes(&key, "encryptedVerifierHashInput")?,
            verifier_hash: bytes(&key, "encryptedVerifierHashValue")?,
            key: bytes(&key, "encryptedKeyValue")?,
        })
    }

    pub(super) fn rounds(&self) -> u64 {
        u64::from(self.rounds)
    }

    /// The key of the package. None where the password does not fit.
    pub(super) fn key(&self, password: &[u8]) -> Option<Vec<u8>> {
        let Self { password: cipher, .. } = self;
        let mut digest = cipher.hash.of(&[&cipher.salt, password]);
        for round in 0..self.rounds {
            digest = cipher.hash.of(&[&round.to_le_bytes(), &digest]);
        }
        let verifier = cipher.open(&digest, VERIFIER, &self.verifier)?;
        let hash = cipher.open(&digest, VERIFIER_HASH, &self.verifier_hash)?;
        let expected = cipher.hash.of(&[verifier.get(..cipher.salt.len())?]);
        if !hash.starts_with(&expected) {
            return None;
        }
        let mut key = cipher.open(&digest, KEY, &self.key)?;
        key.truncate(self.package.key_bytes);
        Some(key)
    }

    /// Decrypts the package: each segment begins anew, with its number.
    pub(super) fn decrypt(&self, key: &[u8], package: &mut [u8]) -> Option<()> {
        let Cipher { salt, hash, .. } = &self.package;
        for (number, segment) in (0_u32..).zip(package.chunks_mut(SEGMENT)) {
            let first = filled(&hash.of(&[salt, &number.to_le_bytes()]), BLOCK);
            aes::decrypt_chained(key, first.first_chunk()?, segment)?;
        }
        Some(())
    }
}

impl Cipher {
    fn of(node: &Node<'_, '_>) -> Result<Self, Stop> {
        let known = node.attribute("cipherAlgorithm") == Some("AES")
            && node.attribute("cipherChaining") == Some("ChainingModeCBC");
        let hash = node.attribute("hashAlgorithm").and_then(Hash::named).filter(|_| known);
        let key_bits: Option<usize> = node.attribute("keyBits").and_then(|bits| bits.parse().ok());
        let key_bytes = key_bits.filter(|bits| [128, 192, 256].contains(bits)).map(|bits| bits / 8);
        match (hash, key_bytes) {
            (Some(hash), Some(key_bytes)) => Ok(Self { salt: bytes(node, "saltValue")?, hash, key_bytes }),
            _ => Err(Stop::Unsupported(Why::Cipher)),
        }
    }

    /// What the password opens for one purpose.
    fn open(&self, digest: &[u8], purpose: [u8; 8], sealed: &[u8]) -> Option<Vec<u8>> {
        let key = filled(&self.hash.of(&[digest, &purpose]), self.key_bytes);
        let first = filled(&self.salt, BLOCK);
        let mut opened = sealed.to_vec();
        aes::decrypt_chained(&key, first.first_chunk()?, &mut opened)?;
        Some(opened)
    }
}

impl Hash {
    fn named(name: &str) -> Option<Self> {
        match name {
            "SHA1" | "SHA-1" => Some(Self::Sha1),
            "SHA256" | "SHA-256" => Some(Self::Sha256),
            "SHA384" | "SHA-384" => Some(Self::Sha384),
            "SHA512" | "SHA-512" => Some(Self::Sha512),
            _ => None,
        }
    }

    fn of(self, pieces: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Sha1 => digest::<Sha1>(pieces),
            Self::Sha256 => digest::<Sha256>(pieces),
            Self::Sha384 => digest::<Sha384>(pieces),
            Self::Sha512 => digest::<Sha512>(pieces),
        }
    }
}

fn digest<D: Digest>(pieces: &[&[u8]]) -> Vec<u8> {
    let mut digest = D::new();
    pieces.iter().for_each(|piece| digest.update(piece));
    digest.finalize().to_vec()
}

/// Cut, or filled up.
fn filled(bytes: &[u8], length: usize) -> Vec<u8> {
    let mut filled = bytes.to_vec();
    filled.resize(length, FILL);
    filled
}

fn element<'a, 'input>(document: &'a Document<'input>, name: &str) -> Option<Node<'a, 'input>> {
    document.descendants().find(|node| node.tag_name().name() == name)
}

fn bytes(node: &Node<'_, '_>, attribute: &str) -> Result<Vec<u8>, Stop> {
    let text = node.attribute(attribute).filter(|text| text.len() <= 2 * LONGEST).ok_or(Stop::Damaged)?;
    let text: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(text).map_err(|_| Stop::Damaged)
}
