// SPDX-License-Identifier: GPL-3.0-or-later
//! What a password costs that does not fit, for each way to seal: `cargo run --release -p thundergate-open --example tries`.
//! The whole way is measured, with the process; the price of a try is what 64 of them take more than one does. A last column
//! says what the first costs: the process, and those that are always tried.

use bytes::Bytes;
use std::{
    env, fs,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};
use thundergate_open::{Kind, Limits, MOST_CANDIDATES, Opener, Request, run_if_asked};

const WAYS: [(&str, &str); 11] = [
    ("old-cipher.zip", "ZIP, the old cipher"),
    ("aes256.zip", "ZIP, AES, 1,000 rounds"),
    ("files.rar4.rar", "RAR 4, 262,144 rounds"),
    ("directory.rar4.rar", "RAR 4 with its directory"),
    ("files.rar5.rar", "RAR 5, 32,768 rounds"),
    ("files.7z", "7z, 524,288 rounds"),
    ("directory.7z", "7z with its directory"),
    ("rc4-40.pdf", "PDF, RC4, 40 bits"),
    ("aes256.pdf", "PDF, AES, 256 bits"),
    ("standard.docx", "Office 2007, 50,000 rounds"),
    ("agile.docx", "Office since 2010, 100,000 rounds"),
];

/// Each is measured so often; the shortest counts.
const TIMES: usize = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if let Some(status) = run_if_asked(env::args_os()) {
        return status;
    }
    let opener = Opener::new(Limits { timeout: Duration::from_secs(300), ..Limits::default() });
    println!("{:<36} {:>10} {:>12}", "way", "a try, ms", "the first, ms");
    for (name, way) in WAYS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
        let container = Bytes::from(fs::read(path).expect("a file of this repository"));
        let one = shortest(&opener, &container, 1).await;
        let all = shortest(&opener, &container, MOST_CANDIDATES).await;
        let tried = all.saturating_sub(one).as_secs_f64() * 1e3 / (MOST_CANDIDATES - 1) as f64;
        println!("{way:<36} {tried:>10.3} {:>12.1}", one.as_secs_f64() * 1e3);
    }
    ExitCode::SUCCESS
}

async fn shortest(opener: &Opener, container: &Bytes, candidates: usize) -> Duration {
    let kind = Kind::of(container).expect("a container");
    let candidates = (0..candidates).map(|number| format!("candidate {number}").into()).collect();
    let request = Request { kind, container: container.clone(), candidates };
    let mut shortest = Duration::MAX;
    for _ in 0..TIMES {
        let started = Instant::now();
        opener.open(&request).await.expect("an answer");
        shortest = shortest.min(started.elapsed());
    }
    shortest
}
