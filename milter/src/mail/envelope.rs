// SPDX-License-Identifier: GPL-3.0-or-later
//! Who sends what to whom: the connection's client and the message's envelope (RFC 5321), as the MTA reports them.

use std::net::IpAddr;
use thundergate_common::clock::now_ms;

/// The host that talks to the MTA, and the MTA; the same for all messages of a connection.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// What the MTA calls itself (macro `j`).
    pub mta: String,
    /// Its name as the MTA looked it up, or `unknown` or an address literal.
    pub name: String,
    /// Its address; none over a local socket.
    pub address: Option<IpAddr>,
    /// What it said in HELO or EHLO.
    pub helo: String,
}

/// One message's envelope.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// The MTA's queue id (macro `i`); Postfix assigns it by DATA, Sendmail by MAIL. One of [our own](own_queue_id) where
    /// the MTA has none.
    pub queue_id: String,
    /// MAIL FROM without its angle brackets; empty for a bounce.
    pub sender: String,
    /// Every RCPT TO without its angle brackets.
    pub recipients: Vec<String>,
    /// The SMTP AUTH identity (macro `{auth_authen}`).
    pub authenticated: Option<String>,
    /// The size that the client declared (RFC 1870).
    pub declared_size: Option<usize>,
}

impl Envelope {
    /// Begins with the arguments of MAIL: the address, then ESMTP parameters.
    pub fn begin<'a>(mut arguments: impl Iterator<Item = &'a [u8]>) -> Self {
        let sender = arguments.next().map(address).unwrap_or_default();
        let declared_size = arguments.find_map(|argument| {
            let argument = std::str::from_utf8(argument).ok()?;
            let (name, value) = argument.split_once('=')?;
            name.eq_ignore_ascii_case("SIZE").then(|| value.parse().ok())?
        });
        Self { sender, declared_size, ..Self::default() }
    }

    /// Adds the argument of RCPT.
    pub fn add_recipient(&mut self, argument: &[u8]) {
        self.recipients.push(address(argument));
    }
}

/// A name for a message whose MTA gives it none (Stalwart): `tg-`, the time, and what no other message of that time has.
pub fn own_queue_id() -> String {
    format!("tg-{:012x}{:04x}", now_ms(), fastrand::u16(..))
}

/// An address as text: without angle brackets, bytes that are no UTF-8 replaced.
fn address(argument: &[u8]) -> String {
    let argument = argument.strip_prefix(b"<").unwrap_or(argument);
    let argument = argument.strip_suffix(b">").unwrap_or(argument);
    String::from_utf8_lossy(argument).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_arguments_give_sender_and_size() {
        let arguments: [&[u8]; 3] = [b"<a@x.example>", b"BODY=8BITMIME", b"size=1024"];
        let envelope = Envelope::begin(arguments.into_iter());
        assert_eq!((envelope.sender.as_str(), envelope.declared_size), ("a@x.example", Some(1024)));
        let bounce = Envelope::begin([b"<>".as_slice(), b"SIZE=x"].into_iter());
        assert_eq!((bounce.sender.as_str(), bounce.declared_size), ("", None));
    }
}
