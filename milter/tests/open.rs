// SPDX-License-Identifier: GPL-3.0-or-later
//! The program opens sealed containers when it is started again for it.

use bytes::Bytes;
use std::{fs, path::Path, time::Duration};
use thundergate_open::{By, Container, Excess, Failure, Kind, Limits, Opener, Request};

fn request(name: &str) -> Request {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../common/open/tests/data");
    let container = Bytes::from(fs::read(data.join(name)).expect("a file of this repository"));
    let kind = Kind::of(&container).expect("a container");
    Request { kind, container, candidates: vec!["Rechnung-4711".into()] }
}

fn opener(limits: Limits) -> Opener {
    let limits = Limits { timeout: Duration::from_secs(60), ..limits };
    Opener::by(env!("CARGO_BIN_EXE_thundergate-milter"), limits)
}

#[tokio::test]
async fn the_program_is_its_own_opener() {
    for name in ["aes256.zip", "directory.rar5.rar", "directory.7z", "aes256.pdf", "agile.docx"] {
        let answer = opener(Limits::default()).open(&request(name)).await;
        let container = answer.map(|answer| answer.container);
        assert_eq!(container, Ok(Container::Opened(vec![By::Candidate(0)])), "{name}");
    }
}

/// Its allocator sets no memory aside before the bound is set.
#[tokio::test]
async fn its_memory_is_bounded() {
    let limits = Limits { memory_bytes: 24 << 20, bytes_out: 256 << 20, ..Limits::default() };
    let bomb = opener(limits).open(&request("bomb.rar5.rar")).await;
    assert_eq!(bomb, Err(Failure::TooMuch(Excess::Memory)));
}
