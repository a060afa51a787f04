// SPDX-License-Identifier: GPL-3.0-or-later
//! A program that is nothing but the opener; and, called otherwise, one that confines itself and then does what no opener may
//! be able to. Exit status 0: it could.

use std::{
    env, fs,
    io::{Read as _, Write as _},
    net::{TcpStream, UdpSocket},
    process::{Command, ExitCode, abort},
    thread,
};
use thundergate_open::{Confinement, confine, run_if_asked};

fn main() -> ExitCode {
    if let Some(status) = run_if_asked(env::args_os()) {
        return status;
    }
    let deed = env::args().nth(1).expect("a deed");
    let confinement = Confinement { memory_bytes: 64 << 20, processor_seconds: 1, required: true };
    if deed != "nothing at all" {
        confine(&confinement).expect("a kernel that confines");
    }
    if attempt(&deed) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn attempt(deed: &str) -> bool {
    match deed {
        "read a file" => fs::read("/etc/passwd").is_ok(),
        "write a file" => fs::write("/tmp/open-probe", "x").is_ok(),
        "list a folder" => fs::read_dir("/").is_ok(),
        "ask for the environment" => fs::read("/proc/self/environ").is_ok(),
        "connect" => TcpStream::connect("127.0.0.1:9").is_ok(),
        "send" => UdpSocket::bind("127.0.0.1:0").is_ok(),
        "start a program" => Command::new("/bin/true").status().is_ok(),
        "start a thread" => thread::Builder::new().spawn(|| ()).is_ok(),
        "compute" => loop {
            std::hint::spin_loop();
        },
        "take memory" => {
            let taken = vec![1_u8; 96 << 20];
            taken.iter().map(|byte| usize::from(*byte)).sum::<usize>() > 0
        }
        "abort" => abort(),
        "wait" | "nothing at all" => std::io::stdin().read(&mut [0]).is_ok(),
        "answer" => {
            let words: Vec<u8> = vec![b'x'; 1 << 20];
            std::io::stdout().write_all(&words).is_ok()
        }
        _ => panic!("no such deed"),
    }
}
