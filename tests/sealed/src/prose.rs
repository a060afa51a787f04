// SPDX-License-Identifier: GPL-3.0-or-later
//! What a mail says: between twenty and six hundred words about anything, and the password in its place.

use super::{mail::Place, noise, texts::Texts};
use fastrand::Rng;

/// Sentences of one mail; each has about ten words.
const MOST_SENTENCES: usize = 55;
/// Characters in a line where a mail program breaks lines.
const WIDTH: usize = 72;
/// Stands for a blank of the password, where no line may end.
const FIXED_BLANK: char = '\u{1}';

/// A mail without its attachments.
pub(crate) struct Prose {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
    /// It was made for HTML: as a text it does not tell the password.
    pub(crate) html_only: bool,
}

/// Writes a mail that tells `password` at `place`.
pub(crate) fn write(texts: &Texts, place: Place, password: &str, rng: &mut Rng) -> Prose {
    let subjects = if place == Place::Subject { &texts.subject_secrets } else { &texts.subjects };
    let subject = filled(&pick(subjects, rng), password, rng);
    let fixed = password.replace(' ', &FIXED_BLANK.to_string());
    let mut paragraphs = paragraphs(texts, rng);
    let at = rng.usize(1..=paragraphs.len());
    let telling = telling(texts, place, &fixed, rng).map(|text| filled(&text, &fixed, rng));
    let snippet = if place == Place::Html { snippet(texts, &escaped(&fixed), rng) } else { String::new() };
    let marker = if place == Place::Html { Some(String::new()) } else { telling };
    if let Some(telling) = marker {
        // In a paragraph of its own, or behind what stands there.
        if rng.bool() || telling.is_empty() || telling.contains('\n') || paragraphs[at - 1].contains('\n') {
            paragraphs.insert(at, telling);
        } else {
            paragraphs[at - 1] = format!("{} {telling}", paragraphs[at - 1]);
        }
    }
    paragraphs.extend(ending(texts, rng));
    let wraps = rng.bool();
    let shown = |paragraph: &String| if wraps { wrapped(paragraph) } else { paragraph.clone() };
    let text = paragraphs.iter().map(shown).collect::<Vec<_>>().join("\n\n");
    let html = page(&paragraphs, &snippet);
    let unfix = |text: String| text.replace(FIXED_BLANK, " ");
    Prose { subject, text: unfix(text), html: unfix(html), html_only: place == Place::Html }
}

/// The greeting, and sentences in paragraphs, of which some speak of other passwords; between them tables and the like.
fn paragraphs(texts: &Texts, rng: &mut Rng) -> Vec<String> {
    let mut paragraphs = vec![pick(&texts.greetings, rng)];
    // Short mails are as common as long ones.
    let most = if rng.bool() { 8 } else { MOST_SENTENCES };
    let mut left = rng.usize(2..=most);
    while left > 0 {
        let count = rng.usize(1..=5).min(left);
        let sentences: Vec<String> =
            (0..count).map(|_| filled(&pick(&texts.fillers, rng), "", rng)).collect();
        paragraphs.push(sentences.join(" "));
        left -= count;
    }
    for _ in 0..2 {
        if let Some(noise) = noise::paragraph(rng) {
            paragraphs.insert(rng.usize(1..=paragraphs.len()), noise);
        }
    }
    if rng.u8(0..10) < 4 {
        let at = rng.usize(1..=paragraphs.len());
        paragraphs.insert(at, pick(&texts.decoys, rng));
    }
    paragraphs
}

/// How a mail ends: a closing, a signature, what it answers.
fn ending(texts: &Texts, rng: &mut Rng) -> Vec<String> {
    let mut ending = vec![pick(&texts.closings, rng)];
    if rng.u8(0..10) < 7 {
        ending.push(format!("--\n{}", filled(&pick(&texts.signatures, rng), "", rng)));
    }
    if rng.u8(0..10) < 4 {
        let quoted: Vec<String> = (0..rng.usize(2..6))
            .map(|_| format!("> {}", filled(&pick(&texts.fillers, rng), "", rng)))
            .collect();
        ending.push(format!("{} <a.person@example.net>:\n{}", filled("{d}", "", rng), quoted.join("\n")));
    }
    ending
}

/// What tells the password in a body.
fn telling(texts: &Texts, place: Place, password: &str, rng: &mut Rng) -> Option<String> {
    Some(match place {
        Place::Subject | Place::FileName | Place::Html => return None,
        Place::Colon => pick(&texts.colon, rng),
        Place::Is => pick(&texts.is, rng),
        Place::Said => pick(&texts.said, rng),
        Place::Untold => pick(&texts.untold, rng),
        Place::NextLine => {
            let lines = if rng.bool() { "\n" } else { "\n\n" };
            format!("{}{lines}{{p}}", pick(&texts.leads, rng))
        }
        Place::Quoted => {
            let (open, close) = split_quotes(&pick(&texts.quotes, rng));
            pick(&texts.said, rng).replace("{p}", &format!("{open}{password}{close}"))
        }
        Place::Bracketed => {
            let label = pick(&texts.labels, rng);
            let brackets = [("{", "}"), ("[", "]"), ("(", ")"), ("<", ">")];
            let (open, close) = rng.choice(brackets).unwrap_or_default();
            match rng.u8(0..3) {
                0 => format!("[{label}]:{password}"),
                1 => format!("{label} {open}{password}{close}"),
                _ => pick(&texts.said, rng).replace("{p}", &format!("{open}{password}{close}")),
            }
        }
    })
}

/// HTML that tells it.
fn snippet(texts: &Texts, password: &str, rng: &mut Rng) -> String {
    let label = pick(&texts.labels, rng);
    match rng.u8(0..5) {
        0 => format!("<table><tr><td>{label}</td><td>{password}</td></tr></table>"),
        1 => format!("<p>{}</p><p style=\"font-size:18px\">{password}</p>", pick(&texts.leads, rng)),
        2 => format!("<p>{label}:&nbsp;<span style=\"color:#c00\">{password}</span></p>"),
        3 => format!("<div>{}</div>", pick(&texts.said, rng).replace("{p}", &format!("<b>{password}</b>"))),
        _ => format!("<ul><li>{label}<br><code>{password}</code></li></ul>"),
    }
}

/// A page of `paragraphs`; `snippet` stands where one of them is empty.
fn page(paragraphs: &[String], snippet: &str) -> String {
    let mut page = String::from(
        "<html><head><style>p { margin: 0 0 12px; color: #1f2937 }</style></head><body>\n\
        <img src=\"cid:logo\" alt=\"Logo\" width=120>\n",
    );
    for paragraph in paragraphs {
        if paragraph.is_empty() {
            page.push_str(snippet);
        } else {
            page.push_str(&format!("<p>{}</p>\n", escaped(paragraph).replace('\n', "<br>\n")));
        }
    }
    page + "</body></html>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn split_quotes(quotes: &str) -> (String, String) {
    let inner = if quotes.contains(' ') { " " } else { "" };
    let (open, close) = (quotes.chars().next(), quotes.chars().next_back());
    (format!("{}{inner}", open.unwrap_or('"')), format!("{inner}{}", close.unwrap_or('"')))
}

/// `text` in lines as a mail program breaks them.
fn wrapped(text: &str) -> String {
    let mut wrapped = String::new();
    for line in text.split('\n') {
        let mut length = 0;
        for word in line.split(' ') {
            let size = word.chars().count();
            if length > 0 && length + size > WIDTH {
                wrapped.push('\n');
                length = 0;
            } else if length > 0 {
                wrapped.push(' ');
            }
            wrapped.push_str(word);
            length += size + 1;
        }
        wrapped.push('\n');
    }
    wrapped.trim_end_matches('\n').to_owned()
}

/// `text` with what stands for something filled in.
pub(crate) fn filled(text: &str, password: &str, rng: &mut Rng) -> String {
    let number = rng.u32(1000..1_000_000).to_string();
    let date = format!("{:02}.{:02}.202{}", rng.u8(1..29), rng.u8(1..13), rng.u8(3..7));
    text.replace("{n}", &number).replace("{d}", &date).replace("{p}", password)
}

pub(crate) fn pick(texts: &[String], rng: &mut Rng) -> String {
    rng.choice(texts).cloned().unwrap_or_default()
}
