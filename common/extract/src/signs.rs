// SPDX-License-Identifier: GPL-3.0-or-later
//! What bytes look like that were decoded: which of all that could be in them is worth a look.

use super::{
    body::{self, Class},
    bytewise::is_binary,
    container::{self, wide::Charset},
    decode::Decoding,
    unopened,
};

/// Bytes of a file in which one begins that is encoded once more.
const FILES: usize = 1024;

/// What bytes look like that were decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signs {
    /// They start as messages do.
    pub(crate) message: bool,
    /// They start as containers do, or are a text that holds one.
    pub(crate) container: bool,
    /// They are a compound file: a message of Outlook's, or a document.
    pub(crate) compound: bool,
    /// They are a text that may hold encoded files.
    pub(crate) files: bool,
    /// They are a text in which ASCII is not itself.
    pub(crate) charset: Option<Charset>,
    /// They are a container that nobody opens.
    pub(crate) unopened: Option<&'static str>,
}

impl Signs {
    /// Those of `bytes`: in a text armour is looked for to its end, anything else is told by the start.
    pub(crate) fn of(bytes: &[u8], class: Class, decoding: Decoding) -> Self {
        let start = &bytes[..bytes.len().min(body::START)];
        let plain = decoding == Decoding::Identity;
        let text = if plain || class != Class::File || is_text(start) { bytes } else { start };
        // Mail clients decode the files in what they show as a text; to other programs such a file begins with them.
        let files = if class == Class::Plain { bytes } else { &bytes[..bytes.len().min(FILES)] };
        Self {
            message: body::is_message(start),
            container: container::is_one(text),
            compound: container::is_compound(start),
            // Those in a text that is not encoded itself are among what else it could be.
            files: !plain && body::may_hold_files(files),
            charset: Charset::of(start),
            unopened: if class == Class::File { unopened::kind_of(bytes) } else { None },
        }
    }
}

/// True where a file that begins with `start` is a text. A PDF has one inside, at most.
pub(crate) fn is_text(start: &[u8]) -> bool {
    !start.starts_with(b"%PDF") && !is_binary(start)
}
