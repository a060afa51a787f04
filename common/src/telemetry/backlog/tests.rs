// SPDX-License-Identifier: GPL-3.0-or-later
//! Readers that are slow, away for a while, or gone.

use super::*;
use std::sync::mpsc::{Receiver, Sender, channel};

const PATIENCE: Duration = Duration::from_secs(10);

/// What a reader has got.
type Kept = Arc<Mutex<Vec<u8>>>;

/// Takes what it is given once it may, and keeps it.
struct Reader {
    may: Receiver<io::Result<usize>>,
    kept: Kept,
}

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Once nobody holds it up any more it takes all.
        let count = self.may.recv().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
        self.kept.lock().unwrap().extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Target for Reader {}

fn backlog(most: usize) -> (Backlog, Sender<io::Result<usize>>, Kept) {
    let ((let_it, may), kept) = (channel(), Kept::default());
    let reader = Reader { may, kept: Arc::clone(&kept) };
    (Backlog::start(most, reader).unwrap(), let_it, kept)
}

fn text(kept: &Mutex<Vec<u8>>) -> String {
    String::from_utf8(kept.lock().unwrap().clone()).unwrap()
}

#[test]
fn every_line_is_written_in_its_order() {
    let (mut backlog, may, kept) = backlog(MOST);
    drop(may);
    let lines: Vec<String> = (0..20_000).map(|number| format!("line {number}\n")).collect();
    lines.iter().for_each(|line| backlog.write_all(line.as_bytes()).unwrap());
    backlog.end();
    assert!(text(&kept) == lines.concat(), "{} bytes", text(&kept).len());
}

#[test]
fn lines_that_nobody_reads_are_dropped_and_nobody_waits() {
    let (mut backlog, may, kept) = backlog(1_000);
    let before = lines_dropped();
    for number in 0..100 {
        backlog.write_all(format!("{number:99}\n").as_bytes()).unwrap();
    }
    assert_eq!(backlog.0.lock().untold, 90);
    assert!(lines_dropped() >= before + 90);
    assert!(backlog.0.lock().bytes <= 1_000);
    let begun = Instant::now();
    backlog.end();
    assert!(begun.elapsed() < LAST_LINES, "{:?}", begun.elapsed());
    assert_eq!(text(&kept), "");
    drop(may);
    let latest = Instant::now() + PATIENCE;
    while !backlog.0.lock().ended && Instant::now() < latest {
        thread::yield_now();
    }
    assert_eq!(text(&kept).lines().count(), 10, "what waited was written at last");
    assert_eq!(backlog.0.lock().untold, 0, "it was told");
}

#[test]
fn a_line_that_was_torn_does_not_spoil_the_next() {
    let (mut backlog, may, kept) = backlog(1_000);
    may.send(Ok(3)).unwrap();
    may.send(Err(io::Error::from(ErrorKind::StorageFull))).unwrap();
    backlog.write_all(b"broken\n").unwrap();
    let latest = Instant::now() + PATIENCE;
    while backlog.0.lock().untold == 0 && Instant::now() < latest {
        thread::yield_now();
    }
    drop(may);
    backlog.write_all(b"whole\n").unwrap();
    backlog.end();
    assert_eq!(text(&kept), "bro\nwhole\n");
}

#[test]
fn a_line_that_goes_first_overtakes_all_others_and_is_told_of() {
    let (mut backlog, may, kept) = backlog(102);
    // One line in the hands of the thread, one behind it, and no room for another.
    backlog.write_all(&line("first", 50)).unwrap();
    let latest = Instant::now() + PATIENCE;
    while !backlog.0.lock().chunks.is_empty() && Instant::now() < latest {
        thread::yield_now();
    }
    backlog.write_all(&line("second", 50)).unwrap();
    backlog.write_all(&line("dropped", 50)).unwrap();
    let told = backlog.first(line("audit", 60));
    let withdrawn = backlog.first(line("withdrawn", 60));
    drop(withdrawn);
    drop(may);
    assert!(told.blocking_recv().unwrap());
    backlog.end();
    let written: Vec<_> = text(&kept).lines().map(|line| line.trim().to_owned()).collect();
    assert_eq!(written[..3], ["first", "audit", "second"], "{written:?}");
    assert!(!written.iter().any(|line| line == "withdrawn" || line == "dropped"), "{written:?}");
}

#[test]
fn a_line_that_cannot_go_first_is_told_of_too() {
    let (backlog, may, _) = backlog(MOST);
    may.send(Err(io::Error::from(ErrorKind::StorageFull))).unwrap();
    assert!(!backlog.first(line("lost", 10)).blocking_recv().unwrap());
    assert!(!backlog.first(vec![b'x'; MOST_FIRST + 1]).blocking_recv().unwrap(), "too much");
    drop(may);
    assert!(backlog.first(line("written", 10)).blocking_recv().unwrap());
    backlog.end();
    assert!(!backlog.first(line("after the end", 20)).blocking_recv().unwrap());
}

fn line(text: &str, width: usize) -> Vec<u8> {
    format!("{text:width$}\n").into_bytes()
}
