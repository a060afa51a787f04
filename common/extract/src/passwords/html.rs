// SPDX-License-Identifier: GPL-3.0-or-later
//! The text of HTML as a person sees it: a line for each block, a tab between cells, marks around what is emphasized, and
//! the texts of attributes that a browser shows.
//!
//! Each byte is looked at a constant number of times: what was once looked for in vain is not looked for again.

use super::marks::{EMPHASIS_BEGINS, EMPHASIS_ENDS};
use mail_parser::decoders::html::add_html_token;
use memchr::{memchr, memmem};

/// Bytes of an entity such as `&nbsp;`.
const MOST_ENTITY: usize = 32;
/// Attributes of one tag.
const MOST_ATTRIBUTES: usize = 64;

/// `html` without its tags.
pub(crate) fn shown(html: &str) -> String {
    let mut page = Page { text: String::with_capacity(html.len() / 2), ..Page::default() };
    let mut rest = html;
    while let Some(at) = memchr(b'<', rest.as_bytes()) {
        page.push_text(&rest[..at]);
        rest = page.tag(&rest[at..]);
    }
    page.push_text(rest);
    page.text
}

/// A page, while it is read.
#[derive(Default)]
struct Page {
    text: String,
    /// Line ends are shown.
    preformatted: bool,
    /// Quotes in tags that never end were met: they are none.
    open_quotes: bool,
    /// The same of comments.
    open_comment: bool,
    /// The same of tags.
    open_tag: bool,
}

impl Page {
    /// Takes the tag at the start of `html`; gives what follows.
    fn tag<'a>(&mut self, html: &'a str) -> &'a str {
        if let Some(rest) = self.after_comment(html) {
            return rest;
        }
        let begins = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'/' | b'!' | b'?');
        let end = if html.as_bytes().get(1).is_some_and(begins) { self.tag_end(html) } else { None };
        let Some(end) = end else {
            self.text.push('<');
            return &html[1..];
        };
        let (tag, rest) = (&html[1..end], &html[end + 1..]);
        let (closes, tag) = match tag.strip_prefix('/') {
            Some(tag) => (true, tag),
            None => (false, tag),
        };
        let length = tag.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let name = tag[..length].to_ascii_lowercase();
        if !closes && matches!(name.as_str(), "style" | "script") {
            return after_element(rest, &name);
        }
        self.element(&name, closes);
        if !closes {
            self.attributes(&tag[length..]);
        }
        rest
    }

    fn after_comment<'a>(&mut self, html: &'a str) -> Option<&'a str> {
        let inner = html.strip_prefix("<!--").filter(|_| !self.open_comment)?;
        let end = memmem::find(inner.as_bytes(), b"-->");
        self.open_comment = end.is_none();
        Some(&inner[end? + 3..])
    }

    /// Where the tag at the start of `html` ends; none where it does not.
    fn tag_end(&mut self, html: &str) -> Option<usize> {
        let bytes = html.as_bytes();
        let mut quote = None;
        if !self.open_quotes {
            for (at, &byte) in bytes.iter().enumerate() {
                match (quote, byte) {
                    (None, b'>') => return Some(at),
                    (None, b'"' | b'\'') => quote = Some(byte),
                    (Some(open), _) if open == byte => quote = None,
                    _ => (),
                }
            }
            self.open_quotes = true;
        }
        let end = if self.open_tag { None } else { memchr(b'>', bytes) };
        self.open_tag = end.is_none();
        end
    }

    fn element(&mut self, name: &str, closes: bool) {
        match name {
            "td" | "th" => self.text.push('\t'),
            "b" | "strong" | "code" | "kbd" | "tt" | "samp" | "mark" | "u" | "em" | "i" | "font" => {
                self.text.push(if closes { EMPHASIS_ENDS } else { EMPHASIS_BEGINS });
            }
            "pre" | "textarea" => {
                self.preformatted = !closes;
                self.text.push('\n');
            }
            "br" | "p" | "div" | "tr" | "table" | "li" | "ul" | "ol" | "dt" | "dd" | "blockquote"
            | "title" | "hr" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "section" | "article" | "center"
            | "option" | "body" => self.text.push('\n'),
            _ => (),
        }
    }

    /// Takes the texts of the attributes in `tag`.
    fn attributes(&mut self, tag: &str) {
        let mut rest = tag;
        for _ in 0..MOST_ATTRIBUTES {
            rest = rest.trim_start_matches(|character: char| character.is_whitespace() || character == '/');
            let Some(end) = rest.find(|character: char| character.is_whitespace() || character == '=') else {
                return;
            };
            let (name, behind) = rest.split_at(end);
            let Some(value) = behind.trim_start().strip_prefix('=') else {
                rest = behind;
                continue;
            };
            let (value, behind) = attribute_value(value.trim_start());
            if ["alt", "title", "value", "placeholder", "aria-label"]
                .iter()
                .any(|shown| name.eq_ignore_ascii_case(shown))
            {
                self.text.push(' ');
                self.push_text(value);
                self.text.push(' ');
            }
            rest = behind;
        }
    }

    /// Takes `text` between tags.
    fn push_text(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = memchr(b'&', rest.as_bytes()) {
            self.push_plain(&rest[..at]);
            rest = &rest[at..];
            let length = entity_length(rest).unwrap_or(1);
            add_html_token(&mut self.text, &rest.as_bytes()[..length], false);
            rest = &rest[length..];
        }
        self.push_plain(rest);
    }

    fn push_plain(&mut self, text: &str) {
        if self.preformatted {
            self.text.push_str(text);
        } else {
            self.text.extend(text.chars().map(|character| match character {
                '\r' | '\n' | '\t' => ' ',
                _ => character,
            }));
        }
    }
}

/// The length of the entity that `text`, which starts with `&`, starts with.
fn entity_length(text: &str) -> Option<usize> {
    let start = &text.as_bytes()[..text.len().min(MOST_ENTITY)];
    let end = memchr(b';', start)?;
    let name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'#';
    (end > 1 && start[1..end].iter().all(name)).then_some(end + 1)
}

/// The value at the start of `text`, and what follows it.
fn attribute_value(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(value) = text.strip_prefix(quote) {
            return value.split_once(quote).unwrap_or((value, ""));
        }
    }
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

/// What follows the end of the element `name`; nothing where it does not end.
fn after_element<'a>(html: &'a str, name: &str) -> &'a str {
    for at in memmem::find_iter(html.as_bytes(), b"</") {
        let behind = &html.as_bytes()[at + 2..];
        if behind.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes())) {
            return &html[at..];
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(html: &str) -> String {
        shown(html).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_a_person_sees_stays() {
        let html = "<style>p { x: y }</style><p title='a &amp; b'>Pass<span>wort</span>:\n&#49;2&uuml;</p>\
            <script>if (a<b) {}</script><!-- <b>no</b> --><img src=x alt=\"c\"> 1 < 2 &unknown; & &#x41;";
        assert_eq!(words(html), "a & b Passwort: 12ü c 1 < 2 &unknown; & A");
    }

    #[test]
    fn cells_lines_and_emphasis_show() {
        assert_eq!(shown("<tr><td>Code<td>12</tr>"), "\n\tCode\t12\n");
        assert_eq!(shown("a<br>b\nc<pre>d\ne</pre>"), "a\nb c\nd\ne\n");
        assert_eq!(shown("x <b>y</b>"), format!("x {EMPHASIS_BEGINS}y{EMPHASIS_ENDS}"));
    }

    #[test]
    fn what_never_ends_hides_nothing_but_scripts_and_costs_what_it_is_long() {
        assert_eq!(words("<!-- a <p>b"), "b");
        assert_eq!(words("a <b title=\"b>c"), format!("a {EMPHASIS_BEGINS} b c"));
        assert_eq!(words("a <script> b"), "a");
        for unit in ["<!--", "<a title=\"", "<", "&", "<style>", "</", "<a b=c ", "<a '", "&#"] {
            shown(&unit.repeat(1_000_000 / unit.len()));
        }
    }
}
