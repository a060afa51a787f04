// SPDX-License-Identifier: GPL-3.0-or-later
//! A stand-in for clamd, for the peers that speak its protocol (clamd(8), "Commands") and not Thunderstorm's: it knows
//! the EICAR test file, is as slow as it is told to be, and counts. It is no scanner.
//!
//! Served are PING, VERSION and INSTREAM, each in both spellings: `z…` ends in NUL, `n…` in LF. As in clamd without
//! IDSESSION, a connection carries one command. A thread is taken when the whole sample is there and held as long as the
//! stand-in for Thunderstorm holds one, so that the two compare.

use super::mails::eicar;
use crate::thunderstorm::until;
use std::{
    io::{Error, ErrorKind, Result},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};

/// How many bytes a command may have.
const LONGEST_COMMAND: u64 = 64;
/// How many bytes a sample may have: clamd's `StreamMaxLength`, larger than its default.
const LARGEST_SAMPLE: usize = 200 << 20;

/// How the stand-in behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Samples scanned at a time.
    pub threads: usize,
    /// How long a thread is busy with one sample.
    pub service_time: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { threads: 4, service_time: Duration::ZERO }
    }
}

/// A stand-in that runs on a free port of 127.0.0.1. Dropping it closes everything it has open.
#[derive(Debug)]
pub struct Clamd {
    address: SocketAddr,
    scans: Arc<Scans>,
    _sessions: JoinSet<()>,
}

#[derive(Debug)]
struct Scans {
    threads: Semaphore,
    service_time: Duration,
    done: AtomicU64,
    eicar: Vec<u8>,
}

impl Clamd {
    /// Starts one.
    pub async fn start(settings: Settings) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let Settings { threads, service_time } = settings;
        let threads = Semaphore::new(threads);
        let scans = Arc::new(Scans { threads, service_time, done: AtomicU64::new(0), eicar: eicar() });
        let mut sessions = JoinSet::new();
        sessions.spawn(accept(listener, Arc::clone(&scans)));
        Ok(Self { address, scans, _sessions: sessions })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many samples it has scanned.
    pub fn scans(&self) -> u64 {
        self.scans.done.load(SeqCst)
    }
}

impl Scans {
    async fn scan(&self, sample: &[u8]) -> &'static str {
        let _thread = self.threads.acquire().await.expect("the semaphore is never closed");
        let end = Instant::now() + self.service_time;
        // By its definition the test file begins with these bytes.
        let infected = sample.starts_with(&self.eicar);
        until(end).await;
        self.done.fetch_add(1, SeqCst);
        if infected { "stream: Eicar-Test-Signature FOUND" } else { "stream: OK" }
    }
}

async fn accept(listener: TcpListener, scans: Arc<Scans>) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let scans = Arc::clone(&scans);
                sessions.spawn(async move { answer(BufStream::new(stream), &scans).await.ok(); });
            },
            Some(_) = sessions.join_next() => (),
        }
    }
}

async fn answer(mut client: BufStream<TcpStream>, scans: &Scans) -> Result<()> {
    let end = match client.read_u8().await? {
        b'z' => 0,
        b'n' => b'\n',
        _ => return Err(ErrorKind::InvalidData.into()),
    };
    let mut command = Vec::new();
    (&mut client).take(LONGEST_COMMAND).read_until(end, &mut command).await?;
    let reply = match command.strip_suffix(&[end]).unwrap_or_default() {
        b"PING" => "PONG",
        b"VERSION" => "ClamAV 1.0.0/1/Sun Nov  1 12:00:00 2026",
        b"INSTREAM" => match sample(&mut client).await? {
            Some(sample) => scans.scan(&sample).await,
            None => "INSTREAM size limit exceeded. ERROR",
        },
        _ => "UNKNOWN COMMAND",
    };
    client.write_all(reply.as_bytes()).await?;
    client.write_all(&[end]).await?;
    client.flush().await
}

/// Reads chunks, each behind its length, until an empty one. None: it is too large.
async fn sample(client: &mut BufStream<TcpStream>) -> Result<Option<Vec<u8>>> {
    let mut sample = Vec::new();
    loop {
        let len = usize::try_from(client.read_u32().await?).map_err(Error::other)?;
        let begun = sample.len();
        match begun + len {
            end if end == begun => return Ok(Some(sample)),
            end if end > LARGEST_SAMPLE => return Ok(None),
            end => sample.resize(end, 0),
        }
        client.read_exact(&mut sample[begun..]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(clamd: &Clamd, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(clamd.address()).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        reply
    }

    fn instream(command: &[u8], chunks: &[&[u8]]) -> Vec<u8> {
        let chunks = chunks.iter().map(|chunk| [&(chunk.len() as u32).to_be_bytes(), *chunk].concat());
        [command, &chunks.collect::<Vec<_>>().concat(), &[0; 4]].concat()
    }

    #[tokio::test]
    async fn it_answers_as_clamd_does_in_both_spellings() {
        let clamd = Clamd::start(Settings::default()).await.unwrap();
        assert_eq!(ask(&clamd, b"zPING\0").await, "PONG\0");
        assert_eq!(ask(&clamd, b"nPING\n").await, "PONG\n");
        assert!(ask(&clamd, b"zVERSION\0").await.starts_with("ClamAV "));
        assert_eq!(ask(&clamd, b"zSHUTDOWN\0").await, "UNKNOWN COMMAND\0");
        assert_eq!(clamd.scans(), 0);
    }

    #[tokio::test]
    async fn it_puts_chunks_together_and_finds_eicar() {
        let clamd = Clamd::start(Settings::default()).await.unwrap();
        let eicar = eicar();
        let (head, tail) = eicar.split_at(30);
        let found = ask(&clamd, &instream(b"zINSTREAM\0", &[head, tail])).await;
        assert_eq!(found, "stream: Eicar-Test-Signature FOUND\0");
        assert_eq!(ask(&clamd, &instream(b"nINSTREAM\n", &[tail, head])).await, "stream: OK\n");
        assert_eq!(clamd.scans(), 2);
    }

    #[tokio::test]
    async fn no_more_samples_at_a_time_than_threads() {
        let service_time = Duration::from_millis(40);
        let clamd = Clamd::start(Settings { threads: 2, service_time }).await.unwrap();
        let begun = Instant::now();
        let request = instream(b"zINSTREAM\0", &[b"clean"]);
        futures_util::future::join_all((0..6).map(|_| ask(&clamd, &request))).await;
        assert!(begun.elapsed() >= 3 * service_time, "{:?}", begun.elapsed());
        assert_eq!(clamd.scans(), 6);
    }
}
