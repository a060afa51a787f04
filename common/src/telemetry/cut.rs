// SPDX-License-Identifier: GPL-3.0-or-later
//! No line is longer than [`LONGEST`], whatever stands in it: log shippers cut longer ones in the middle or drop them.
//! Whoever logs a list bounds it and says how many it left out; this is the last resort. The longest values are cut, all
//! to one length, and stay JSON; values that are shorter stay whole.

/// Bytes of a line, its end included.
pub(super) const LONGEST: usize = 16 << 10;

/// What fits always: `null`.
const SHORTEST: usize = 4;

/// What a character may take once it is escaped.
const ESCAPED: usize = r"\u0000".len();

/// How long a value may be, so that values of `lengths` take `room` together: the short ones keep their length, the
/// others share what is left.
pub(super) fn share(lengths: impl IntoIterator<Item = usize>, room: usize) -> usize {
    let mut lengths: Vec<_> = lengths.into_iter().collect();
    lengths.sort_unstable();
    let (mut room, mut values) = (room, lengths.len());
    for length in lengths {
        if length > room / values {
            return (room / values).max(SHORTEST);
        }
        room -= length;
        values -= 1;
    }
    usize::MAX
}

/// `value`, which is JSON text on one line, or JSON text of at most `most` bytes that begins as it does. `most` is
/// [`SHORTEST`] at least.
pub(super) fn json(value: &str, most: usize) -> String {
    if value.len() <= most {
        return value.to_owned();
    }
    match value.as_bytes().first() {
        Some(b'"') => text(value, most),
        Some(b'[') => elements(value, most, ']'),
        Some(b'{') => elements(value, most, '}'),
        // No number that somebody wants to know is so long.
        _ => "null".to_owned(),
    }
}

/// More than `text`, which is none of JSON's, takes in a line of either form.
pub(super) fn escaped(text: &str) -> usize {
    text.chars().map(takes).sum()
}

/// As much of the beginning of `text` as takes no more than `most` in a line of either form.
pub(super) fn plain(text: &str, most: usize) -> &str {
    let mut room = most;
    let first_without_room = text.char_indices().find(|(_, c)| match room.checked_sub(takes(*c)) {
        Some(left) => {
            room = left;
            false
        }
        None => true,
    });
    &text[..first_without_room.map_or(text.len(), |(place, _)| place)]
}

fn takes(c: char) -> usize {
    if c.is_ascii_alphanumeric() || c == ' ' { 1 } else { ESCAPED }
}

/// A string, cut between two of its characters.
fn text(value: &str, most: usize) -> String {
    let bytes = value.as_bytes();
    let mut end = 1;
    while let Some(next) = Some(end + character(&bytes[end..])).filter(|next| *next < most) {
        end = next;
    }
    format!("{}\"", &value[..end])
}

/// How many bytes the first character of a string takes, written out or escaped.
fn character(bytes: &[u8]) -> usize {
    match bytes {
        // Two escapes that are one character: a surrogate alone is none.
        [b'\\', b'u', b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', ..] => 12,
        [b'\\', b'u', ..] => 6,
        [b'\\', ..] => 2,
        [0xf0..=0xff, ..] => 4,
        [0xe0..=0xef, ..] => 3,
        [0xc0..=0xdf, ..] => 2,
        _ => 1,
    }
}

/// An array or an object, with the first of its members.
fn elements(value: &str, most: usize, close: char) -> String {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let mut end = 1;
    for (place, byte) in value.bytes().enumerate().take(most) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            b',' if depth == 1 => end = place,
            _ => {}
        }
    }
    format!("{}{close}", &value[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_values_share_what_the_others_leave() {
        assert_eq!(share([10, 20, 30], 60), usize::MAX);
        assert_eq!(share([10, 5_000, 9_000], 4_010), 2_000);
        assert_eq!(share([10, 500, 9_000], 4_010), 3_500);
        assert_eq!(share(vec![1_000; 1_000], 100), SHORTEST);
        assert_eq!(share([], 0), usize::MAX);
    }

    #[test]
    fn what_is_cut_stays_json_and_begins_as_it_did() {
        for (value, most, cut) in [
            (r#""abcdef""#, 8, r#""abcdef""#),
            (r#""abcdef""#, 7, r#""abcde""#),
            (r#""ab\"def""#, 6, r#""ab\"""#),
            (r#""ab\"def""#, 5, r#""ab""#),
            (r#""ab\u202edef""#, 9, r#""ab""#),
            (r#""a\ud83d\ude00""#, 13, r#""a""#),
            (r#""aäöü""#, 6, r#""aä""#),
            (r#"["a,b",["c","d"],"e"]"#, 18, r#"["a,b",["c","d"]]"#),
            (r#"["a,b",["c","d"],"e"]"#, 16, r#"["a,b"]"#),
            (r#"["a]b","c"]"#, 4, "[]"),
            (r#"{"a":{"b":1,"c":2},"d":3}"#, 20, r#"{"a":{"b":1,"c":2}}"#),
            (r#"{"a\"},{":1,"d":3}"#, 14, r#"{"a\"},{":1}"#),
            ("123456789", 4, "null"),
        ] {
            assert_eq!(json(value, most), cut, "{value} {most}");
            assert!(cut.len() <= most, "{value} {most}");
        }
    }
}
