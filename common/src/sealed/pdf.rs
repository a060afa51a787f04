// SPDX-License-Identifier: GPL-3.0-or-later
//! PDF: the trailer's dictionary has an entry `Encrypt`, whose name may be spelt with escapes (`/Encr#79pt`). The trailer is
//! never compressed. Where the empty password opens it, it is not sealed; that takes cryptography to know.

use memchr::{memchr_iter, memmem};

/// Bytes before the header that readers pass over.
const LEADING: usize = 1024;
const NAME: &[u8] = b"Encrypt";

/// True where `bytes` are a PDF that is encrypted.
pub(super) fn may_be(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(LEADING)];
    memmem::find(start, b"%PDF-").is_some() && memchr_iter(b'/', bytes).any(|at| is_name(&bytes[at + 1..]))
}

/// True where `text` begins with the name, and ends there.
fn is_name(text: &[u8]) -> bool {
    let mut rest = text;
    for wanted in NAME {
        if take(&mut rest) != Some(*wanted) {
            return false;
        }
    }
    rest.first().is_none_or(|byte| byte.is_ascii_whitespace() || b"()<>[]{}/%\0".contains(byte))
}

/// The character that `text` begins with, which may be an escape; what follows it is left.
fn take(text: &mut &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (byte, rest) = match **text {
        [b'#', high, low, ..] => (digit(high)? << 4 | digit(low)?, &text[3..]),
        [byte, ..] => (byte, &text[1..]),
        [] => return None,
    };
    *text = rest;
    Some(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trailer_says_it_however_it_is_spelt() {
        let pdf = |trailer: &str| {
            may_be(format!("%PDF-1.7\n1 0 obj\n<</A 1>>\ntrailer\n<<{trailer}>>\n").as_bytes())
        };
        for sealed in ["/Encrypt 5 0 R", "/Size 5/Encrypt<</V 1>>", "/Encr#79pt 5 0 R", "/#45ncrypt\n5 0 R"] {
            assert!(pdf(sealed), "{sealed}");
        }
        for open in ["/EncryptMetadata false", "/Size 5", "/Encryp", "/Encr#7", "/encrypt 5 0 R"] {
            assert!(!pdf(open), "{open}");
        }
        assert!(may_be(b"\r\n%PDF-1.7 /Encrypt") && !may_be(b"<</Encrypt 5 0 R>>"));
    }
}
