// SPDX-License-Identifier: GPL-3.0-or-later
//! A message on its way through an MTA: envelope and bytes.

use std::net::SocketAddr;

/// A header field: name, and value from behind the colon.
pub type Field = (Vec<u8>, Vec<u8>);

/// What an MTA received.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The SMTP client; its host name is `unknown`, as without DNS.
    pub client: SocketAddr,
    /// What the client said in EHLO.
    pub helo: String,
    /// Envelope sender without angle brackets; empty for the null sender.
    pub sender: String,
    /// Envelope recipients without angle brackets.
    pub recipients: Vec<String>,
    /// The MTA's queue id.
    pub queue_id: String,
    /// Who authenticated, if anybody.
    pub auth: Option<String>,
    /// What MAIL says in SIZE (RFC 1870), if it does.
    pub size: Option<u64>,
    /// Header and body; lines end with CRLF.
    pub message: Vec<u8>,
}

impl Mail {
    /// A message from the outside to one recipient, with a random queue id and its SIZE.
    pub fn of(message: impl Into<Vec<u8>>) -> Self {
        let message = message.into();
        Self {
            client: SocketAddr::from(([192, 0, 2, 1], 40_000)),
            helo: "client.example.org".to_owned(),
            sender: "sender@example.org".to_owned(),
            recipients: vec!["recipient@example.net".to_owned()],
            queue_id: format!("{:010X}", fastrand::u64(..1 << 40)),
            auth: None,
            size: Some(message.len() as u64),
            message,
        }
    }

    /// Header fields with LF where they are folded, and the body.
    pub fn split(&self) -> (Vec<Field>, &[u8]) {
        let mut fields: Vec<Field> = Vec::new();
        let mut rest = self.message.as_slice();
        while let Some((line, after)) = line(rest) {
            if line.is_empty() {
                return (fields, after);
            }
            match (line[0], fields.last_mut(), line.iter().position(|byte| *byte == b':')) {
                (b' ' | b'\t', Some((_, value)), _) => {
                    value.push(b'\n');
                    value.extend_from_slice(line);
                }
                (_, _, Some(colon)) => fields.push((line[..colon].to_vec(), line[colon + 1..].to_vec())),
                _ => break, // no header line: the body begins here
            }
            rest = after;
        }
        (fields, rest)
    }
}

/// The first line without its end, and what follows; none at the end of the message.
fn line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if text.is_empty() {
        return None;
    }
    let end = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1);
    let (line, rest) = text.split_at(end);
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    Some((line.strip_suffix(b"\r").unwrap_or(line), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_keep_their_white_space_and_the_body_is_untouched() {
        let mail = Mail::of("A: 1\r\nB:2\r\n\tfold\r\n\r\nbody\r\n.\r\n");
        let (fields, body) = mail.split();
        let expected: [(&[u8], &[u8]); 2] = [(b"A", b" 1"), (b"B", b"2\n\tfold")];
        assert!(fields.iter().map(|(name, value)| (&name[..], &value[..])).eq(expected));
        assert_eq!(body, b"body\r\n.\r\n");
    }
}
