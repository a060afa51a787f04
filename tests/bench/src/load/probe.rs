// SPDX-License-Identifier: GPL-3.0-or-later
//! The first connection: whether there is a milter, and what it negotiates.

use super::{
    plan::Plan,
    script::{Script, Values},
    socket::Address,
};
use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    thread,
    time::{Duration, Instant},
};
use thundergate_harness::mta::Offer;

/// How long a milter may take to listen, since it may be starting.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(100);

/// There is no milter.
#[derive(Debug, thiserror::Error)]
#[error("no milter at {milter}")]
pub struct Unreachable {
    milter: String,
    source: io::Error,
}

impl Unreachable {
    pub(super) fn new(plan: &Plan, source: io::Error) -> Self {
        Self { milter: plan.milter.to_string(), source }
    }
}

/// What the milter chooses of what Postfix offers.
pub fn negotiate(plan: &Plan, address: &Address) -> Result<Offer, Unreachable> {
    let began = Instant::now();
    loop {
        match attempt(address) {
            Ok(agreed) => return Ok(agreed),
            Err(error) if began.elapsed() > PATIENCE => return Err(Unreachable::new(plan, error)),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

fn attempt(address: &Address) -> io::Result<Offer> {
    match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            over(stream)
        }
        Address::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            over(stream)
        }
    }
}

fn over(mut stream: impl Read + Write) -> io::Result<Offer> {
    let (negotiation, quit) = (Script::negotiation(Offer::default()), Script::quit());
    negotiation.write(&[], 0..negotiation.len(), &Values::default(), &mut stream)?;
    let mut answer = [0; 17];
    stream.read_exact(&mut answer)?;
    let number = |at: usize| u32::from_be_bytes([answer[at], answer[at + 1], answer[at + 2], answer[at + 3]]);
    if answer[4] != b'O' {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "what answers is no milter"));
    }
    quit.write(&[], 0..quit.len(), &Values::default(), &mut stream)?;
    Ok(Offer { version: number(5), actions: number(9), options: number(13) })
}
