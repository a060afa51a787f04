// SPDX-License-Identifier: GPL-3.0-or-later
//! The header block of one entity: which of its lines are fields, and where its body starts.
//!
//! Only the three fields that say how to read the body are kept, as they stand, each with its repetitions up to a
//! bound. A line is looked at once, so a block costs what it is long, whatever is in it.

use super::{
    bytewise::{self, has_bare_returns},
    value::contains_ignoring_case,
};

/// How many values of a repeated field are kept: the first ones, and the last.
const REPETITIONS: usize = 8;

/// Bytes of a block that are read: as many as Exim takes (`header_maxsize`), and far more than programs write.
const MAX_BLOCK: usize = 1 << 20;

/// What is kept of one header block, as slices of the message.
#[derive(Default)]
pub(crate) struct Block<'a> {
    /// Values of Content-Type, in order.
    pub(crate) types: Vec<&'a [u8]>,
    /// Values of Content-Disposition, in order.
    pub(crate) dispositions: Vec<&'a [u8]>,
    /// Values of Content-Transfer-Encoding, in order.
    pub(crate) encodings: Vec<&'a [u8]>,
    /// How many fields there are, of any name.
    pub(crate) fields: usize,
    /// A line was neither a field, nor a continuation, nor empty.
    pub(crate) junk: bool,
    /// Something else that no program writes unless it means to confuse: control characters, blank continuations,
    /// strange names.
    pub(crate) odd: bool,
    /// It is longer than what is read of it.
    pub(crate) too_long: bool,
    /// Where the body starts, from the start of the block.
    pub(crate) body: usize,
}

/// Where a field stands, its name first; nowhere where it has no end.
#[derive(Default)]
struct Field {
    start: usize,
    /// The length of its name.
    name: usize,
    end: usize,
}

impl<'a> Block<'a> {
    /// Reads the block at the start of `text`. It ends after its empty line, or before a line that `ends` says is a
    /// delimiter, or at a line that is no field unless `skip_junk`.
    pub(crate) fn parse(text: &'a [u8], skip_junk: bool, ends: impl Fn(&[u8]) -> bool) -> Self {
        let mut block = Self::default();
        let (mut field, mut at) = (Field::default(), 0);
        let cut = text.len() > MAX_BLOCK;
        let text = &text[..text.len().min(MAX_BLOCK)];
        while at < text.len() {
            let next = bytewise::find(b'\n', &text[at..]).map_or(text.len(), |length| at + length + 1);
            block.too_long = cut && next == text.len();
            let line = &text[at..next];
            if matches!(line, b"\n" | b"\r\n") {
                at = next;
                break;
            }
            if line.starts_with(b"--") && ends(line) {
                break;
            }
            if matches!(line[0], b' ' | b'\t') && field.end > 0 {
                let folded = line.trim_ascii();
                let hidden = folded.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"));
                let listed = || is_signature(&text[field.start..][..field.name]) && lists_names(folded);
                block.odd |= folded.is_empty() || hidden && !listed();
                field.end = next;
            } else if let Some(name) = name_length(line) {
                block.keep(text, std::mem::replace(&mut field, Field { start: at, name, end: next }));
            } else {
                block.junk = true;
                if !skip_junk {
                    break;
                }
            }
            at = next;
        }
        block.keep(text, field);
        block.odd |= has_controls(&text[..at]);
        block.body = at;
        block
    }

    fn keep(&mut self, text: &'a [u8], field: Field) {
        let Field { start, name: length, end } = field;
        if end == 0 {
            return;
        }
        let field = &text[start..end];
        self.fields += 1;
        let name = field[..length].trim_ascii_end();
        let usual = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
        self.odd |= name.starts_with(b"-") || !name.iter().all(usual) && could_be_ours(name);
        let values = match name {
            _ if name.eq_ignore_ascii_case(b"content-type") => &mut self.types,
            _ if name.eq_ignore_ascii_case(b"content-disposition") => &mut self.dispositions,
            _ if name.eq_ignore_ascii_case(b"content-transfer-encoding") => &mut self.encodings,
            _ => {
                self.odd |= resembles_ours(name);
                return;
            }
        };
        self.odd |= name.len() != length;
        let value = field[length + 1..].trim_ascii();
        if !values.contains(&value) {
            values.truncate(REPETITIONS - 1);
            values.push(value);
        }
    }
}

/// True where some reader could take a field of this `name` for one that says how to read the body.
fn resembles_ours(name: &[u8]) -> bool {
    let starts = |word: &[u8]| name.len() >= word.len() && name[..word.len()].eq_ignore_ascii_case(word);
    let known = starts(b"content-") && !contains_ignoring_case(name, b"encod") && !starts(b"content-type");
    !known && (contains_ignoring_case(name, b"encoding") || starts(b"content"))
}

/// True where `name`, which has characters that no program puts there, could be one of our fields to a reader who drops
/// those or what stands in parentheses, or where it ends in the middle of a comment or of quotes.
fn could_be_ours(name: &[u8]) -> bool {
    let letters: Vec<u8> = name.iter().copied().filter(u8::is_ascii_alphabetic).collect();
    let count = |wanted| bytewise::count(name, move |byte| byte == wanted);
    count(b'(') != count(b')')
        || count(b'"') > 0
        || count(b'\\') > 0
        || [&b"content"[..], b"encoding", b"mimever"]
            .iter()
            .any(|word| contains_ignoring_case(&letters, word))
}

/// True for a field that lists the names of others (`h=`): DKIM (RFC 6376), ARC (RFC 8617), DomainKeys.
fn is_signature(name: &[u8]) -> bool {
    [&b"dkim"[..], b"arc-", b"signature"].iter().any(|word| contains_ignoring_case(name, word))
}

/// True where `line`, a fold of such a field, goes on with names and colons, and none of what follows them is what one of
/// our fields would say.
pub(crate) fn lists_names(line: &[u8]) -> bool {
    let list = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii_start();
    let list = list.strip_prefix(b"h=").unwrap_or(list);
    let mut names = list.split(|&byte| byte == b':').map(<[u8]>::trim_ascii);
    let is_name =
        |name: &[u8]| name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let says = [&b"base64"[..], b"quoted", b"uu", b"yenc", b"hex", b"gzip"];
    names.all(|name| is_name(name) && !says.iter().any(|word| contains_ignoring_case(name, word)))
}

/// True where `block` holds control characters besides its line ends and tabs. ISO-2022 uses ESC, SO and SI.
fn has_controls(block: &[u8]) -> bool {
    let control =
        |byte| (byte <= 8) | (byte == 11) | (byte == 12) | (16..b' ').contains(&byte) & (byte != 27);
    bytewise::any(block, control) || has_bare_returns(block)
}

/// The length of the field name that `line` starts with, blanks before the colon included.
fn name_length(line: &[u8]) -> Option<usize> {
    let end = line.iter().position(|byte| !matches!(byte, b'!'..=b'9' | b';'..=b'~'))?;
    let colon = end + line[end..].iter().position(|byte| !matches!(byte, b' ' | b'\t'))?;
    (end > 0 && line[colon] == b':').then_some(colon)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str) -> Block<'_> {
        Block::parse(text.as_bytes(), false, |line| line.starts_with(b"--x"))
    }

    #[test]
    fn a_folded_field_is_one_whatever_its_line_ends() {
        let text = "A: 1\r\ncontent-TYPE : text/html;\n charset=x;\r\n\ty=z\n\nbody";
        let block = block(text);
        assert_eq!(block.types, [b"text/html;\n charset=x;\r\n\ty=z"]);
        assert_eq!(&text[block.body..], "body");
        assert!(!block.junk);
    }

    #[test]
    fn a_block_ends_before_a_delimiter_and_at_a_line_that_is_no_field() {
        assert_eq!(block("A: 1\n--x\n").body, 5);
        let block = block("A: 1\nno field\nB: 2\n\n");
        assert_eq!((block.body, block.junk, block.fields), (5, true, 1));
    }

    #[test]
    fn junk_can_be_skipped() {
        let text = b"A: 1\nno field\nContent-Type: a/b\n\nbody";
        let block = Block::parse(text, true, |_| false);
        assert_eq!((block.fields, block.types), (2, vec![&b"a/b"[..]]));
    }

    #[test]
    fn what_no_program_writes_is_odd() {
        for odd in [
            "A: 1\0\n\n",
            "A: 1\rB: 2\n\n",
            "A:\x0b1\n\n",
            "A: 1\n \n\n",
            "A(: )B: 1\n\n",
            "Content-Type : a/b\n\n",
            "A: b\n Content-Type: x\n\n",
            "Content_Type: x\n\n",
            "Content*-Type: x\n\n",
            "DKIM-Signature: h=a:\n Content-Type: multipart/mixed; boundary=x\n\n",
            "DKIM-Signature: h=a:\n Content-Transfer-Encoding: base64\n\n",
            "X-Any: h=a:\n content-type:date\n\n",
        ] {
            assert!(block(odd).odd, "{odd:?}");
        }
        for usual in [
            "A_b.c-1: \x1b$B\tx\r\n y\r\n\r\n",
            "Subject : x\n\n",
            "Content-Type: a/b\n\n\0",
            "X-Copyright(C): x\n>Received: y\n\n",
            "DKIM-Signature: h=a:\n content-type:date; bh=x\n\n",
        ] {
            assert!(!block(usual).odd, "{usual:?}");
        }
    }

    #[test]
    fn repetitions_keep_the_first_and_the_last() {
        let text: String = (0..1000).map(|n| format!("Content-Type: a/{n}\n")).collect();
        let block = block(&text);
        assert_eq!((block.types[0], block.types[REPETITIONS - 1]), (&b"a/0"[..], &b"a/999"[..]));
        assert_eq!(block.types.len(), REPETITIONS);
    }

    #[test]
    fn a_block_that_is_too_long_says_so() {
        let long = |last: &str| format!("{}{last}", "A: b\n".repeat(MAX_BLOCK / 5));
        assert!(!block(&long("\n")).too_long && block(&long("A: b\n\n")).too_long);
        assert!(block(&"x".repeat(MAX_BLOCK + 1)).too_long && !block(&"x".repeat(MAX_BLOCK)).too_long);
        assert!(!block(&format!("A: b\n\n{}", "x".repeat(MAX_BLOCK))).too_long);
    }
}
