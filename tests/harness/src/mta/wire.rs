// SPDX-License-Identifier: GPL-3.0-or-later
//! The milter protocol on the wire, version 6: a length of four bytes, a letter, data. As in Sendmail's `mfdef.h`.

use std::io::{Error, ErrorKind, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A body chunk's largest size (`MILTER_CHUNK_SIZE`).
pub const CHUNK: usize = 65_535;
/// Larger packets from a milter are a broken connection.
const MOST: usize = 1 << 20;
/// What is gathered before it must be written, though no reply is awaited.
const GATHERED: usize = 64 << 10;

/// What an MTA can do, or a milter wants to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Protocol version.
    pub version: u32,
    /// `SMFIF_…`
    pub actions: u32,
    /// `SMFIP_…`
    pub options: u32,
}

impl Default for Offer {
    /// What Postfix offers.
    fn default() -> Self {
        Self { version: 6, actions: 0x1ff, options: 0x1f_ffff }
    }
}

/// A command of the MTA that has a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A client has connected.
    Connect,
    /// HELO or EHLO.
    Helo,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// DATA.
    Data,
    /// A header field.
    Header,
    /// End of the header.
    Eoh,
    /// A chunk of the body.
    Body,
    /// End of the message.
    Eom,
}

impl Stage {
    /// The command's letter (`SMFIC_…`).
    pub fn letter(self) -> u8 {
        match self {
            Self::Connect => b'C',
            Self::Helo => b'H',
            Self::Mail => b'M',
            Self::Rcpt => b'R',
            Self::Data => b'T',
            Self::Header => b'L',
            Self::Eoh => b'N',
            Self::Body => b'B',
            Self::Eom => b'E',
        }
    }

    /// `SMFIP_NO…`: the milter does not want this command.
    pub fn unwanted(self) -> u32 {
        match self {
            Self::Connect => 0x1,
            Self::Helo => 0x2,
            Self::Mail => 0x4,
            Self::Rcpt => 0x8,
            Self::Body => 0x10,
            Self::Header => 0x20,
            Self::Eoh => 0x40,
            Self::Data => 0x200,
            Self::Eom => 0,
        }
    }

    /// `SMFIP_NR_…`: the milter does not answer this command.
    pub fn unanswered(self) -> u32 {
        match self {
            Self::Header => 0x80,
            Self::Connect => 0x1000,
            Self::Helo => 0x2000,
            Self::Mail => 0x4000,
            Self::Rcpt => 0x8000,
            Self::Data => 0x1_0000,
            Self::Eoh => 0x4_0000,
            Self::Body => 0x8_0000,
            Self::Eom => 0,
        }
    }
}

/// `SMFIP_HDR_LEADSPC`: header values keep their leading space.
pub const LEADING_SPACE: u32 = 0x10_0000;

/// Anything to speak the protocol over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection that gathers what it writes until a reply is awaited, as Postfix does.
pub struct Wire {
    stream: Box<dyn Stream>,
    gathered: Vec<u8>,
}

impl Wire {
    /// Over `stream`.
    pub fn new(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), gathered: Vec::new() }
    }

    /// Gathers one packet.
    pub async fn put(&mut self, letter: u8, data: &[u8]) -> Result<()> {
        let len = u32::try_from(data.len() + 1).map_err(|_| Error::from(ErrorKind::InvalidInput))?;
        self.gathered.extend_from_slice(&len.to_be_bytes());
        self.gathered.push(letter);
        self.gathered.extend_from_slice(data);
        if self.gathered.len() >= GATHERED { self.flush().await } else { Ok(()) }
    }

    /// Writes what was gathered, and `bytes` after it, whatever they are.
    pub async fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.gathered.extend_from_slice(bytes);
        self.flush().await
    }

    /// Writes what was gathered.
    pub async fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.gathered).await?;
        self.gathered.clear();
        self.stream.flush().await
    }

    /// Writes what was gathered and reads one packet.
    pub async fn take(&mut self) -> Result<(u8, Vec<u8>)> {
        self.flush().await?;
        let len = self.stream.read_u32().await? as usize;
        if len == 0 || len > MOST {
            return Err(Error::new(ErrorKind::InvalidData, format!("a packet of {len} bytes")));
        }
        let mut packet = vec![0; len];
        self.stream.read_exact(&mut packet).await?;
        let data = packet.split_off(1);
        Ok((packet[0], data))
    }
}

/// Strings with a NUL after each.
pub fn strings<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> Vec<u8> {
    let mut data = Vec::new();
    for part in parts {
        data.extend_from_slice(part.as_ref());
        data.push(0);
    }
    data
}

/// The strings before each NUL of `data`, readable.
pub fn split(data: &[u8]) -> Vec<String> {
    let data = data.strip_suffix(b"\0").unwrap_or(data);
    data.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}
