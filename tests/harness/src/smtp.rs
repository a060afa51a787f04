// SPDX-License-Identifier: GPL-3.0-or-later
//! SMTP (RFC 5321) from both sides: a client that changes no byte of a message, and a sink that records deliveries.

use std::{
    io::{Error, ErrorKind, Result},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpReply {
    /// `250`, `451`, …
    pub code: u16,
    /// Its lines without the code, with LF between them.
    pub text: String,
}

/// A message as the sink received it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Envelope sender.
    pub sender: String,
    /// Envelope recipients.
    pub recipients: Vec<String>,
    /// Header and body.
    pub data: Vec<u8>,
}

/// Submits one message over a connection of its own. Returns the reply to the end of the message, or the first refusal
/// before it.
pub async fn submit(to: SocketAddr, sender: &str, recipients: &[&str], message: &[u8]) -> Result<SmtpReply> {
    let mut session = BufStream::new(TcpStream::connect(to).await?);
    let mut replies = vec![reply(&mut session).await?];
    let mut commands = vec!["EHLO client.example.org".to_owned(), format!("MAIL FROM:<{sender}>")];
    commands.extend(recipients.iter().map(|recipient| format!("RCPT TO:<{recipient}>")));
    commands.push("DATA".to_owned());
    for command in commands {
        if replies.last().is_some_and(|reply| reply.code >= 400) {
            break;
        }
        replies.push(exchange(&mut session, format!("{command}\r\n").as_bytes()).await?);
    }
    if replies.last().is_some_and(|reply| reply.code == 354) {
        replies.push(exchange(&mut session, &stuffed(message)).await?);
    }
    session.write_all(b"QUIT\r\n").await?;
    session.flush().await?;
    replies.pop().ok_or_else(|| Error::from(ErrorKind::UnexpectedEof))
}

async fn exchange(session: &mut BufStream<TcpStream>, bytes: &[u8]) -> Result<SmtpReply> {
    session.write_all(bytes).await?;
    session.flush().await?;
    reply(session).await
}

async fn reply(session: &mut BufStream<TcpStream>) -> Result<SmtpReply> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if session.read_line(&mut line).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let (code, text) = line.trim_end().split_at_checked(3).ok_or(ErrorKind::InvalidData)?;
        lines.push(text.get(1..).unwrap_or_default().to_owned());
        if !text.starts_with('-') {
            let code = code.parse().map_err(|_| Error::from(ErrorKind::InvalidData))?;
            return Ok(SmtpReply { code, text: lines.join("\n") });
        }
    }
}

/// The message with a dot before each dot that begins a line, and its end (RFC 5321, 4.5.2).
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(message.len() + 16);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            data.push(b'.');
        }
        data.extend_from_slice(line);
    }
    let end: &[u8] = if message.ends_with(b"\r\n") { b".\r\n" } else { b"\r\n.\r\n" };
    data.extend_from_slice(end);
    data
}

/// A server that accepts everything and remembers it.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    delivered: Arc<Mutex<Vec<Delivered>>>,
    _sessions: JoinSet<()>,
}

impl Sink {
    /// On a free port of 127.0.0.1.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let delivered = Arc::default();
        let mut sessions = JoinSet::new();
        sessions.spawn(accept(listener, Arc::clone(&delivered)));
        Ok(Self { address, delivered, _sessions: sessions })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What arrived so far.
    pub fn delivered(&self) -> Vec<Delivered> {
        self.delivered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn accept(listener: TcpListener, delivered: Arc<Mutex<Vec<Delivered>>>) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let delivered = Arc::clone(&delivered);
                sessions.spawn(async move { receive(BufStream::new(stream), &delivered).await.ok(); });
            },
            Some(_) = sessions.join_next() => (),
        }
    }
}

async fn receive(mut session: BufStream<TcpStream>, delivered: &Mutex<Vec<Delivered>>) -> Result<()> {
    let mut envelope = Delivered { sender: String::new(), recipients: Vec::new(), data: Vec::new() };
    let mut answer = "220 sink.example.net ESMTP";
    loop {
        session.write_all(format!("{answer}\r\n").as_bytes()).await?;
        session.flush().await?;
        let mut command = String::new();
        if session.read_line(&mut command).await? == 0 {
            return Ok(());
        }
        let address = || command.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        let verb = command.get(..4).unwrap_or_default().to_ascii_uppercase();
        answer = "250 ok";
        match verb.as_str() {
            "MAIL" => envelope = Delivered { sender: address(), recipients: Vec::new(), data: Vec::new() },
            "RCPT" => envelope.recipients.push(address()),
            "DATA" => {
                session.write_all(b"354 go on\r\n").await?;
                session.flush().await?;
                envelope.data = data(&mut session).await?;
                delivered.lock().unwrap_or_else(PoisonError::into_inner).push(envelope.clone());
            }
            "QUIT" => answer = "221 bye",
            _ => (),
        }
    }
}

/// Everything before the line with a single dot, unstuffed.
async fn data(session: &mut BufStream<TcpStream>) -> Result<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        let mut line = Vec::new();
        if session.take(1 << 30).read_until(b'\n', &mut line).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if line == b".\r\n" {
            return Ok(message);
        }
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}
