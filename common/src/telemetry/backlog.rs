// SPDX-License-Identifier: GPL-3.0-or-later
//! Lines on their way to where they are written. Whoever logs puts a line into the backlog and goes on; a thread of its
//! own writes the lines, many at a time.
//!
//! The backlog is bounded in bytes. Where nobody reads stdout, or a disk stands still, it fills up; then lines are dropped
//! and counted, and nothing else waits for the log. Once there is room again one line says how many were dropped
//! (`event = "log_lines_dropped"`). A line that cannot be written, such as to a full disk, counts as dropped, too.
//!
//! Lines that must not be dropped in silence, those of the audit, have a [way of their own](Backlog::first): it overtakes
//! all other lines, has its own budget, and tells whether the line was written. Whoever waits for that no longer takes it
//! back.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Write},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Bytes of lines that wait. At 700 bytes a line, and a line a mail, that is how long 24,000 mails may take; and it is
/// little beside what a process may take anyway.
pub(super) const MOST: usize = 16 << 20;

/// Bytes of lines that wait to be written first.
const MOST_FIRST: usize = 1 << 20;

/// Lines are written in pieces of at most so many bytes.
const CHUNK: usize = 64 << 10;

/// For so long lines are gathered, once some were written: under load hundreds of them cost one wake-up and one write.
const GATHERING: Duration = Duration::from_millis(5);

/// For so long a reader that has no room is left alone, where the system does not wait for it by itself.
const PAUSE: Duration = Duration::from_millis(50);

/// How long the end of the program waits for a reader that takes nothing.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// How long it waits for one that is slow.
const LAST_LINES: Duration = Duration::from_secs(5);

/// A process has one log, so what was dropped is the process's.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Lines that were dropped since the process started.
pub(crate) fn lines_dropped() -> u64 {
    DROPPED.load(Relaxed)
}

/// Where lines are written.
pub(super) trait Target: Write + Send + 'static {
    /// Opens it by its name again.
    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Target for io::Stdout {}

/// Lines that wait.
#[derive(Clone, Debug)]
pub(super) struct Backlog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: usize,
    state: Mutex<State>,
    /// There is something to do for the thread.
    more: Condvar,
    /// The thread has done something.
    done: Condvar,
}

/// A line that is written before all others.
#[derive(Debug)]
struct First {
    line: Vec<u8>,
    /// Is told whether it was written; gone where nobody waits for that any more.
    written: oneshot::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    first: VecDeque<First>,
    chunks: VecDeque<Vec<u8>>,
    /// In the chunks and in the thread's hands.
    bytes: usize,
    /// A chunk without lines, for the next ones.
    spare: Vec<u8>,
    /// Lines that were dropped and that no line has told of.
    untold: u64,
    /// The thread waits for more.
    idle: bool,
    reopen: bool,
    /// How often the thread has written something.
    writes: u64,
    end: bool,
    ended: bool,
}

/// What the thread does next.
enum Next {
    Reopen,
    First(First),
    Write(Vec<u8>),
    End,
}

impl Backlog {
    /// Of at most `most` bytes, written to `target` by a thread.
    ///
    /// # Errors
    ///
    /// There can be no thread.
    pub(super) fn start(most: usize, target: impl Target) -> io::Result<Self> {
        let (state, more, done) = (Mutex::default(), Condvar::new(), Condvar::new());
        let backlog = Self(Arc::new(Shared { most, state, more, done }));
        let shared = Arc::clone(&backlog.0);
        thread::Builder::new().name("log".to_owned()).spawn(move || shared.write(target))?;
        Ok(backlog)
    }

    /// Has `line` written before all that waits. True once it is, false where it cannot be or too much waits already. As
    /// long as it is not in the hands of the thread, it is taken back where the receiver is dropped.
    pub(super) fn first(&self, line: Vec<u8>) -> oneshot::Receiver<bool> {
        let (written, told) = oneshot::channel();
        let mut state = self.0.lock();
        state.first.retain(|first| !first.written.is_closed());
        let waiting: usize = state.first.iter().map(|first| first.line.len()).sum();
        if waiting + line.len() > MOST_FIRST || state.ended {
            let _ = written.send(false);
            return told;
        }
        state.first.push_back(First { line, written });
        self.0.wake(state);
        told
    }

    /// Has the target opened by its name again, before anything more is written.
    pub(super) fn reopen(&self) {
        let mut state = self.0.lock();
        state.reopen = true;
        self.0.wake(state);
    }

    /// Writes what waits, unless nobody takes it.
    pub(super) fn end(&self) {
        let mut state = self.0.lock();
        state.end = true;
        self.0.wake(state);
        let latest = Instant::now() + LAST_LINES;
        let mut state = self.0.lock();
        while !state.ended && Instant::now() < latest {
            let before = state.writes;
            let waited = self.0.done.wait_timeout(state, LAST_PATIENCE);
            let (now, late) = waited.expect("nothing panics while it holds the backlog");
            state = now;
            if late.timed_out() && state.writes == before {
                return;
            }
        }
    }
}

impl Write for Backlog {
    /// One line; it is dropped where there is no room.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the backlog")
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        if std::mem::take(&mut state.idle) {
            drop(state);
            self.more.notify_one();
        }
    }

    fn put(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.bytes + line.len() > self.most {
            state.untold += 1;
            DROPPED.fetch_add(1, Relaxed);
            return;
        }
        state.append(line);
        self.wake(state);
    }

    fn write(&self, target: impl Target) {
        let mut out = Out { target, torn: false };
        loop {
            match self.next() {
                Next::Reopen => {
                    if let Err(error) = out.target.reopen() {
                        let error = &error as &dyn std::error::Error;
                        tracing::error!(error, "The log cannot be opened anew; it goes on where it was");
                    }
                }
                Next::First(First { line, written }) => {
                    let lost = out.put(&line, || self.wrote_some());
                    let _ = written.send(lost == 0); // whoever asked may have gone
                }
                Next::Write(lines) => {
                    let lost = out.put(&lines, || self.wrote_some());
                    self.written(lines, lost);
                }
                Next::End => break,
            }
        }
        self.lock().ended = true;
        self.done.notify_all();
    }

    fn next(&self) -> Next {
        let mut state = self.lock();
        loop {
            if std::mem::take(&mut state.reopen) {
                return Next::Reopen;
            }
            if let Some(first) = state.take_first() {
                return Next::First(first);
            }
            if let Some(lines) = state.chunks.pop_front() {
                return Next::Write(lines);
            }
            if state.end {
                return Next::End;
            }
            state.idle = true;
            state = self.more.wait(state).expect("nothing panics while it holds the backlog");
        }
    }

    /// A slow reader is one all the same.
    fn wrote_some(&self) {
        self.lock().writes += 1;
        self.done.notify_all();
    }

    /// These lines are done with; so many of them were lost.
    fn written(&self, mut lines: Vec<u8>, lost: u64) {
        DROPPED.fetch_add(lost, Relaxed);
        let mut state = self.lock();
        state.bytes -= lines.len();
        state.untold += lost;
        lines.clear();
        state.spare = lines;
        // Only where it will be read: where nothing can be written, each such line would be followed by another.
        let room = lost == 0 && state.bytes <= self.most / 2;
        let dropped = if room { std::mem::take(&mut state.untold) } else { 0 };
        let gather = state.chunks.is_empty() && !state.end;
        drop(state);
        if dropped > 0 {
            tracing::warn!(
                event = "log_lines_dropped",
                log.lines_dropped = dropped,
                "Log lines were dropped here or before: nobody read the log, or it could not be written"
            );
        }
        if gather {
            thread::sleep(GATHERING);
        }
    }
}

impl State {
    /// The next line that somebody still wants to be written first.
    fn take_first(&mut self) -> Option<First> {
        loop {
            let first = self.first.pop_front()?;
            if !first.written.is_closed() {
                return Some(first);
            }
        }
    }

    fn append(&mut self, line: &[u8]) {
        self.bytes += line.len();
        match self.chunks.back_mut() {
            Some(chunk) if chunk.len() + line.len() <= CHUNK => chunk.extend_from_slice(line),
            _ => {
                let mut chunk = std::mem::take(&mut self.spare);
                chunk.reserve(CHUNK.max(line.len()));
                chunk.extend_from_slice(line);
                self.chunks.push_back(chunk);
            }
        }
    }
}

/// The target, and whether what was written last is the beginning of a line.
struct Out<T> {
    target: T,
    torn: bool,
}

impl<T: Write> Out<T> {
    /// Writes lines, says `progress` whenever some were taken, and says how many lines were lost.
    fn put(&mut self, lines: &[u8], progress: impl Fn()) -> u64 {
        let end: &[u8] = if self.torn { b"\n" } else { b"" };
        for mut left in [end, lines] {
            while !left.is_empty() {
                match self.target.write(left) {
                    Ok(count @ 1..) => {
                        self.torn = left[count - 1] != b'\n';
                        left = &left[count..];
                        progress();
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(PAUSE),
                    Ok(_) | Err(_) => {
                        let lost = if left.len() < lines.len() { left } else { lines };
                        return lost.iter().filter(|byte| **byte == b'\n').count() as u64;
                    }
                }
            }
        }
        let _ = self.target.flush(); // what was taken is out of our hands
        0
    }
}

#[cfg(test)]
mod tests;
