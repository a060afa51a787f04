// SPDX-License-Identifier: GPL-3.0-or-later
//! The older way, of Office 2007 ([MS-OFFCRYPTO] 2.3.4.5 to 2.3.4.9): AES block by block, SHA-1, a fixed number of rounds.

use super::aes;
use crate::{answer::Why, stop::Stop};
use sha1::{Digest as _, Sha1};

/// What the format prescribes.
pub(super) const ROUNDS: u64 = 50_000;

/// Numbers of the AES ciphers; 0 is whatever the flags say, which is AES as well.
const CIPHERS: [u32; 4] = [0, 0x660e, 0x660f, 0x6610];

const SALT: usize = 16;
const VERIFIER: usize = 16;
/// Of SHA-1, as it stands encrypted.
const VERIFIER_HASH: usize = 32;
/// Bytes that two digests are mixed into, as CryptoAPI derives a key.
const MIXED: usize = 64;

/// How one document is sealed.
pub(super) struct Info {
    key_bytes: usize,
    salt: [u8; SALT],
    verifier: [u8; VERIFIER],
    verifier_hash: [u8; VERIFIER_HASH],
}

impl Info {
    /// Reads a header with its length before it, then the verifier.
    pub(super) fn of(bytes: &[u8]) -> Result<Self, Stop> {
        let length = number(bytes, 0).ok_or(Stop::Damaged)? as usize;
        let header = bytes.get(4..).and_then(|rest| rest.get(..length)).ok_or(Stop::Damaged)?;
        let cipher = number(header, 8).ok_or(Stop::Damaged)?;
        let key_bits = number(header, 16).ok_or(Stop::Damaged)?;
        if !CIPHERS.contains(&cipher) || ![128, 192, 256].contains(&key_bits) {
            return Err(Stop::Unsupported(Why::Cipher));
        }
        // A salt with its length before it, the verifier, the length of its digest, the digest.
        let verifier = &bytes[4 + length..];
        let [salt, hashed] = [4, 4 + SALT + VERIFIER + 4];
        Ok(Self {
            key_bytes: key_bits as usize / 8,
            salt: array(verifier, salt)?,
            verifier: array(verifier, salt + SALT)?,
            verifier_hash: array(verifier, hashed)?,
        })
    }

    /// None where the password does not fit.
    pub(super) fn key(&self, password: &[u8]) -> Option<Vec<u8>> {
        let key = self.derive(password);
        let (mut verifier, mut hash) = (self.verifier, self.verifier_hash);
        aes::decrypt_each(&key, &mut verifier)?;
        aes::decrypt_each(&key, &mut hash)?;
        let digest = Sha1::digest(verifier);
        hash.starts_with(&digest).then_some(key)
    }

    fn derive(&self, password: &[u8]) -> Vec<u8> {
        let mut digest = Sha1::new().chain_update(self.salt).chain_update(password).finalize();
        for round in 0..ROUNDS as u32 {
            digest = Sha1::new().chain_update(round.to_le_bytes()).chain_update(digest).finalize();
        }
        digest = Sha1::new().chain_update(digest).chain_update(0_u32.to_le_bytes()).finalize();
        let mut key = Vec::new();
        for fill in [0x36, 0x5c] {
            let mut mixed = [fill; MIXED];
            mixed.iter_mut().zip(digest).for_each(|(mixed, byte)| *mixed ^= byte);
            key.extend_from_slice(&Sha1::digest(mixed));
        }
        key.truncate(self.key_bytes);
        key
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|number| u32::from_le_bytes(*number))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Stop> {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().ok_or(Stop::Damaged)
}
