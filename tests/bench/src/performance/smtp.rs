// SPDX-License-Identifier: GPL-3.0-or-later
//! An SMTP client (RFC 5321) that costs little: a thread for each connection, commands pipelined (RFC 2920), the same
//! message over and over.

use anyhow::{Context as _, ensure};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

/// Up to the text of the message.
const ENVELOPE: &[u8] = b"MAIL FROM:<sender@example.org>\r\nRCPT TO:<recipient@example.net>\r\nDATA\r\n";
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends `message` (no line of it begins with a dot) over so many connections for so long; messages a second.
///
/// # Errors
/// The server refuses something, or is not there.
pub fn send(to: SocketAddr, message: &[u8], connections: usize, time: Duration) -> anyhow::Result<f64> {
    let text = [message, b".\r\n"].concat();
    let began = Instant::now();
    let end = began + time;
    let sent = thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(|| send_until(end, to, &text))).collect();
        let counts = threads.into_iter().map(|thread| thread.join().expect("nothing here panics"));
        counts.sum::<anyhow::Result<u64>>()
    })?;
    Ok(sent as f64 / began.elapsed().as_secs_f64())
}

fn send_until(end: Instant, to: SocketAddr, text: &[u8]) -> anyhow::Result<u64> {
    let mut stream = TcpStream::connect(to).context("no SMTP server")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut replies = BufReader::new(stream.try_clone()?);
    expect(&mut replies, b'2')?;
    stream.write_all(b"EHLO client.example.org\r\n")?;
    expect(&mut replies, b'2')?;
    let mut sent = 0;
    while Instant::now() < end {
        stream.write_all(ENVELOPE)?;
        for code in [b'2', b'2', b'3'] {
            expect(&mut replies, code)?;
        }
        stream.write_all(text)?;
        expect(&mut replies, b'2')?;
        sent += 1;
    }
    stream.write_all(b"QUIT\r\n")?;
    Ok(sent)
}

/// One reply, whose code begins with this digit.
fn expect(replies: &mut BufReader<TcpStream>, digit: u8) -> anyhow::Result<()> {
    loop {
        let mut line = String::new();
        replies.read_line(&mut line)?;
        ensure!(line.as_bytes().first() == Some(&digit), "the SMTP server says: {line}");
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(());
        }
    }
}
