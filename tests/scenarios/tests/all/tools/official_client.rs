// SPDX-License-Identifier: GPL-3.0-or-later
//! The stand-in against a client that is not ours: PyPI's thunderstormAPI. Skipped, with the reason, where it cannot be
//! installed.

use std::path::{Path, PathBuf};
use thundergate_harness::{
    mails::eicar,
    thunderstorm::{Settings, Standin},
};
use tokio::process::Command;

const PACKAGE: &str = "thunderstormAPI==0.2.0";

/// Prints what the client makes of info, status and two files.
const SCRIPT: &str = r#"
import json, sys
from thunderstormAPI.thunderstorm import ThunderstormAPI
port, clean, bad = sys.argv[1:]
client = ThunderstormAPI(host="127.0.0.1", port=int(port), source="test")
print(json.dumps([client.get_info(), client.get_status(), client.scan(clean), client.scan(bad)]))
"#;

/// Runs a command; the error is what it wrote.
async fn run(command: &mut Command) -> Result<Vec<u8>, String> {
    let output = command.kill_on_drop(true).output().await.map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into())
    }
}

/// A Python with the client, kept under target/ between runs.
async fn python() -> Result<PathBuf, String> {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("thunderstorm-api");
    let python = venv.join("bin/python");
    if run(Command::new(&python).args(["-c", "import thunderstormAPI"])).await.is_err() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv)).await?;
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--retries", "1", "--timeout", "10", PACKAGE]);
        run(&mut pip).await?;
    }
    Ok(python)
}

#[tokio::test]
async fn the_official_client_scans_through_the_stand_in() {
    let python = match python().await {
        Ok(python) => python,
        Err(reason) => return eprintln!("skipped, {PACKAGE} cannot be installed: {reason}"),
    };
    let standin = Standin::start(Settings::default()).await;
    let dir = tempfile::tempdir().unwrap();
    let [clean, bad] = ["clean.txt", "eicar.com"].map(|name| dir.path().join(name));
    std::fs::write(&clean, "hello").unwrap();
    std::fs::write(&bad, eicar()).unwrap();

    let mut client = Command::new(python);
    client.args(["-c", SCRIPT, &standin.address().port().to_string()]).args([&clean, &bad]);
    let answers: serde_json::Value = serde_json::from_slice(&run(&mut client).await.unwrap()).unwrap();

    assert_eq!(answers[0]["signature_version"], "2026/11/01-120000");
    assert!(answers[1]["uptime_seconds"].is_number(), "{answers}");
    assert_eq!(answers[2], serde_json::json!([]));
    assert_eq!(answers[3][0]["matches"][0]["rulename"], "EICAR_Test_File");
    assert_eq!(standin.names(), [clean.to_str().unwrap(), bad.to_str().unwrap()]);
}
