// SPDX-License-Identifier: GPL-3.0-or-later
//! The names of a part: every one that a mail client could show, the most dangerous first.
//!
//! A client opens a part by the extension of its name, and the scanner judges by it, so of several names the one counts
//! that would do most harm.

use super::{
    header::Block,
    value::{Text, Value},
};
use encodify::rfc2047;
use mail_parser::decoders::charsets::map::charset_decoder;

/// Names of one part; those of a hostile header come to more.
const MAX_NAMES: usize = 8;
/// Values of one parameter that are looked at.
const MAX_VALUES: usize = 8;
/// Characters of a file name, from its end, where the extension is.
const MAX_NAME: usize = 255;
/// Bytes of an encoded file name, from its end.
const MAX_ENCODED_NAME: usize = 8 * 1024;

/// What a header block says of its part's name.
#[derive(Default)]
pub(crate) struct Names {
    /// Every one, the most dangerous first.
    pub(crate) all: Vec<String>,
    /// A field says that it is an attachment.
    pub(crate) attachment: bool,
}

/// The names of the part under `block`, whose Content-Type is `value`.
pub(crate) fn of_part(block: &Block<'_>, value: &Value) -> Names {
    let mut dispositions: Vec<Value> = block.dispositions.iter().map(|field| Value::parse(field)).collect();
    let attachment =
        dispositions.iter().any(|disposition| !matches!(disposition.token.as_str(), "" | "inline"));
    if block.dispositions.len() > 1 {
        // A name in sections may be spread over the fields.
        dispositions.push(Value::parse(&block.dispositions.join(&b"; "[..])));
    }
    let mut all: Vec<String> =
        dispositions.iter().flat_map(|disposition| names(disposition, "filename")).collect();
    all.extend(names(value, "name"));
    Names { all: most_dangerous_first(all), attachment }
}

/// Every name under `parameter`.
pub(crate) fn names(value: &Value, parameter: &str) -> Vec<String> {
    let extended = value.extended(parameter).take(MAX_VALUES).map(|text| converted(&text));
    let plain = value.plain(parameter).take(MAX_VALUES).map(|text| decoded_words(&text.bytes));
    extended.chain(plain).flat_map(|name| readings(&name)).collect()
}

/// `names` without repetitions and without the harmless ones of too many, the most dangerous first.
pub(crate) fn most_dangerous_first(names: Vec<String>) -> Vec<String> {
    let mut all = Vec::new();
    for name in names {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all.sort_by_key(|name| std::cmp::Reverse(danger(Some(name))));
    all.truncate(MAX_NAMES);
    all
}

/// How much harm a file of this name can do, from 0: pictures and the like, to 4: what runs when it is opened.
pub(crate) fn danger(name: Option<&str>) -> u8 {
    const HARMLESS: &[&str] =
        &["txt", "log", "jpg", "jpeg", "png", "gif", "bmp", "tif", "tiff", "ics", "vcf", "asc", "p7s", "sig"];
    const PASSIVE: &[&str] =
        &["docx", "xlsx", "pptx", "odt", "ods", "odp", "csv", "mp3", "mp4", "wav", "avi"];
    const ACTIVE: &[&str] = &[
        "doc", "dot", "docm", "dotm", "xls", "xlt", "xlsm", "xltm", "xlsb", "ppt", "pps", "pptm", "ppsm",
        "potm", "rtf", "pdf", "svg", "htm", "html", "xhtml", "shtml", "mht", "mhtml", "xml", "xsl", "slk",
        "iqy", "pub", "mdb", "accdb", "swf", "eml", "msg", "one", "zip", "rar", "7z", "gz", "tgz", "tar",
        "cab", "arj", "ace", "lzh", "bz2", "xz", "iso", "img", "vhd", "vhdx", "udf",
    ];
    const RUNS: &[&str] = &[
        "exe",
        "scr",
        "com",
        "pif",
        "bat",
        "cmd",
        "cpl",
        "dll",
        "ocx",
        "sys",
        "msi",
        "msp",
        "mst",
        "msc",
        "jar",
        "js",
        "jse",
        "vbs",
        "vbe",
        "wsf",
        "wsh",
        "ws",
        "hta",
        "ps1",
        "psm1",
        "lnk",
        "url",
        "scf",
        "reg",
        "inf",
        "chm",
        "hlp",
        "gadget",
        "xll",
        "xlam",
        "ade",
        "adp",
        "mde",
        "appx",
        "msix",
        "application",
        "appref-ms",
        "library-ms",
        "search-ms",
        "settingcontent-ms",
        "sh",
        "py",
        "pl",
        "rb",
        "desktop",
        "command",
        "dmg",
        "pkg",
        "app",
        "apk",
        "deb",
        "rpm",
        "run",
        "elf",
        "wasm",
        "diagcab",
        "rdp",
    ];
    let Some(extension) = name.and_then(extension) else { return 0 };
    match extension.as_str() {
        known if RUNS.contains(&known) => 4,
        known if ACTIVE.contains(&known) => 3,
        known if PASSIVE.contains(&known) => 1,
        known if HARMLESS.contains(&known) => 0,
        _ => 2,
    }
}

/// The lower-case extension, as Windows sees it: dots and blanks at the end do not count.
pub(crate) fn extension(name: &str) -> Option<String> {
    let name = name.trim_end_matches(|character: char| character == '.' || character.is_whitespace());
    name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase())
}

/// True where files with all of these names are opened by programs that keep documents or packages in compound files: so
/// Outlook does not open them.
pub(crate) fn are_documents(names: &[String]) -> bool {
    const DOCUMENTS: &[&str] =
        &["doc", "dot", "xls", "xlt", "xla", "ppt", "pps", "pot", "vsd", "mpp", "pub", "msi", "msp", "mst"];
    let is_document =
        |name: &String| extension(name).is_some_and(|extension| DOCUMENTS.contains(&extension.as_str()));
    !names.is_empty() && names.iter().all(is_document)
}

/// True where it matters which of two names a client shows: by one the part would be harmless, or something else that
/// harms. A name without an extension is the other one, cut or translated.
pub(crate) fn differ(one: &str, other: &str) -> bool {
    let (Some(one_kind), Some(other_kind)) = (extension(one), extension(other)) else { return false };
    one_kind != other_kind && danger(Some(one)).max(danger(Some(other))) > 1
}

/// `value` with its encoded words (RFC 2047) decoded; of a long one, its end.
pub(crate) fn decoded_words(value: &[u8]) -> String {
    let value = &value[value.len().saturating_sub(MAX_ENCODED_NAME)..];
    let convert = |charset: &[u8], bytes: &[u8], out: &mut String| {
        out.push_str(&converted(&Text { bytes: bytes.to_vec(), charset: charset.to_vec() }));
    };
    rfc2047::decode_text(value, convert).into_owned()
}

fn converted(text: &Text) -> String {
    match charset_decoder(&text.charset) {
        Some(decode) if !text.charset.is_empty() => decode(&text.bytes),
        _ => String::from_utf8_lossy(&text.bytes).into_owned(),
    }
}

/// `name` as clients show it, and up to its first NUL, where some end it.
fn readings(name: &str) -> Vec<String> {
    let whole = shown(name);
    let cut = name.find('\0').map(|end| shown(&name[..end]));
    let bare = whole.trim_matches('\'').to_owned();
    let bare = (bare != whole).then_some(bare);
    std::iter::once(whole).chain(cut).chain(bare).filter(|name| !name.is_empty()).collect()
}

/// No control characters, none that are invisible or turn the direction of writing, no dots and blanks at the end, which
/// Windows drops, no endless ones.
fn shown(name: &str) -> String {
    let hidden = |character: char| {
        character.is_control()
            || matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let end = |character: char| character == '.' || character.is_whitespace() || hidden(character);
    let name = name.trim_start().trim_end_matches(end);
    let name: Vec<char> = name.chars().filter(|&character| !hidden(character)).collect();
    name[name.len().saturating_sub(MAX_NAME)..].iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(field: &str) -> Vec<String> {
        names(&Value::parse(field.as_bytes()), "filename")
    }

    #[test]
    fn names_of_rfc_2231_and_2047_are_decoded() {
        assert_eq!(name("attachment; filename*=utf-8'de'%e2%82%ac.exe; filename=x.txt"), ["€.exe", "x.txt"]);
        assert_eq!(name("attachment; filename*1=b.exe; filename*0*=iso-8859-1''%fc"), ["üb.exe"]);
        assert_eq!(name("attachment; filename=\"=?utf-8?B?4oKsLmV4ZQ==?=\""), ["€.exe"]);
        assert_eq!(name("attachment; filename=\"a\\\"b.exe\""), ["a\"b.exe"]);
        assert_eq!(name("attachment; filename=a b.exe"), ["a b.exe"]);
    }

    #[test]
    fn a_document_is_one_under_all_its_names() {
        let documents =
            |names: &[&str]| are_documents(&names.iter().map(|&name| name.into()).collect::<Vec<_>>());
        assert!(documents(&["a.doc", "B.XLS."]));
        assert!(
            !documents(&[])
                && !documents(&["a.msg"])
                && !documents(&["a.doc", "a.msg"])
                && !documents(&["a"])
        );
    }

    #[test]
    fn tricks_with_names_show() {
        assert_eq!(name("a; filename=\"invoice\u{202e}fdp.exe\""), ["invoicefdp.exe"]);
        assert_eq!(name("a; filename=\"x.exe\0.pdf\""), ["x.exe.pdf", "x.exe"]);
        assert_eq!(name("a; filename='x.exe'"), ["'x.exe'", "x.exe"]);
    }

    #[test]
    fn the_most_dangerous_name_comes_first() {
        let names = ["a.txt", "b.pdf", "c", "d.exe. ", "a.txt", "e.unheard"].map(str::to_owned).to_vec();
        assert_eq!(most_dangerous_first(names), ["d.exe. ", "b.pdf", "e.unheard", "a.txt", "c"]);
    }

    #[test]
    fn hostile_names_cost_what_they_are_long() {
        for unit in ["=?utf-8?", "=?utf-8?Q?a?= ", "'", "%", "\0"] {
            name(&format!("x; filename=\"{}\"", unit.repeat(100_000)));
        }
    }
}
