// SPDX-License-Identifier: GPL-3.0-or-later
//! One mail: what is chosen for it, and the bytes that come of that.

use super::{
    mime::{Attachment, Letter},
    prose,
    seal::Format,
    secret::Kind,
    texts::{Half, Languages, Texts},
};
use anyhow::Context;
use bytes::Bytes;
use encoding_rs::{
    EUC_JP, Encoding, GBK, ISO_2022_JP, ISO_8859_2, KOI8_R, SHIFT_JIS, UTF_8, WINDOWS_1250, WINDOWS_1251,
    WINDOWS_1252, WINDOWS_1254,
};
use fastrand::Rng;

/// Where a mail tells its password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the subject.
    Subject,
    /// Behind a password word and a colon, or what stands for one.
    Colon,
    /// "The password is: X".
    Is,
    /// In a sentence.
    Said,
    /// In the line below, or the one below that.
    NextLine,
    /// In the quotes of the language.
    Quoted,
    /// In brackets, or behind some.
    Bracketed,
    /// In HTML: a cell, a paragraph, bold.
    Html,
    /// In the name of the sealed file.
    FileName,
    /// In a sentence that has no word for it.
    Untold,
}

impl Place {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Subject,
        Self::Colon,
        Self::Is,
        Self::Said,
        Self::NextLine,
        Self::Quoted,
        Self::Bracketed,
        Self::Html,
        Self::FileName,
        Self::Untold,
    ];

    /// Its name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Colon => "colon",
            Self::Is => "is, colon",
            Self::Said => "sentence",
            Self::NextLine => "next line",
            Self::Quoted => "quoted",
            Self::Bracketed => "bracketed",
            Self::Html => "HTML",
            Self::FileName => "file name",
            Self::Untold => "no word for it",
        }
    }

    /// False where nobody would write a password of this `kind` there.
    fn takes(self, kind: Kind) -> bool {
        match self {
            Self::FileName => !matches!(kind, Kind::Symbols | Kind::Phrase),
            Self::Subject | Self::Said | Self::Untold => kind != Kind::Phrase,
            _ => true,
        }
    }
}

/// A mail, and what is known of it.
pub struct Mail {
    /// As it is received.
    pub message: Bytes,
    /// What opens its sealed attachment.
    pub password: String,
    /// Such as `de`.
    pub language: String,
    /// Where it tells the password.
    pub place: Place,
    /// What the password consists of.
    pub kind: Kind,
    /// How the attachment is sealed.
    pub format: Format,
    /// Of its texts.
    pub charset: &'static str,
}

/// Mail `number` of `half`, from its `languages`. Where `hollow`, the sealed file is only its first bytes.
pub fn compose(number: u64, half: Half, languages: &Languages, hollow: bool) -> anyhow::Result<Mail> {
    let mut rng = Rng::with_seed(2 * number + u64::from(half == Half::Judged));
    let (language, texts) = rng.choice(languages).context("no language")?;
    let place = rng.choice(Place::ALL).context("no place")?;
    let format = rng.choice(Format::ALL).context("no format")?;
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| place.takes(*kind)).collect();
    let kind = rng.choice(kinds).context("no kind")?;
    let password = kind.password(&texts.words, &mut rng);
    let prose = prose::write(texts, place, &password, &mut rng);
    let bytes = if hollow { format.start().to_vec() } else { format.seal(&password)? };
    let name = file_name(texts, place, format, &password, &mut rng);
    let mut attachments = others(texts, &mut rng);
    let at = rng.usize(0..=attachments.len());
    attachments.insert(at, Attachment { name, media_type: "application/octet-stream", bytes });
    let (text, html) = match rng.u8(0..3) {
        _ if prose.html_only => (None, Some(prose.html)),
        0 => (Some(prose.text), None),
        1 => (None, Some(prose.html)),
        _ => (Some(prose.text), Some(prose.html)),
    };
    let charset = charset(language, &mut rng);
    let letter = Letter { subject: prose.subject, text, html, attachments, charset };
    let message = letter.written(&mut rng).into();
    Ok(Mail { message, password, language: language.clone(), place, kind, format, charset: charset.name() })
}

/// The name of the sealed file.
fn file_name(texts: &Texts, place: Place, format: Format, password: &str, rng: &mut Rng) -> String {
    let stem = prose::filled(&prose::pick(&texts.names, rng), "", rng);
    let extension = format.extension();
    if place != Place::FileName {
        return format!("{stem}.{extension}");
    }
    match rng.u8(0..5) {
        0 => format!("{stem}_{password}.{extension}"),
        1 => format!("{stem}-{password}.{extension}"),
        2 => format!("{password}.{extension}"),
        3 => format!("{stem} (pw {password}).{extension}"),
        _ => format!("{password}_{stem}.{extension}"),
    }
}

/// Other attachments: none, one or two.
fn others(texts: &Texts, rng: &mut Rng) -> Vec<Attachment> {
    let mut others = Vec::new();
    if rng.u8(0..4) == 0 {
        let lines: Vec<String> =
            (0..10).map(|_| prose::filled(&prose::pick(&texts.fillers, rng), "", rng)).collect();
        let bytes = lines.join("\n").into_bytes();
        others.push(Attachment {
            name: "agenda.txt".to_owned(),
            media_type: "text/plain; charset=utf-8",
            bytes,
        });
    }
    if rng.u8(0..3) == 0 {
        let bytes = (0..rng.usize(500..5000)).map(|_| rng.u8(..)).collect();
        others.push(Attachment { name: "image001.png".to_owned(), media_type: "image/png", bytes });
    }
    others
}

/// UTF-8, or one that was usual before.
fn charset(language: &str, rng: &mut Rng) -> &'static Encoding {
    let older: &[&'static Encoding] = match language {
        "cs" | "pl" => &[WINDOWS_1250, ISO_8859_2],
        "ru" => &[WINDOWS_1251, KOI8_R],
        "tr" => &[WINDOWS_1254],
        "ja" => &[ISO_2022_JP, SHIFT_JIS, EUC_JP],
        "zh" => &[GBK],
        _ => &[WINDOWS_1252],
    };
    if rng.u8(0..10) < 3 { rng.choice(older).copied().unwrap_or(UTF_8) } else { UTF_8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_follows_from_its_number_and_tells_its_password() {
        let languages = Half::Development.languages().unwrap();
        for number in 0..200 {
            let mail = compose(number, Half::Development, &languages, true).unwrap();
            let again = compose(number, Half::Development, &languages, true).unwrap();
            assert_eq!(mail.message, again.message);
            assert!((4..=40).contains(&mail.password.chars().count()), "{}", mail.password);
        }
    }
}
