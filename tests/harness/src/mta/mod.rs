// SPDX-License-Identifier: GPL-3.0-or-later
//! The MTA's side of the milter protocol, as Postfix speaks it, without an MTA: for tests of what no real MTA can be made
//! to do, and for load.
//!
//! One [`Mta`] is one SMTP session's connection to a milter: negotiation, then any number of messages. It obeys what the
//! milter negotiates. Macros and their command are one write; commands that get no reply are gathered until one that
//! does. Over TCP there is no TCP_NODELAY, as in Postfix, so a milter's share of a stall can be measured.

mod mail;
mod wire;

pub use mail::{Field, Mail};
pub use wire::{Offer, Stage};

use std::{
    io::{Error, ErrorKind, Result},
    time::{Duration, Instant},
};
use tokio::net::{TcpStream, UnixStream};
pub use wire::{CHUNK, LEADING_SPACE, strings};
use wire::{Wire, split};

/// How long a reply may take: Postfix's `milter_content_timeout` is longer, a test is not.
const PATIENCE: Duration = Duration::from_secs(90);

/// A connection to a milter.
pub struct Mta {
    wire: Wire,
    agreed: Offer,
    greeted: Option<String>,
    connection_over: Option<Action>,
    /// The last chunk of a body goes with the end of the message, as Sendmail sends it; false: as Postfix.
    pub last_chunk_with_end: bool,
    /// An IPv6 client is spelt with a tag, as Sendmail spells it; false: as Postfix.
    pub ipv6_tag: bool,
    /// As Stalwart speaks: no queue id, header fields without blanks around their values, the whole message as the body.
    pub stalwart: bool,
    /// How long a reply may take, progress not counted.
    pub patience: Duration,
}

/// What the milter wants done with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Accept it, without further questions.
    Accept,
    /// Go on; at the end of the message: accept it.
    Continue,
    /// Refuse it for good with the MTA's own text.
    Reject,
    /// Refuse it for now with the MTA's own text.
    Tempfail,
    /// Take it and forget it.
    Discard,
    /// Refuse it with this SMTP reply.
    ReplyCode(String),
}

/// A header field that the milter adds, inserts or changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderChange {
    /// Position, where the change has one.
    pub index: u32,
    /// The field's name.
    pub name: String,
    /// Its new value; empty: the field is deleted.
    pub value: String,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What the milter wants done with it.
    pub action: Action,
    /// At which stage it said so.
    pub stage: Stage,
    /// Header fields added at the end.
    pub headers_added: Vec<HeaderChange>,
    /// Header fields inserted at a position.
    pub headers_inserted: Vec<HeaderChange>,
    /// Header fields changed.
    pub headers_changed: Vec<HeaderChange>,
    /// The reason for which the message is held, if it is.
    pub quarantine: Option<String>,
    /// How often the milter asked for more time.
    pub progress: u32,
    /// From the end of the message to the last reply; zero where it did not come to that.
    pub eom_latency: Duration,
}

impl Reply {
    fn at(stage: Stage) -> Self {
        Self {
            action: Action::Continue,
            stage,
            headers_added: Vec::new(),
            headers_inserted: Vec::new(),
            headers_changed: Vec::new(),
            quarantine: None,
            progress: 0,
            eom_latency: Duration::ZERO,
        }
    }

    /// The message is delivered: accepted, and neither held nor refused.
    pub fn delivers(&self) -> bool {
        matches!(self.action, Action::Accept | Action::Continue) && self.quarantine.is_none()
    }

    /// The first value added or inserted under this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers_added.iter().chain(&self.headers_inserted);
        all.find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
    }
}

impl Mta {
    /// Connects to `inet:HOST:PORT`, `HOST:PORT` or `unix:PATH` and negotiates as Postfix does.
    pub async fn connect(address: &str) -> Result<Self> {
        Self::connect_with(address, Offer::default()).await
    }

    /// Connects and offers no more than `offer`.
    pub async fn connect_with(address: &str, offer: Offer) -> Result<Self> {
        let mut wire = match address.strip_prefix("unix:") {
            Some(path) => Wire::new(UnixStream::connect(path).await?),
            None => Wire::new(TcpStream::connect(address.strip_prefix("inet:").unwrap_or(address)).await?),
        };
        let agreed = negotiate(&mut wire, offer).await?;
        Ok(Self {
            wire,
            agreed,
            greeted: None,
            connection_over: None,
            last_chunk_with_end: false,
            ipv6_tag: false,
            stalwart: false,
            patience: PATIENCE,
        })
    }

    /// What the milter chose of what was offered.
    pub fn agreed(&self) -> Offer {
        self.agreed
    }

    /// Sends one message and waits for its fate.
    pub async fn send(&mut self, mail: &Mail) -> Result<Reply> {
        let (stage, decided) = self.before_the_end(mail).await?;
        if let Some(action) = decided {
            return self.decided(stage, action).await;
        }
        match self.body(self.body_of(mail)).await? {
            Err(action) => self.decided(Stage::Body, action).await,
            Ok(chunk) => self.end(mail, chunk).await,
        }
    }

    /// Sends everything of a message but its end: a client that stalls. Returns without reading replies to the body.
    pub async fn send_without_end(&mut self, mail: &Mail) -> Result<Option<Action>> {
        let (_, action) = self.before_the_end(mail).await?;
        if action.is_none() {
            self.body(self.body_of(mail)).await?.ok();
        }
        self.wire.flush().await?;
        Ok(action)
    }

    /// Sends a whole message and does not wait for the milter's last word.
    pub async fn send_without_waiting(&mut self, mail: &Mail) -> Result<()> {
        if self.send_without_end(mail).await?.is_none() {
            self.put_end(mail, &[]).await?;
            self.wire.flush().await?;
        }
        Ok(())
    }

    fn body_of<'a>(&self, mail: &'a Mail) -> &'a [u8] {
        if self.stalwart { &mail.message } else { mail.split().1 }
    }

    /// The macro of the queue id.
    fn queue_id(&self, mail: &Mail) -> Vec<u8> {
        if self.stalwart { Vec::new() } else { strings(["i", &mail.queue_id]) }
    }

    /// Gives the current message up; the connection lives on.
    pub async fn abort(&mut self) -> Result<()> {
        self.wire.put(b'A', &[]).await?;
        self.wire.flush().await
    }

    /// Ends the session.
    pub async fn quit(mut self) -> Result<()> {
        self.wire.put(b'Q', &[]).await?;
        self.wire.flush().await
    }

    /// Writes bytes that need not be a packet.
    pub async fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.wire.raw(bytes).await
    }

    /// Reads one packet: its letter and data.
    pub async fn take(&mut self) -> Result<(u8, Vec<u8>)> {
        let late = || Error::new(ErrorKind::TimedOut, "the milter does not reply");
        tokio::time::timeout(self.patience, self.wire.take()).await.map_err(|_| late())?
    }

    /// Before the end of the message; a refused one is aborted, an accepted one is none of the milter's business.
    async fn decided(&mut self, stage: Stage, action: Action) -> Result<Reply> {
        if action != Action::Accept {
            self.abort().await?;
        }
        Ok(Reply { action, ..Reply::at(stage) })
    }

    /// Everything up to the body. An action ends the message.
    async fn before_the_end(&mut self, mail: &Mail) -> Result<(Stage, Option<Action>)> {
        if let Some(action) = &self.connection_over {
            return Ok((Stage::Connect, Some(action.clone())));
        }
        for (stage, macros, data) in self.commands(mail) {
            if let Some(action) = self.command(stage, &macros, &data).await? {
                if matches!(stage, Stage::Connect | Stage::Helo) {
                    self.connection_over = Some(action.clone());
                }
                return Ok((stage, Some(action)));
            }
        }
        self.greeted = Some(mail.helo.clone());
        Ok((Stage::Eoh, None))
    }

    /// The commands before the body with their macros, each pair in the protocol's own form.
    fn commands(&self, mail: &Mail) -> Vec<(Stage, Vec<u8>, Vec<u8>)> {
        let mut commands = Vec::new();
        let mut push = |stage, macros: Vec<u8>, data: Vec<u8>| commands.push((stage, macros, data));
        let client = mail.client.ip().to_string();
        if self.greeted.is_none() {
            let daemon = if self.stalwart { "Stalwart" } else { "mta" };
            let macros =
                ["j", "mta.test.example", "{daemon_name}", daemon, "v", "test", "{client_addr}", &client];
            push(Stage::Connect, strings(macros), connect_data(mail, self.ipv6_tag));
        }
        if self.greeted.as_ref() != Some(&mail.helo) {
            push(Stage::Helo, Vec::new(), strings([&mail.helo]));
        }
        push(Stage::Mail, mail_macros(mail, &client), mail_data(mail));
        for recipient in &mail.recipients {
            push(Stage::Rcpt, strings(["{rcpt_addr}", recipient]), strings([format!("<{recipient}>")]));
        }
        let id = self.queue_id(mail); // Postfix has a queue id from DATA on
        push(Stage::Data, id.clone(), Vec::new());
        for (name, value) in mail.split().0 {
            push(Stage::Header, Vec::new(), strings([name, self.header_value(value)]));
        }
        push(Stage::Eoh, id, Vec::new());
        commands
    }

    fn header_value(&self, value: Vec<u8>) -> Vec<u8> {
        if self.stalwart {
            return value.trim_ascii().to_vec();
        }
        match value.split_first() {
            Some((b' ', rest)) if self.agreed.options & LEADING_SPACE == 0 => rest.to_vec(),
            _ => value,
        }
    }

    /// One command and its reply. Some: the milter has decided.
    async fn command(&mut self, stage: Stage, macros: &[u8], data: &[u8]) -> Result<Option<Action>> {
        if self.agreed.options & stage.unwanted() != 0 {
            return Ok(None);
        }
        if !macros.is_empty() {
            let macros = [&[stage.letter()], macros].concat();
            self.wire.put(b'D', &macros).await?;
        }
        self.wire.put(stage.letter(), data).await?;
        if self.agreed.options & stage.unanswered() != 0 {
            return Ok(None);
        }
        let (letter, data) = self.take_past_progress(&mut 0).await?;
        match action(letter, &data)? {
            Action::Continue => Ok(None),
            action => Ok(Some(action)),
        }
    }

    /// Sends the body and returns the chunk that is left for the end, or an early decision.
    async fn body<'a>(&mut self, body: &'a [u8]) -> Result<std::result::Result<&'a [u8], Action>> {
        let mut chunks = body.chunks(CHUNK).peekable();
        while let Some(chunk) = chunks.next() {
            if self.last_chunk_with_end && chunks.peek().is_none() {
                return Ok(Ok(chunk));
            }
            if self.agreed.options & Stage::Body.unwanted() != 0 {
                break;
            }
            self.wire.put(b'B', chunk).await?;
            if self.agreed.options & Stage::Body.unanswered() != 0 {
                continue;
            }
            let (letter, data) = self.take_past_progress(&mut 0).await?;
            if letter == b's' {
                break; // SMFIR_SKIP: the milter has seen enough
            }
            match action(letter, &data)? {
                Action::Continue => (),
                action => return Ok(Err(action)),
            }
        }
        Ok(Ok(&[]))
    }

    async fn put_end(&mut self, mail: &Mail, chunk: &[u8]) -> Result<()> {
        let macros = self.queue_id(mail);
        if !macros.is_empty() {
            self.wire.put(b'D', &[b"E", &macros[..]].concat()).await?;
        }
        self.wire.put(b'E', chunk).await
    }

    /// The end of the message: modifications, then the last word.
    async fn end(&mut self, mail: &Mail, chunk: &[u8]) -> Result<Reply> {
        self.put_end(mail, chunk).await?;
        let begun = Instant::now();
        let mut reply = Reply::at(Stage::Eom);
        loop {
            let (letter, data) = self.take_past_progress(&mut reply.progress).await?;
            match letter {
                b'h' => reply.headers_added.push(header_change(0, &data)),
                b'i' => reply.headers_inserted.push(indexed_header(&data)?),
                b'm' => reply.headers_changed.push(indexed_header(&data)?),
                b'q' => reply.quarantine = split(&data).into_iter().next(),
                b'+' | b'-' | b'2' | b'b' | b'e' => (), // recipients, body, sender: not recorded
                _ => {
                    reply.action = action(letter, &data)?;
                    reply.eom_latency = begun.elapsed();
                    return Ok(reply);
                }
            }
        }
    }

    async fn take_past_progress(&mut self, progress: &mut u32) -> Result<(u8, Vec<u8>)> {
        loop {
            match self.take().await? {
                (b'p', _) => *progress += 1,
                packet => return Ok(packet),
            }
        }
    }
}

/// Offers, and checks that the milter takes no more than was offered.
async fn negotiate(wire: &mut Wire, offer: Offer) -> Result<Offer> {
    let numbers = [offer.version, offer.actions, offer.options].map(u32::to_be_bytes).concat();
    wire.put(b'O', &numbers).await?;
    let (letter, data) = wire.take().await?;
    let number =
        |at: usize| data.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    let (Some(version), Some(actions), Some(options), b'O') = (number(0), number(4), number(8), letter)
    else {
        return Err(invalid("no answer to the negotiation"));
    };
    if version > offer.version || actions & !offer.actions != 0 || options & !offer.options != 0 {
        return Err(invalid("the milter wants more than was offered"));
    }
    Ok(Offer { version, actions, options })
}

/// The arguments of CONNECT: a name, and the client's address.
pub fn connect_data(mail: &Mail, ipv6_tag: bool) -> Vec<u8> {
    let family = if mail.client.is_ipv4() { b'4' } else { b'6' };
    let mut data = strings(["unknown"]);
    data.push(family);
    data.extend_from_slice(&mail.client.port().to_be_bytes());
    let tag = if ipv6_tag && mail.client.is_ipv6() { "IPv6:" } else { "" };
    data.extend(strings([format!("{tag}{}", mail.client.ip())]));
    data
}

/// The macros of MAIL.
pub fn mail_macros(mail: &Mail, client: &str) -> Vec<u8> {
    let mut macros = vec!["{mail_addr}", &mail.sender, "{client_addr}", client];
    if let Some(auth) = &mail.auth {
        macros.extend(["{auth_type}", "PLAIN", "{auth_authen}", auth]);
    }
    strings(macros)
}

/// The arguments of MAIL.
pub fn mail_data(mail: &Mail) -> Vec<u8> {
    let mut arguments = vec![format!("<{}>", mail.sender)];
    arguments.extend(mail.size.map(|size| format!("SIZE={size}")));
    strings(arguments)
}

fn action(letter: u8, data: &[u8]) -> Result<Action> {
    Ok(match letter {
        b'a' => Action::Accept,
        b'c' => Action::Continue,
        b'd' => Action::Discard,
        b'r' => Action::Reject,
        b't' => Action::Tempfail,
        b'y' => Action::ReplyCode(split(data).concat()),
        _ => return Err(invalid(&format!("unexpected reply {:?}", char::from(letter)))),
    })
}

fn indexed_header(data: &[u8]) -> Result<HeaderChange> {
    let (index, rest) =
        data.split_first_chunk().ok_or_else(|| invalid("a header change without an index"))?;
    Ok(header_change(u32::from_be_bytes(*index), rest))
}

fn header_change(index: u32, data: &[u8]) -> HeaderChange {
    let mut parts = split(data).into_iter();
    let mut part = || parts.next().unwrap_or_default();
    HeaderChange { index, name: part(), value: part() }
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidData, message)
}
