// SPDX-License-Identifier: GPL-3.0-or-later
//! Which files may be sealed: containers that ask for a password, told by their bytes and without cryptography.
//!
//! *May*: where a few comparisons cannot tell, as where the list of an archive is itself compressed, the answer is yes, and
//! whoever opens it says what it is. Nobody is asked about a sample that has a verdict, so this costs known mail nothing. All
//! work is linear in the bytes, and inflating inner archives keeps to a limit.
//!
//! | kind | sign | source |
//! |---|---|---|
//! | `zip` | bit 0 of a member's flags, locally or in the directory, or method 99; behind leading bytes and in inner archives, too | APPNOTE.TXT 4.4.4 |
//! | `7z` | the AES coder, or a list that is compressed | 7zFormat.txt |
//! | `rar` | RAR 4: flag 0x80 of the archive, 0x04 of a file; RAR 5: an encryption header, or such a record of a file | RAR 5.0 archive format |
//! | `ooxml` | an OLE file with a stream `EncryptedPackage` | MS-OFFCRYPTO 2.3.4 |
//! | `office` | the flag or record for it in Word, Excel and PowerPoint before 2007 | MS-DOC 2.5.1, MS-XLS 2.4.117, MS-PPT 2.3.2 |
//! | `pdf` | `/Encrypt` in the trailer | ISO 32000-1, 7.5.5 |

mod ole;
mod pdf;
mod rar;
mod seven_zip;
mod zip;

use serde::{Deserialize, Serialize};
use std::fmt;

/// A kind of container that can be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sealed {
    /// PKZIP, with either cipher.
    Zip,
    /// 7-Zip.
    #[serde(rename = "7z")]
    SevenZip,
    /// RAR 4 and 5.
    Rar,
    /// An office document since 2007.
    Ooxml,
    /// Word, Excel or PowerPoint before 2007.
    Office,
    /// PDF.
    Pdf,
}

impl Sealed {
    /// Its name in logs, metrics and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zip => "zip",
            Self::SevenZip => "7z",
            Self::Rar => "rar",
            Self::Ooxml => "ooxml",
            Self::Office => "office",
            Self::Pdf => "pdf",
        }
    }
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What `bytes` are, if they may be sealed.
pub fn maybe_sealed(bytes: &[u8]) -> Option<Sealed> {
    match bytes {
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => seven_zip::may_be(bytes).then_some(Sealed::SevenZip),
        [0xd0, 0xcf, 0x11, 0xe0, ..] => ole::kind(bytes),
        // Programs that extract themselves have archives behind them.
        _ if rar::may_be(bytes) => Some(Sealed::Rar),
        _ if zip::may_be(bytes) => Some(Sealed::Zip),
        _ if pdf::may_be(bytes) => Some(Sealed::Pdf),
        _ => None,
    }
}

/// The number in the two bytes of `bytes` at `at`, the low one first; 0 beyond the end.
fn short(bytes: &[u8], at: usize) -> usize {
    let two = bytes.get(at..).and_then(|rest| rest.first_chunk());
    two.map_or(0, |two| u16::from_le_bytes(*two).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_container_is_never_sealed() {
        let others = [
            &b""[..],
            b"PK",
            b"%PDF-1.7",
            b"7z\xbc\xaf",
            b"\xd0\xcf\x11\xe0",
            b"Rar!\x1a\x07",
            b"/Encrypt 1 0 R",
            b"MZ",
        ];
        for other in others {
            assert_eq!(maybe_sealed(other), None, "{other:?}");
        }
    }
}
