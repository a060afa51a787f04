// SPDX-License-Identifier: GPL-3.0-or-later
//! One connection to a milter: writes a script step by step, and reads what comes back in between.

use super::{
    script::{Awaited, Script, Values},
    socket::{Address, Socket},
};
use mio::{Interest, Registry, Token};
use std::{
    io::{self, ErrorKind, Read as _},
    time::{Duration, Instant},
};
use thundergate_harness::mta::Offer;

/// Larger packets from a milter are a broken connection.
const MOST: usize = 1 << 20;
/// A packet's length, and its letter.
const HEAD: usize = 5;

/// What was decided about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Accepted.
    Accept,
    /// Accepted, with a header field more.
    Tag,
    /// Accepted and held.
    Quarantine,
    /// Refused for good.
    Reject,
    /// Refused for now.
    Tempfail,
    /// Taken and forgotten.
    Discard,
}

/// Why a connection is lost.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It did not come about.
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    /// It ended before an answer.
    #[error("connection lost")]
    Lost(#[source] io::Error),
    /// No answer came in time.
    #[error("no answer in time")]
    Late,
    /// What came is no answer.
    #[error("{0}")]
    Protocol(String),
}

/// What a script came to.
#[derive(Clone, Copy, Debug)]
pub enum Done {
    /// All of it is written and answered.
    Written,
    /// The milter chose this.
    Agreed(Offer),
    /// The message has its decision.
    Decided {
        /// Which.
        decision: Decision,
        /// From the end of the message on; none where it did not come to that.
        after_end: Option<Duration>,
    },
}

/// A connection.
#[derive(Debug)]
pub struct Connection<'a> {
    socket: Socket,
    script: &'a Script,
    /// Steps before this one are done.
    step: usize,
    /// The script is done before this one.
    last: usize,
    written: usize,
    /// What nothing is awaited for; it goes with what comes next.
    ahead: Vec<u8>,
    wants_to_write: bool,
    readable: bool,
    closed: bool,
    inbox: Vec<u8>,
    marks: Marks,
    end_begun: Option<Instant>,
    /// When the milter last gave a sign of life, or got something to answer.
    pub since: Instant,
    /// What differs in this message.
    pub values: Values,
    /// Messages so far.
    pub messages: u64,
}

/// What was said of a message before its decision.
#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    tagged: bool,
    quarantined: bool,
}

impl<'a> Connection<'a> {
    /// Begins to connect, and writes `script` once it can.
    pub fn open(
        address: &Address,
        script: &'a Script,
        parts: usize,
        registry: &Registry,
        token: Token,
    ) -> Result<Self, Failure> {
        let mut socket = Socket::connect(address).map_err(Failure::Connect)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut socket, token, interest).map_err(Failure::Connect)?;
        let values =
            Values { numbers: vec![[0; 12]; parts], names: vec![[0; 10]; parts], ..Values::default() };
        Ok(Self {
            socket,
            script,
            step: 0,
            last: script.steps.len(),
            written: 0,
            ahead: Vec::new(),
            wants_to_write: true,
            readable: false,
            closed: false,
            inbox: Vec::new(),
            marks: Marks::default(),
            end_begun: None,
            since: Instant::now(),
            values,
            messages: 0,
        })
    }

    /// Begins a script, of which only so many steps.
    pub fn begin(&mut self, script: &'a Script, steps: usize, now: Instant) {
        (self.script, self.step, self.last, self.written) = (script, 0, steps, 0);
        (self.marks, self.end_begun, self.since) = (Marks::default(), None, now);
    }

    /// How much of the script is written.
    pub fn written(&self) -> usize {
        self.written
    }

    /// Ends the session.
    pub fn quit(mut self, quit: &Script) {
        // A milter that has gone needs no farewell.
        let _ = quit.write(&self.ahead, 0..quit.len(), &self.values, &mut self.socket);
    }

    /// Something can be read; `closed`: and nothing will follow.
    pub fn readable(&mut self, closed: bool) {
        self.readable = true;
        self.closed |= closed;
    }

    /// Goes on as far as it can; none: something must be read or room to write must come first.
    pub fn go_on(
        &mut self,
        buffer: &mut [u8],
        registry: &Registry,
        token: Token,
    ) -> Result<Option<Done>, Failure> {
        loop {
            while let Some(step) = self.script.steps[..self.last].get(self.step) {
                if step.awaited == Awaited::Nothing {
                    self.ahead.extend_from_slice(self.script.plain(self.written..step.end));
                    (self.step, self.written) = (self.step + 1, step.end);
                } else if self.written == step.end {
                    break;
                } else if !self.write(step.end, registry, token).map_err(Failure::Lost)? {
                    return Ok(None);
                }
            }
            if self.step == self.last {
                return Ok(Some(Done::Written));
            }
            match self.reply()? {
                Some(Reply::Continue) => self.step += 1,
                Some(Reply::Skip) => self.skip_to_the_end(),
                Some(Reply::Done(done)) => return Ok(Some(done)),
                None if !self.readable => return Ok(None),
                None => self.read(buffer).map_err(Failure::Lost)?,
            }
        }
    }

    /// The milter has seen enough of the body. A message that is given up has no end.
    fn skip_to_the_end(&mut self) {
        self.step = self.last;
        if self.last == self.script.steps.len() {
            self.step -= 1;
            self.written = self.script.steps[self.step - 1].end;
        }
    }

    /// Writes up to `end`. False: there is no room yet.
    fn write(&mut self, end: usize, registry: &Registry, token: Token) -> io::Result<bool> {
        if self.script.steps[self.step].awaited == Awaited::Decision {
            self.end_begun.get_or_insert_with(Instant::now);
        }
        let wrote = self.script.write(&self.ahead, self.written..end, &self.values, &mut self.socket);
        let room = match wrote {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(wrote) => {
                let ahead = wrote.min(self.ahead.len());
                self.ahead.drain(..ahead);
                self.written += wrote - ahead;
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => false,
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(error) => return Err(error),
        };
        if room == self.wants_to_write {
            let interest = if room { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
            registry.reregister(&mut self.socket, token, interest)?;
            self.wants_to_write = !room;
        }
        Ok(room)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        match self.socket.read(buffer) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.inbox.extend_from_slice(&buffer[..count]);
                self.since = Instant::now();
                // Less than there was room for is all there is; the next bytes are another event.
                self.readable = count == buffer.len() || self.closed;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The next packet that says how to go on.
    fn reply(&mut self) -> Result<Option<Reply>, Failure> {
        let (mut at, mut reply) = (0, None);
        while reply.is_none() {
            let Some((letter, data)) = packet(&self.inbox[at..])? else { break };
            at += HEAD + data.len();
            reply = match letter {
                b'p' => None,
                b'h' | b'i' => {
                    self.marks.tagged = true;
                    None
                }
                b'q' => {
                    self.marks.quarantined = true;
                    None
                }
                b'm' | b'+' | b'-' | b'2' | b'b' | b'e' => None,
                letter => Some(self.word(letter, data)?),
            };
        }
        self.inbox.drain(..at);
        Ok(reply)
    }

    fn word(&self, letter: u8, data: &[u8]) -> Result<Reply, Failure> {
        let awaited = self.script.steps[self.step].awaited;
        let decision = match (letter, awaited) {
            (b'O', Awaited::Options) => return Ok(Reply::Done(Done::Agreed(agreed(data)?))),
            (b's', Awaited::Body) => return Ok(Reply::Skip),
            (b'c', Awaited::Continue | Awaited::Body) => return Ok(Reply::Continue),
            (b'a' | b'c', _) if self.marks.quarantined => Decision::Quarantine,
            (b'a' | b'c', _) if self.marks.tagged => Decision::Tag,
            (b'a' | b'c', _) => Decision::Accept,
            (b'd', _) => Decision::Discard,
            (b'r', _) => Decision::Reject,
            (b't', _) => Decision::Tempfail,
            (b'y', _) if data.starts_with(b"4") => Decision::Tempfail,
            (b'y', _) => Decision::Reject,
            _ => return Err(Failure::Protocol(format!("unexpected reply {:?}", char::from(letter)))),
        };
        if awaited == Awaited::Options {
            return Err(Failure::Protocol("no answer to the negotiation".to_owned()));
        }
        Ok(Reply::Done(Done::Decided { decision, after_end: self.end_begun.map(|begun| begun.elapsed()) }))
    }
}

/// How to go on.
enum Reply {
    Continue,
    Skip,
    Done(Done),
}

/// The first packet's letter and data; none: it is not yet whole.
fn packet(inbox: &[u8]) -> Result<Option<(u8, &[u8])>, Failure> {
    let Some((len, rest)) = inbox.split_first_chunk() else { return Ok(None) };
    let len = u32::from_be_bytes(*len) as usize;
    if len == 0 || len > MOST {
        return Err(Failure::Protocol(format!("a packet of {len} bytes")));
    }
    Ok(rest.get(..len).map(|packet| (packet[0], &packet[1..])))
}

fn agreed(data: &[u8]) -> Result<Offer, Failure> {
    let number = |at: usize| data.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    match (number(0), number(4), number(8)) {
        (Some(version), Some(actions), Some(options)) => Ok(Offer { version, actions, options }),
        _ => Err(Failure::Protocol("the answer to the negotiation is cut".to_owned())),
    }
}
