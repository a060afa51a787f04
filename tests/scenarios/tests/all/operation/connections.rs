// SPDX-License-Identifier: GPL-3.0-or-later
//! What connections may take: MTAs that stay, that are silent, that send what nobody needs; and idle ones at the admin
//! server, which needs the same descriptors.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use serde_json::Value;
use std::{
    fs,
    io::ErrorKind,
    time::{Duration, Instant},
};
use thundergate_harness::{
    eventually,
    mails::{mail, noise},
    mta::{Mail, Mta},
    process::{Program, binary},
    site::{Milter, Site},
    thunderstorm::Settings,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
};

const PATIENCE: Duration = Duration::from_secs(20);

fn harmless(seed: u64) -> Mail {
    Mail::of(mail().attach("a.bin", "application/octet-stream", noise(seed, 500)).bytes())
}

async fn get(program: &Program, path: &str) -> (u16, String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let address = program.addresses("admin").swap_remove(0);
    let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
    let answer = client.get(format!("http://{address}{path}")).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn metric(program: &Program, name: &str) -> f64 {
    let (_, metrics) = get(program, "/metrics").await;
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{name} in {metrics}")).parse().unwrap()
}

async fn said(milter: &Milter, event: &str) -> Value {
    let line = milter.program.wait_for(|line| line["event"] == event, PATIENCE).await;
    line.unwrap_or_else(|| panic!("{event}: {:#?}", milter.program.log_lines()))
}

#[tokio::test]
async fn connections_that_are_used_up_are_said_and_so_is_room() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("limits.connections = 3").await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(Mta::connect(&milter.address).await.unwrap());
    }
    let line = said(&milter, "connections_used_up").await;
    assert_eq!((&line["level"], &line["connections.limit"]), (&"warning".into(), &3.into()), "{line}");
    let (status, reason) = get(&milter.program, "/ready").await;
    assert!(status == 503 && reason.contains("all 3 connections"), "{status} {reason}");
    let (_, page) = get(&milter.program, "/status").await;
    let page: Value = serde_json::from_str(&page).unwrap();
    assert!(
        page["remarks"][0]["text"].as_str().unwrap().contains("all 3 connections"),
        "{}",
        page["remarks"]
    );
    for (name, value) in [("connections", 3.0), ("connections_limit", 3.0)] {
        assert_eq!(metric(&milter.program, &format!("thundergate_milter_{name}")).await, value, "{name}");
    }
    open.pop().unwrap().quit().await.unwrap();
    said(&milter, "connections_free").await;
    assert_eq!(get(&milter.program, "/ready").await.0, 200);
    assert_eq!(metric(&milter.program, "thundergate_milter_connections").await, 2.0);
    assert!(milter.send(&harmless(1)).await.delivers());
}

#[tokio::test]
async fn an_mta_that_is_silent_loses_its_connection_and_one_that_waits_does_not() {
    let settings = Settings { service_time: Duration::from_secs(4), ..Settings::default() };
    let site = Site::single(1, settings).await;
    let milter = site.milter("limits.idle = \"2s\"\nwait.progress = \"500ms\"").await;
    let (mut silent, mut receiving) =
        (Mta::connect(&milter.address).await.unwrap(), Mta::connect(&milter.address).await.unwrap());
    assert!(receiving.send_without_end(&harmless(2)).await.unwrap().is_none());
    // This one says nothing for as long as the scan takes.
    assert!(milter.send(&harmless(3)).await.delivers());
    let ended = tokio::time::timeout(PATIENCE, silent.take()).await.unwrap();
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    said(&milter, "idle_connection").await;
    let name = "thundergate_milter_idle_connections_closed_total";
    assert_eq!(metric(&milter.program, name).await, 1.0, "the other one receives a message");
}

/// The grace period is 30 s.
#[tokio::test]
async fn an_mta_that_stays_does_not_hold_up_the_end() {
    let site = Site::single(1, Settings::default()).await;
    let mut milter = site.milter("").await;
    let mut open = Mta::connect(&milter.address).await.unwrap();
    assert!(open.send(&harmless(5)).await.unwrap().delivers());
    let _silent = Mta::connect(&milter.address).await.unwrap();
    let begun = Instant::now();
    assert!(milter.program.terminate().await.unwrap().success());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

/// 1 MiB of macros for each stage that has some, as `first` has it.
async fn macros(milter: &Milter, stages: &[u8], length: usize) -> std::io::Result<Mta> {
    let mut mta = Mta::connect(&milter.address).await?;
    for stage in stages {
        let mut data = vec![*stage];
        for number in 0.. {
            let one = format!("{number:x}\0\0");
            if data.len() + one.len() > length {
                break;
            }
            data.extend_from_slice(one.as_bytes());
        }
        let packet = [&(data.len() as u32 + 1).to_be_bytes()[..], b"D", &data].concat();
        mta.raw(&packet).await?;
    }
    Ok(mta)
}

/// Bytes that the process has in memory.
async fn resident(milter: &Milter) -> f64 {
    metric(&milter.program, "process_resident_memory_bytes").await
}

#[tokio::test]
async fn macros_that_nobody_needs_take_no_memory() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    assert!(milter.send(&harmless(4)).await.delivers());
    let before = resident(&milter).await;
    let mut open = Vec::new();
    for _ in 0..20 {
        // Those that are long enough end the connection, which is then written to in vain.
        let _ = macros(&milter, b"CMTE", (1 << 20) - 1).await;
        open.push(macros(&milter, b"CMTE", 16_000).await.unwrap());
    }
    said(&milter, "packet_too_long").await;
    assert_eq!(metric(&milter.program, "thundergate_milter_connections").await, 20.0);
    let taken = resident(&milter).await - before;
    assert!(taken < f64::from(20 << 20), "{taken} bytes for 20 connections");
    assert!(milter.send(&harmless(4)).await.delivers());
    drop(open);
}

/// A milter in a process that may have so many descriptors.
async fn confined(site: &Site, descriptors: u32) -> Milter {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("milter.toml");
    let own = "listen = [\"inet:127.0.0.1:0\"]\nadmin.listen = \"127.0.0.1:0\"\n";
    fs::write(&file, format!("{own}{}", site.farm_section())).unwrap();
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit -n {descriptors} && exec \"$0\" serve --config \"$1\""));
    command.arg(binary("thundergate-milter").unwrap()).arg(&file);
    let mut program = Program::launch(command).unwrap();
    program.wait_until_ready().await.unwrap();
    let address = program.addresses("listen").swap_remove(0);
    Milter { program, address }
}

#[tokio::test]
async fn idle_connections_to_the_admin_server_do_not_stop_mail() {
    let site = Site::single(1, Settings::default()).await;
    let milter = confined(&site, 256).await;
    let line = said(&milter, "descriptors").await;
    let msg = line["msg"].as_str().unwrap();
    assert!(msg.contains("256 files") && msg.contains("LimitNOFILE="), "{line}");
    let admin = milter.program.addresses("admin").swap_remove(0);
    let mut idle = Vec::new();
    for number in 0..373 {
        let mut stream = TcpStream::connect(&admin).await.unwrap();
        if number % 2 == 0 {
            // Half a request is no better than none.
            let _ = stream.write_all(b"GET /live HTTP/1.1\r\nHost: ").await;
        }
        idle.push(stream);
    }
    for seed in 0..20 {
        assert!(milter.send(&harmless(100 + seed)).await.delivers());
    }
    assert_eq!(get(&milter.program, "/live").await.0, 200);
    assert!(metric(&milter.program, "process_open_fds").await < 200.0);
    // MTAs cannot take what Redis, scanners and the log need either.
    let limit = metric(&milter.program, "thundergate_milter_connections_limit").await;
    assert!(limit > 50.0 && limit < 200.0, "{limit}");
    let mut open = Vec::new();
    for _ in 0..limit as usize {
        open.push(Mta::connect(&milter.address).await.unwrap());
    }
    assert!(
        open[0].send(&harmless(200)).await.unwrap().delivers(),
        "a new sample needs a connection to the scanner"
    );
    drop(idle);
}

#[tokio::test]
async fn an_idle_connection_to_the_admin_server_ends() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let admin = milter.program.addresses("admin").swap_remove(0);
    let mut silent = TcpStream::connect(&admin).await.unwrap();
    let mut kept = TcpStream::connect(&admin).await.unwrap();
    kept.write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let ended = async {
        kept.read_to_string(&mut answer).await.unwrap();
        let _ = silent.read_to_end(&mut Vec::new()).await.unwrap();
    };
    tokio::time::timeout(PATIENCE, ended).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    eventually(PATIENCE, "a new one is answered", async || get(&milter.program, "/live").await.0 == 200)
        .await;
}

#[tokio::test]
async fn too_few_descriptors_are_refused_at_the_start() {
    let site = Site::single(1, Settings::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("milter.toml");
    fs::write(&file, format!("admin.listen = \"127.0.0.1:0\"\n{}", site.farm_section())).unwrap();
    let run = async |command: &str, descriptors: u32| {
        let line = format!("ulimit -n {descriptors} && exec \"$0\" {command} --config \"$1\"");
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(line).arg(binary("thundergate-milter").unwrap()).arg(&file);
        let output = tokio::time::timeout(PATIENCE, shell.output()).await.unwrap().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for command in ["serve", "check"] {
        let (status, said) = run(command, 64).await;
        assert!(status == Some(69) && said.contains("LimitNOFILE="), "{command} {status:?} {said}");
    }
    let (status, said) = run("check", 256).await;
    assert!(status == Some(0) && said.contains("note: here 256 files"), "{status:?} {said}");
}
