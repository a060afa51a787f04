// SPDX-License-Identifier: GPL-3.0-or-later
//! Makes bytes of a mail, as programs of its country write it.

use encodify::base64::MIME;
use encoding_rs::{Encoding, UTF_8};
use fastrand::Rng;

/// Bytes of a subject in one encoded word.
const WORD: usize = 30;
const BOUNDARY: &str = "=_sealed";

/// A mail to be written.
pub(crate) struct Letter {
    pub(crate) subject: String,
    pub(crate) text: Option<String>,
    pub(crate) html: Option<String>,
    pub(crate) attachments: Vec<Attachment>,
    /// In what its texts are written, where they can be.
    pub(crate) charset: &'static Encoding,
}

/// A file.
pub(crate) struct Attachment {
    pub(crate) name: String,
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Vec<u8>,
}

impl Letter {
    /// Its bytes.
    pub(crate) fn written(&self, rng: &mut Rng) -> Vec<u8> {
        let mut mail =
            String::from("From: \"A. Person\" <a.person@example.net>\r\nTo: b.person@example.org\r\n");
        mail.push_str(&format!("Subject: {}\r\nMIME-Version: 1.0\r\n", encoded_words(&self.subject)));
        mail.push_str(&format!("Content-Type: multipart/mixed; boundary=\"{BOUNDARY}0\"\r\n\r\n"));
        let mut mail = mail.into_bytes();
        mail.extend(delimiter(0));
        let texts = [(&self.text, "text/plain"), (&self.html, "text/html")];
        let both = self.text.is_some() && self.html.is_some();
        if both {
            let header = format!("Content-Type: multipart/alternative; boundary=\"{BOUNDARY}1\"\r\n\r\n");
            mail.extend(header.into_bytes());
        }
        for (text, media_type) in texts {
            let Some(text) = text else { continue };
            if both {
                mail.extend(delimiter(1));
            }
            mail.extend(self.body(text, media_type, rng));
        }
        if both {
            mail.extend(format!("--{BOUNDARY}1--\r\n").into_bytes());
        }
        for attachment in &self.attachments {
            mail.extend(delimiter(0));
            mail.extend(attachment.written());
        }
        mail.extend(format!("--{BOUNDARY}0--\r\n").into_bytes());
        mail
    }

    fn body(&self, text: &str, media_type: &str, rng: &mut Rng) -> Vec<u8> {
        let text = text.replace('\n', "\r\n") + "\r\n";
        let (mut bytes, mut charset, unmappable) = self.charset.encode(&text);
        if unmappable {
            (bytes, charset, _) = UTF_8.encode(&text);
        }
        let name = charset.name().to_ascii_lowercase();
        let encoded = rng.bool();
        let transfer = if encoded { "base64" } else { "8bit" };
        let header = format!(
            "Content-Type: {media_type}; charset={name}\r\nContent-Transfer-Encoding: {transfer}\r\n\r\n"
        );
        let body = if encoded { MIME.encode(&bytes).into_bytes() } else { bytes.into_owned() };
        [header.as_bytes(), &body, b"\r\n"].concat()
    }
}

impl Attachment {
    fn written(&self) -> Vec<u8> {
        let Self { name, media_type, bytes } = self;
        let parameter = if name.is_ascii() {
            format!("filename=\"{name}\"")
        } else {
            let escaped: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
            format!("filename*=utf-8''{escaped}")
        };
        let body = MIME.encode(bytes);
        format!(
            "Content-Type: {media_type}\r\nContent-Transfer-Encoding: base64\r\n\
            Content-Disposition: attachment; {parameter}\r\n\r\n{body}\r\n"
        )
        .into_bytes()
    }
}

fn delimiter(level: u8) -> Vec<u8> {
    format!("--{BOUNDARY}{level}\r\n").into_bytes()
}

/// `text` in encoded words, unless it is ASCII.
fn encoded_words(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (word, behind) = rest.split_at(rest.floor_char_boundary(WORD));
        words.push(format!("=?utf-8?B?{}?=", MIME.encode(word).trim_end()));
        rest = behind;
    }
    words.join("\r\n ")
}
