// SPDX-License-Identifier: GPL-3.0-or-later
//! Messages as Outlook keeps them in a file (MS-OXMSG, `.msg`): a compound file with a stream for each property, a storage
//! for each attachment, and the same again for a message that is attached.

use super::{
    Enclosed, Opened,
    mapi::{
        self, FILE, PR_ATTACH_DATA, PR_ATTACH_FILENAME, PR_ATTACH_LONG_FILENAME, PR_DISPLAY_NAME, UNICODE,
    },
    ole::{Compound, Entry},
};
use bytes::Bytes;

const PROPERTY: &str = "__substg1.0_";
const ATTACHMENT: &str = "__attach_version1.0_";
const KIND: &str = "outlook_msg";
/// Streams with a name, of each kind.
const MAX_NAMES: usize = 4;
/// Bytes of a name, at most.
const LONGEST_NAME: u64 = 1024;

/// Opens `bytes` if they are such a message, and every one that is attached inside.
pub(super) fn open(bytes: &Bytes, limit: u64, opened: &mut Opened) {
    let Some(file) = Compound::open(bytes) else { return };
    let mut reader = Reader { file, limit, seen: Vec::new(), messages: Vec::new() };
    let root = reader.children(Compound::ROOT);
    reader.messages.push(root);
    while let Some(parts) = reader.messages.pop() {
        reader.message(parts, opened);
    }
}

struct Reader {
    file: Compound,
    limit: u64,
    /// Which entries were looked at.
    seen: Vec<bool>,
    /// What is in the storages of messages that wait.
    messages: Vec<Vec<(u32, Entry)>>,
}

impl Reader {
    fn message(&mut self, parts: Vec<(u32, Entry)>, opened: &mut Opened) {
        for (index, entry) in parts {
            if opened.over_limit {
                return;
            }
            if entry.is_storage && entry.name.starts_with(ATTACHMENT) {
                opened.kind = KIND;
                self.attachment(index, opened);
            } else if let Some((id, kind)) = property(&entry.name).filter(|(id, _)| mapi::is_body(*id)) {
                opened.kind = KIND;
                let value = self.stream(&entry, opened);
                mapi::body(id, kind, value, self.limit, opened);
            }
        }
    }

    fn attachment(&mut self, storage: u32, opened: &mut Opened) {
        let parts = self.children(storage);
        let names = self.names(&parts);
        let data = parts
            .iter()
            .filter(|(_, entry)| property(&entry.name).is_some_and(|(id, _)| id == PR_ATTACH_DATA));
        for (index, entry) in data {
            if entry.is_storage {
                self.object(*index, &names, opened);
            } else {
                self.file(entry, &names, opened);
            }
        }
    }

    /// The names among the properties of an attachment, the long one first.
    fn names(&self, parts: &[(u32, Entry)]) -> Vec<String> {
        let named = |wanted: u16| {
            let of = move |(_, entry): &(u32, Entry)| {
                let (_, kind) = property(&entry.name).filter(|(id, _)| *id == wanted)?;
                let (value, _) = self.file.stream(entry, LONGEST_NAME);
                Some(mapi::text(&value, kind == UNICODE))
            };
            parts.iter().filter_map(of).take(MAX_NAMES)
        };
        let all = [PR_ATTACH_LONG_FILENAME, PR_ATTACH_FILENAME, PR_DISPLAY_NAME];
        mapi::distinct(all.into_iter().flat_map(named))
    }

    /// What stands in the place of an attachment's bytes: a message, or what some program has embedded, whose streams can
    /// hold a file.
    fn object(&mut self, storage: u32, names: &[String], opened: &mut Opened) {
        let parts = self.children(storage);
        if parts.iter().any(|(_, entry)| entry.name.starts_with("__")) {
            self.messages.push(parts);
            return;
        }
        for (_, entry) in parts.iter().filter(|(_, entry)| !entry.is_storage) {
            self.file(entry, names, opened);
        }
    }

    fn file(&self, entry: &Entry, names: &[String], opened: &mut Opened) {
        if !opened.over_limit {
            let content = self.stream(entry, opened);
            let file =
                Enclosed { names: names.to_vec(), media_type: FILE.into(), content, ..Enclosed::default() };
            opened.push(file, self.limit);
        }
    }

    fn children(&mut self, storage: u32) -> Vec<(u32, Entry)> {
        self.file.children(storage, &mut self.seen)
    }

    /// The bytes of a stream, within what is left.
    fn stream(&self, entry: &Entry, opened: &mut Opened) -> Bytes {
        let left = opened.left(self.limit).min(self.limit.saturating_sub(opened.held_bytes as u64));
        let (content, joined) = self.file.stream(entry, left.saturating_add(1));
        if joined {
            opened.held_bytes += content.len();
            opened.over_limit |= content.len() as u64 > left;
        }
        content
    }
}

/// The number and the type in the name of a property's stream.
fn property(name: &str) -> Option<(u16, u16)> {
    let tag = name.strip_prefix(PROPERTY)?;
    let number = |digits: Option<&str>| u16::from_str_radix(digits?, 16).ok();
    Some((number(tag.get(..4))?, number(tag.get(4..8))?))
}

#[cfg(test)]
mod tests {
    use super::{super::tests::data, *};
    use std::io::{Cursor, Write};

    fn opened(bytes: impl Into<Bytes>, limit: u64) -> Opened {
        super::super::open(&bytes.into(), limit)
    }

    /// Names, type and content of each file.
    fn files(opened: &Opened) -> Vec<[String; 3]> {
        let show = |file: &Enclosed| {
            [file.names.join("|"), file.media_type.clone(), String::from_utf8_lossy(&file.content).into()]
        };
        opened.files.iter().map(show).collect()
    }

    /// A compound file with these streams.
    fn compound(streams: &[(&str, &[u8])]) -> Vec<u8> {
        let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).unwrap();
        for (path, content) in streams {
            let (storages, _) = path.rsplit_once('/').unwrap();
            if !storages.is_empty() {
                file.create_storage_all(storages).unwrap();
            }
            file.create_stream(path).unwrap().write_all(content).unwrap();
        }
        file.into_inner().into_inner()
    }

    #[test]
    fn bodies_and_attachments_come_with_their_names() {
        let opened = opened(data("outlook/mail.msg"), 1 << 20);
        let long = "MZ long ".repeat(700);
        let mut found = files(&opened);
        found.sort();
        let mut expected = [
            ["", "text/plain", "Hello"],
            ["", "text/html", "<html>Hi</html>"],
            ["", "text/rtf", "{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"],
            ["Report f\u{fc}r 2026.exe|REPORT~1.EXE", FILE, "MZ short"],
            ["long.exe", FILE, &long],
            ["Sheet", FILE, "an object"],
            ["", "text/plain", "Inner"],
            ["inner.js", FILE, "inner file"],
        ];
        expected.sort();
        assert_eq!(found, expected);
        assert_eq!((opened.kind, opened.over_limit), ("outlook_msg", false));
    }

    #[test]
    fn other_compound_files_are_no_messages() {
        let opened =
            opened(compound(&[("/WordDocument", b"text"), ("/x/__substg1.0_37010102", b"x")]), 1 << 20);
        assert_eq!((files(&opened), opened.kind), (vec![], ""));
    }

    #[test]
    fn what_is_cut_is_taken_as_far_as_it_goes() {
        let whole = data("outlook/mail.msg");
        let end = memchr::memmem::rfind(&whole, b"MZ long ").unwrap();
        for length in (0..whole.len()).step_by(64) {
            opened(whole.slice(..length), 1 << 20);
        }
        let cut = opened(whole.slice(..end), 1 << 20);
        let long = cut.files.iter().find(|file| file.names == ["long.exe"]).unwrap();
        assert!(long.content.starts_with(b"MZ long MZ long"), "{}", long.content.len());
    }

    #[test]
    fn chains_without_an_end_keep_to_the_limit() {
        let content = [7; 10_000];
        let mut file = compound(&[("/__attach_version1.0_#00000000/__substg1.0_37010102", &content)]);
        // Each sector that follows another follows itself, and the stream says that it is as long as can be.
        let at = |file: &[u8], bytes: &[u8]| memchr::memmem::find(file, bytes).unwrap();
        let size = at(&file, &10_000_u32.to_le_bytes());
        file[size..size + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        let table = at(&file, &[0xfd, 0xff, 0xff, 0xff]);
        for (index, entry) in file[table..table + 512].as_chunks_mut::<4>().0.iter_mut().enumerate().skip(1) {
            if u32::from_le_bytes(*entry) == index as u32 + 1 {
                *entry = (index as u32).to_le_bytes();
            }
        }
        let all = opened(file.clone(), u64::MAX >> 1);
        assert!(all.held_bytes <= file.len(), "{} bytes", all.held_bytes);
        let some = opened(file, 1000);
        assert!(some.over_limit && some.files.is_empty() && some.held_bytes <= 1001);
    }

    #[test]
    fn an_entry_counts_once_however_often_it_is_linked() {
        let path = "/__attach_version1.0_#00000000/__substg1.0_37010102";
        let mut file = compound(&[(path, b"MZ"), (&path.replace("#00000000", "#00000001"), b"MZ other")]);
        // Every entry has the same entries beside and below it.
        let directory = memchr::memmem::find(&file, b"R\0o\0o\0t\0").unwrap();
        for entry in file[directory..directory + 5 * 128].as_chunks_mut::<128>().0 {
            for (link, index) in [(68, 1_u32), (72, 2), (76, 3)] {
                entry[link..link + 4].copy_from_slice(&index.to_le_bytes());
            }
        }
        assert!(opened(file, 1 << 20).files.len() <= 2);
    }
}
