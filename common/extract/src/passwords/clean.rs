// SPDX-License-Identifier: GPL-3.0-or-later
//! Bytes of a text in its charset become characters, with one kind of line end, one kind of blank, nothing invisible, and
//! ASCII for the wide forms that East Asian keyboards give.

use super::super::value::contains_ignoring_case;
use mail_parser::decoders::charsets::map::charset_decoder;
use memchr::memchr;

/// Where programs write bytes above ASCII and say nothing of their charset.
const USUAL: &[u8] = b"windows-1252";
/// Bytes at the start of HTML in which it names its charset.
const HEAD: usize = 2048;

/// `bytes` in `charset`, or in what they look like where it is unknown.
pub(crate) fn in_charset(bytes: &[u8], charset: &[u8]) -> String {
    let named = !charset.is_empty() && !is_utf8(charset);
    let decoder = if named { charset_decoder(charset) } else { None };
    if let Some(decode) = decoder {
        // What claims to be ASCII or Latin and is valid UTF-8 otherwise is that.
        let above_ascii = bytes.iter().any(|&byte| byte >= 128);
        return match std::str::from_utf8(bytes) {
            Ok(text) if above_ascii => text.to_owned(),
            _ => decode(bytes),
        };
    }
    match (std::str::from_utf8(bytes), charset_decoder(USUAL)) {
        (Ok(text), _) => text.to_owned(),
        (Err(wrong), Some(decode)) if wrong.error_len().is_some() && charset.is_empty() => decode(bytes),
        // One that was cut, or one that says what it is.
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn is_utf8(charset: &[u8]) -> bool {
    charset.eq_ignore_ascii_case(b"utf-8") || charset.eq_ignore_ascii_case(b"utf8")
}

/// The charset that a Content-Type `field`, or the head of HTML, names; empty where it names none.
pub(crate) fn named_in(field: &[u8]) -> &[u8] {
    let field = &field[..field.len().min(HEAD)];
    if !contains_ignoring_case(field, b"charset") {
        return &[];
    }
    let Some(at) = field.windows(7).position(|word| word.eq_ignore_ascii_case(b"charset")) else {
        return &[];
    };
    let rest = field[at + 7..].trim_ascii_start();
    let rest = rest.strip_prefix(b"*").unwrap_or(rest).trim_ascii_start();
    let Some(value) = rest.strip_prefix(b"=") else { return &[] };
    let value = value.trim_ascii_start();
    let value = value.strip_prefix(b"\"").or(value.strip_prefix(b"'")).unwrap_or(value);
    let named = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    &value[..value.iter().take_while(|byte| named(byte)).count()]
}

/// `text` as it is read, at most `most` bytes of it.
pub(crate) fn readable(text: &str, most: usize) -> String {
    let mut readable = String::with_capacity(text.len().min(most));
    for character in text.chars() {
        if readable.len() + character.len_utf8() > most {
            break;
        }
        match character {
            _ if is_invisible(character) => (),
            '\n' | '\t' => readable.push(character),
            '\u{2028}' | '\u{2029}' | '\u{b}' | '\u{c}' => readable.push('\n'),
            _ if character.is_whitespace() || character.is_control() => readable.push(' '),
            '\u{ff01}'..='\u{ff5e}' => readable.extend(char::from_u32(character as u32 - 0xfee0)),
            _ => readable.push(character),
        }
    }
    readable
}

fn is_invisible(character: char) -> bool {
    matches!(character, '\0' | '\r' | '\u{ad}' | '\u{feff}')
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
}

/// True where `bytes` in `charset` are no text that a person reads.
pub(crate) fn is_binary(bytes: &[u8], charset: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(HEAD)];
    let wide =
        contains_ignoring_case(charset, b"utf-16") || matches!(start, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
    !wide && memchr(0, start).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charsets_are_decoded_and_guessed() {
        for (bytes, charset, text) in [
            (&b"pa\xdfwort"[..], &b"iso-8859-1"[..], "paßwort"),
            (b"\xef\xe0\xf0\xee\xeb\xfc", b"windows-1251", "пароль"),
            (b"\xd0\xc1\xd2\xcf\xcc\xd8", b"KOI8-R", "пароль"),
            (b"\x1b$B%Q%9%o!<%I\x1b(B", b"iso-2022-jp", "パスワード"),
            (b"\xc3\xdc\xc2\xeb", b"gb2312", "密码"),
            (b"\xba\xf1\xb9\xd0\xb9\xf8\xc8\xa3", b"euc-kr", "비밀번호"),
            ("пароль".as_bytes(), b"", "пароль"),
            ("пароль".as_bytes(), b"us-ascii", "пароль"),
            (b"pa\xdfwort", b"", "paßwort"),
            (b"pa\xdfwort", b"unheard-of", "pa\u{fffd}wort"),
        ] {
            assert_eq!(in_charset(bytes, charset), text, "{charset:?}");
        }
    }

    #[test]
    fn a_charset_is_found_in_a_field_and_in_html() {
        for (field, charset) in [
            ("text/plain; Charset=\"koi8-r\"; format=flowed", "koi8-r"),
            ("text/plain; charset = utf-8", "utf-8"),
            ("<html><meta charset='gbk'>", "gbk"),
            ("<meta content=\"text/html; charset=Shift_JIS\">", "Shift_JIS"),
            ("text/plain; format=flowed", ""),
            ("text/plain; charset", ""),
        ] {
            assert_eq!(named_in(field.as_bytes()), charset.as_bytes(), "{field}");
        }
    }

    #[test]
    fn a_text_has_one_kind_of_blank_and_nothing_invisible() {
        assert_eq!(readable("a\u{a0}b\u{200b}c\r\nＰＩＮ：１２", 100), "a bc\nPIN:12");
        assert_eq!(readable("äöü", 3), "ä");
    }
}
