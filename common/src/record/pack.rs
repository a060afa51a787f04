// SPDX-License-Identifier: GPL-3.0-or-later
//! A pack: some records as one value, which is how a hub keeps them. JSON says the same names again and again, so a pack is
//! compressed (DEFLATE, RFC 1951), and it begins with text that compressor and decompressor know: alone a record of
//! ordinary mail takes a third of its JSON, among others a fifth.
//!
//! ```text
//! form    records, a line of JSON each, compressed
//! 1 byte
//! ```
//!
//! Bounded both ways: a pack holds at most [`MOST_RECORDS`] and some 64 KiB of JSON, and no more is ever decompressed.

use super::{MOST_BYTES, MailRecord};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// Records in one pack.
pub const MOST_RECORDS: usize = 64;
/// Bytes of JSON after which no further record is added.
const FULL: usize = 32 << 10;
/// The longest JSON of a pack.
const LONGEST: usize = FULL + MOST_BYTES + 1;
/// The form that this program writes and reads; it includes [`KNOWN`], of which no byte may change.
const FORM: u8 = 1;
/// Fast: further levels save a hundredth and take twice the time.
const LEVEL: u32 = 4;
/// What both sides know beforehand: words of records, the most frequent at the end.
const KNOWN: &str = concat!(
    r#""troubles":["malformed","ambiguous","oversize","overload"],"malformed":"#,
    r#""ambiguities":[""],"authenticated":"","listener":"","recipients_total":,"parts_total":,"rules_total":"#,
    r#""passive":true,"action":"quarantine","cause":"found","action":"reject","action":"tag","action":"tempfail","#,
    r#""cause":"unavailable","cause":"scan_failed","cause":"pending","cause":"trusted","cause":"ambiguous","#,
    r#""media_type":"image/jpeg","media_type":"image/png","media_type":"image/gif","media_type":"application/zip","#,
    r#""media_type":"application/vnd.openxmlformats-officedocument.wordprocessingml.document","#,
    r#""media_type":"application/octet-stream","media_type":"text/calendar","media_type":"message/rfc822","#,
    r#""hint":{"extension":"docx"},"hint":{"extension":"xlsx"},"hint":{"extension":"png"},"#,
    r#""hint":{"extension":"jpg"},"name":"image001.png","hint":{"full":""#,
    r#""disposition":"failed","reason":"","disposition":"pending","disposition":"skipped","reason":"empty","#,
    r#""disposition":"skipped","reason":"plain_text","source":"none"},"source":"joined","source":"scan","#,
    r#""disposition":"found","score":100,"score":75,"rules":["SUSP_","MAL_","EXPL_"],"#,
    r#"{"v":1,"id":"019a","at_ms":17,"host":"mx1.example.com","mta":"mail.example.com","queue_id":"4","#,
    r#""message_id":"@mail.gmail.com","client_address":"192.168.","client_name":"unknown","helo":"","#,
    r#""sender":"info@","recipients":["@example.com","@"],"size":1,"parts":[{"digest":"","#,
    r#""hint":{"extension":"pdf"},"name":".pdf","media_type":"application/pdf","size":"#,
    r#"{"digest":"","media_type":"text/html","size":2,"disposition":"clean","source":"hub","#,
    r#""disposition":"clean","source":"local","verdict":{"scanned_at":17,"signatures":"2026/01/-1","#,
    r#""instance":"storm1"}}],"policy":"","action":"accept","cause":"clean","total_ms":0}"#,
);

/// Packs records, in their order. Each step is one pack, so that a caller can rest in between.
pub fn packs(records: &[MailRecord]) -> impl Iterator<Item = Vec<u8>> {
    let mut rest = records.iter().peekable();
    std::iter::from_fn(move || {
        rest.peek()?;
        let mut lines = Vec::new();
        let mut count = 0;
        while let Some(record) = rest.next_if(|_| count < MOST_RECORDS && lines.len() < FULL) {
            lines.extend(record.encode());
            lines.push(b'\n');
            count += 1;
        }
        Some(compressed(&lines))
    })
}

/// The lines of a pack, a record each; none where it is of another form or damaged.
pub fn lines(pack: &[u8]) -> Option<String> {
    let (form, body) = pack.split_first()?;
    if *form != FORM {
        return None;
    }
    let mut lines = decompressed(body)?;
    lines.drain(..KNOWN.len());
    String::from_utf8(lines).ok()
}

/// The records of a pack, but for those that this program cannot read.
pub fn records(pack: &[u8]) -> Vec<MailRecord> {
    let lines = lines(pack).unwrap_or_default();
    lines.lines().filter_map(|line| MailRecord::decode(line.as_bytes())).collect()
}

/// What the compressor makes of [`KNOWN`] is thrown away: the other side has it.
fn compressed(lines: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(Compression::new(LEVEL), false);
    let mut body = Vec::with_capacity(KNOWN.len() + lines.len() + 1024);
    let known = compress.compress_vec(KNOWN.as_bytes(), &mut body, FlushCompress::Sync);
    debug_assert!(known.is_ok() && compress.total_in() == KNOWN.len() as u64, "there is room");
    body.clear();
    body.push(FORM);
    let ended = compress.compress_vec(lines, &mut body, FlushCompress::Finish);
    debug_assert!(matches!(ended, Ok(Status::StreamEnd)), "DEFLATE adds a few bytes a block at most");
    body
}

/// [`KNOWN`] and the lines behind it. The buffer does not grow.
fn decompressed(body: &[u8]) -> Option<Vec<u8>> {
    let mut decompress = Decompress::new(false);
    let mut lines = Vec::with_capacity(KNOWN.len() + LONGEST);
    decompress.decompress_vec(&known_block(), &mut lines, FlushDecompress::None).ok()?;
    let ended = decompress.decompress_vec(body, &mut lines, FlushDecompress::Finish).ok()?;
    (ended == Status::StreamEnd && lines.starts_with(KNOWN.as_bytes())).then_some(lines)
}

/// [`KNOWN`] as a block of DEFLATE that is not compressed (RFC 1951, 3.2.4).
fn known_block() -> Vec<u8> {
    let length = u16::try_from(KNOWN.len()).expect("it is short");
    [&[0], length.to_le_bytes().as_slice(), &(!length).to_le_bytes(), KNOWN.as_bytes()].concat()
}
