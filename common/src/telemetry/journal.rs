// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether stdout is a stream to systemd's journal, which takes a line's priority from `<4>` before it (sd-daemon(3)) and
//! does not keep that.

use std::{fs::File, io, os::fd::AsFd as _, os::unix::fs::MetadataExt as _};
use tracing::Level;

/// systemd.exec(5): device and inode of the stream, where it gave us one.
const VARIABLE: &str = "JOURNAL_STREAM";

/// Whether lines on stdout go to the journal.
pub(super) fn has_stdout() -> bool {
    let Ok(stream) = std::env::var(VARIABLE) else { return false };
    let stdout = io::stdout().as_fd().try_clone_to_owned().and_then(|stdout| File::from(stdout).metadata());
    // A stdout that is led elsewhere has another inode: then the variable speaks of stderr, or of our parent.
    stdout.is_ok_and(|stdout| is(&stream, stdout.dev(), stdout.ino()))
}

fn is(stream: &str, device: u64, inode: u64) -> bool {
    stream
        .split_once(':')
        .is_some_and(|(left, right)| (left.parse::<u64>(), right.parse::<u64>()) == (Ok(device), Ok(inode)))
}

/// What stands before a line of this level.
pub(super) fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stream_that_systemd_names_is_the_journal() {
        assert!(is("8:41513", 8, 41_513));
        for other in ["", "8", "8:", ":41513", "8:41514", "9:41513", "41513:8", "8:41513:1", "x:y"] {
            assert!(!is(other, 8, 41_513), "{other}");
        }
    }
}
