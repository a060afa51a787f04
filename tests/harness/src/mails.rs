// SPDX-License-Identifier: GPL-3.0-or-later
//! Well-formed messages, as a mail program would send them, and things to attach.

use std::fmt::Write as _;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BOUNDARY: &str = "=_thundergate_test_boundary";

/// A message in the making. Finish it with [`MailBuilder::bytes`].
#[derive(Clone, Debug)]
pub struct MailBuilder {
    from: String,
    to: String,
    subject: String,
    text: String,
    headers: Vec<(String, String)>,
    attachments: Vec<Attachment>,
}

#[derive(Clone, Debug)]
struct Attachment {
    name: String,
    media_type: String,
    bytes: Vec<u8>,
}

/// A message with defaults for everything.
pub fn mail() -> MailBuilder {
    MailBuilder {
        from: "sender@example.org".to_owned(),
        to: "recipient@example.net".to_owned(),
        subject: "a test".to_owned(),
        text: "Hello,\r\nthis is a test.\r\n".to_owned(),
        headers: Vec::new(),
        attachments: Vec::new(),
    }
}

impl MailBuilder {
    /// Sets From.
    pub fn from(self, from: &str) -> Self {
        Self { from: from.to_owned(), ..self }
    }

    /// Sets To.
    pub fn to(self, to: &str) -> Self {
        Self { to: to.to_owned(), ..self }
    }

    /// Sets Subject.
    pub fn subject(self, subject: &str) -> Self {
        Self { subject: subject.to_owned(), ..self }
    }

    /// Sets the plain text; lines end with CRLF.
    pub fn text(self, text: &str) -> Self {
        Self { text: text.to_owned(), ..self }
    }

    /// Adds a header field.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds an attachment in base64.
    pub fn attach(mut self, name: &str, media_type: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let (name, media_type, bytes) = (name.to_owned(), media_type.to_owned(), bytes.into());
        self.attachments.push(Attachment { name, media_type, bytes });
        self
    }

    /// The message; lines end with CRLF.
    pub fn bytes(&self) -> Vec<u8> {
        let mut message = self.header_fields();
        if self.attachments.is_empty() {
            message += "Content-Type: text/plain; charset=utf-8\r\n\r\n";
            message += &self.text;
            return message.into_bytes();
        }
        write(&mut message, format_args!("Content-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\r\n\r\n"));
        write(&mut message, format_args!("--{BOUNDARY}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"));
        message += &self.text;
        for attachment in &self.attachments {
            attachment.append(&mut message);
        }
        write(&mut message, format_args!("\r\n--{BOUNDARY}--\r\n"));
        message.into_bytes()
    }

    fn header_fields(&self) -> String {
        let mut fields = format!("From: {}\r\nTo: {}\r\nSubject: {}\r\n", self.from, self.to, self.subject);
        fields += "Date: Sun, 01 Nov 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\n";
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("message-id")) {
            fields += "Message-ID: <test@example.org>\r\n";
        }
        for (name, value) in &self.headers {
            write(&mut fields, format_args!("{name}: {value}\r\n"));
        }
        fields
    }
}

impl Attachment {
    fn append(&self, message: &mut String) {
        let Self { name, media_type, bytes } = self;
        write(message, format_args!("\r\n--{BOUNDARY}\r\nContent-Type: {media_type}; name=\"{name}\"\r\n"));
        write(message, format_args!("Content-Disposition: attachment; filename=\"{name}\"\r\n"));
        message.push_str("Content-Transfer-Encoding: base64\r\n\r\n");
        message.push_str(&base64_lines(bytes));
    }
}

/// The EICAR test file, 68 bytes. It never stands in one piece in any file of ours.
pub fn eicar() -> Vec<u8> {
    [r"X5O!P%@AP[4\PZX54(P^)", r"7CC)7}$EICAR-STANDARD-", r"ANTIVIRUS-TEST-FILE!$H+H*"].concat().into_bytes()
}

/// Bytes without a pattern, the same for the same seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; len];
    random.fill(&mut bytes);
    bytes
}

/// Base64 (RFC 4648) in lines of 76 characters that end with CRLF (RFC 2045).
pub fn base64_lines(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() / 57 * 78 + 80);
    for line in bytes.chunks(57) {
        line.chunks(3).for_each(|group| push_group(&mut text, group));
        text.push_str("\r\n");
    }
    text
}

fn push_group(text: &mut String, group: &[u8]) {
    let at = |i: usize| u32::from(group.get(i).copied().unwrap_or_default());
    let bits = at(0) << 16 | at(1) << 8 | at(2);
    for i in 0..4 {
        let digit = BASE64[(bits >> (18 - 6 * i) & 63) as usize];
        text.push(if i <= group.len() { char::from(digit) } else { '=' });
    }
}

fn write(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_rfc_4648_section_10() {
        let pairs = [("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, encoded) in pairs {
            assert_eq!(base64_lines(plain.as_bytes()), format!("{encoded}\r\n"));
        }
        assert!(base64_lines(&noise(1, 1000)).lines().all(|line| line.len() <= 76));
    }

    #[test]
    fn eicar_is_the_published_file() {
        let digest = thundergate_common::digest::Digest::of(&eicar()).to_string();
        assert_eq!(digest, "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f");
    }
}
