// SPDX-License-Identifier: GPL-3.0-or-later
//! What goes through the pipes: the length of a head in four bytes (the lowest first), the head in JSON, then bytes whose
//! lengths the head says. One request to the child, one reply from it. Both are bounded before they are read: the child
//! worked on what anybody sent, and may have become somebody else.
//!
//! Here alone passwords are written out, into memory that is wiped.

use super::{
    answer::{Answer, Container, Member},
    budget::Budget,
    failure::{Excess, Failure},
    limits::Limits,
    passwords::Passwords,
    request::{Kind, Request},
    stop::Stop,
};
use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    io::{self, ErrorKind, Read, Write},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Bytes of a request's head.
const LONGEST_REQUEST: u32 = 256 << 10;
/// Bytes of a reply's head, beside what a member takes.
const REPLY: u32 = 1 << 10;
/// Bytes of a member in a reply's head: 255 characters, each of up to 6 bytes in JSON, a length, and signs.
const LONGEST_MEMBER: u32 = 2 << 10;

/// A request's head. The container follows.
#[derive(Serialize, Deserialize)]
struct Head<'a> {
    kind: Kind,
    #[serde(borrow)]
    candidates: Vec<(usize, Cow<'a, str>)>,
    bytes_out: u64,
    members: usize,
    rounds: u64,
    /// For tries.
    millis: u64,
    container: u64,
}

/// A reply's head. The members follow.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Answer { container: Container, cut_off: Option<Excess>, members: Vec<(String, u64)> },
    TooMuch(Excess),
    Damaged,
}

/// A request, as the child has it.
pub(crate) struct Task {
    pub(crate) kind: Kind,
    pub(crate) container: Vec<u8>,
    pub(crate) passwords: Passwords,
    pub(crate) budget: Budget,
}

/// What stands before the container.
pub(crate) fn request(request: &Request, limits: &Limits) -> Zeroizing<Vec<u8>> {
    let head = Head {
        kind: request.kind,
        candidates: request
            .tried()
            .map(|(index, password)| (index, password.expose_secret().into()))
            .collect(),
        bytes_out: limits.bytes_out,
        members: limits.members,
        rounds: limits.rounds,
        // What was found by then must still be written and read.
        millis: u64::try_from(limits.timeout.as_millis()).unwrap_or(u64::MAX) / 4 * 3,
        container: request.container.len() as u64,
    };
    // Enough from the start: what a buffer grows out of is not wiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST_REQUEST as usize));
    bytes.extend_from_slice(&[0; 4]);
    serde_json::to_writer(&mut *bytes, &head).expect("numbers and texts can be written");
    let length = u32::try_from(bytes.len() - 4).expect("so many candidates of such a length are few");
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// Reads a request, as the child.
///
/// # Errors
///
/// It is none.
pub(crate) fn read_request(mut source: impl Read) -> io::Result<Task> {
    let mut length = [0; 4];
    source.read_exact(&mut length)?;
    let length = bounded(u32::from_le_bytes(length), LONGEST_REQUEST)?;
    let mut head = Zeroizing::new(vec![0; length]);
    source.read_exact(&mut head)?;
    let head: Head<'_> = parsed(&head)?;
    let mut container = Vec::new();
    source.take(head.container).read_to_end(&mut container)?;
    if container.len() as u64 != head.container {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let candidates = head.candidates.into_iter();
    let passwords = candidates.map(|(index, password)| (index, SecretString::from(password.into_owned())));
    let budget = Budget::new(head.bytes_out, head.members, head.rounds, Duration::from_millis(head.millis));
    Ok(Task { kind: head.kind, container, passwords: Passwords::new(passwords), budget })
}

/// Writes what came of it, as the child.
///
/// # Errors
///
/// Nobody reads it.
pub(crate) fn write_reply(mut sink: impl Write, worked: Result<Answer, Stop>) -> io::Result<()> {
    let (reply, members) = match worked {
        Ok(Answer { container, members, cut_off }) => {
            let heads = members.iter().map(|member| (member.name.clone(), member.bytes.len() as u64));
            (Reply::Answer { container, cut_off, members: heads.collect() }, members)
        }
        Err(Stop::TooMuch(excess)) => (Reply::TooMuch(excess), Vec::new()),
        Err(Stop::Damaged | Stop::Unsupported(_)) => (Reply::Damaged, Vec::new()),
    };
    let head = serde_json::to_vec(&reply)?;
    let length = u32::try_from(head.len()).map_err(|_| ErrorKind::InvalidData)?;
    sink.write_all(&length.to_le_bytes())?;
    sink.write_all(&head)?;
    members.iter().try_for_each(|member| sink.write_all(&member.bytes))?;
    sink.flush()
}

/// Reads what came of it, as the parent.
///
/// # Errors
///
/// It is no reply, or more than was allowed.
pub(crate) async fn read_reply(
    mut source: impl AsyncRead + Unpin,
    limits: &Limits,
) -> io::Result<Result<Answer, Failure>> {
    let members = u32::try_from(limits.members).unwrap_or(u32::MAX);
    let most = members.saturating_mul(LONGEST_MEMBER).saturating_add(REPLY);
    let length = bounded(source.read_u32_le().await?, most)?;
    let mut head = vec![0; length];
    source.read_exact(&mut head).await?;
    let (container, cut_off, heads) = match parsed(&head)? {
        Reply::Answer { container, cut_off, members } => (container, cut_off, members),
        Reply::TooMuch(Excess::Time) => return Ok(Err(Failure::TimedOut)),
        Reply::TooMuch(excess) => return Ok(Err(Failure::TooMuch(excess))),
        Reply::Damaged => return Ok(Err(Failure::Damaged)),
    };
    let sum = heads.iter().fold(0_u64, |sum, (_, length)| sum.saturating_add(*length));
    if sum > limits.bytes_out || heads.len() > limits.members {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut members = Vec::with_capacity(heads.len());
    for (name, length) in heads {
        members.push(Member { name, bytes: read_member(&mut source, length).await? });
    }
    Ok(Ok(Answer { container, members, cut_off }))
}

async fn read_member(source: &mut (impl AsyncRead + Unpin), length: u64) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    source.take(length).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 == length { Ok(bytes.into()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

fn bounded(length: u32, most: u32) -> io::Result<usize> {
    if length > most { Err(ErrorKind::InvalidData.into()) } else { Ok(length as usize) }
}

fn parsed<'a, T: Deserialize<'a>>(head: &'a [u8]) -> io::Result<T> {
    // The cause might quote a password.
    serde_json::from_slice(head).map_err(|_| ErrorKind::InvalidData.into())
}
