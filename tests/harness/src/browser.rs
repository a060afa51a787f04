// SPDX-License-Identifier: GPL-3.0-or-later
//! A headless Chromium that a test drives through the DevTools protocol, over pipes: a JSON object and a NUL each.

use super::waiting::PATIENCE;
use anyhow::{Context as _, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// Where the binary is; Debian's name first.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A browser with one page. Dropping it kills it.
pub struct Browser {
    _process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: String,
    calls: u64,
    _profile: TempDir,
}

/// The name of a Chromium that is installed.
pub fn installed() -> Option<&'static str> {
    let paths = std::env::var_os("PATH")?;
    let has = |name: &&str| std::env::split_paths(&paths).any(|path| path.join(name).is_file());
    NAMES.into_iter().find(has)
}

impl Browser {
    /// Starts `program` with an empty page.
    pub async fn start(program: &str) -> anyhow::Result<Self> {
        let profile = tempfile::Builder::new().prefix("chromium").tempdir()?;
        // Its pipes are 3 and 4, whatever stdin and stdout are. No sandbox: tests run as root in containers, too.
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$@\" 3<&0 4>&1 >&2", "sh", program]).args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--hide-scrollbars",
            "--remote-debugging-pipe",
        ]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().with_context(|| format!("cannot run {program}"))?;
        let to = process.stdin.take().context("stdin is a pipe")?;
        let from = BufReader::new(process.stdout.take().context("stdout is a pipe")?);
        let session = String::new();
        let mut browser = Self { _process: process, to, from, session, calls: 0, _profile: profile };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" })).await?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach).await?;
        browser.session = attached["sessionId"].as_str().context("a session")?.to_owned();
        Ok(browser)
    }

    /// Makes the window `width` by `height` pixels, for someone who likes `scheme`: `light` or `dark`.
    pub async fn look(&mut self, width: u32, height: u32, scheme: &str) -> anyhow::Result<()> {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", metrics).await?;
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", features).await.map(drop)
    }

    /// Opens `url`.
    pub async fn open(&mut self, url: &str) -> anyhow::Result<()> {
        let opened = self.call("Page.navigate", json!({ "url": url })).await?;
        ensure!(opened.get("errorText").is_none(), "{url}: {opened}");
        Ok(())
    }

    /// What a JavaScript expression gives on the page.
    pub async fn evaluate(&mut self, expression: &str) -> anyhow::Result<Value> {
        let expression = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut given = self.call("Runtime.evaluate", expression).await?;
        ensure!(given.get("exceptionDetails").is_none(), "{given}");
        Ok(given["result"]["value"].take())
    }

    /// Waits until a JavaScript expression is true.
    pub async fn wait_for(&mut self, expression: &str) -> anyhow::Result<()> {
        let waiting = async {
            while self.evaluate(expression).await? != true {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            anyhow::Ok(())
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(done) => done,
            Err(_) => bail!("never: {expression}\n{}", self.evaluate("document.body.innerText").await?),
        }
    }

    /// Presses and releases a key such as `Tab`.
    pub async fn press(&mut self, key: &str, code: u32) -> anyhow::Result<()> {
        for kind in ["keyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            self.call("Input.dispatchKeyEvent", event).await?;
        }
        Ok(())
    }

    /// The whole page as PNG.
    pub async fn screenshot(&mut self) -> anyhow::Result<Vec<u8>> {
        let whole = json!({ "format": "png", "captureBeyondViewport": true });
        let shot = self.call("Page.captureScreenshot", whole).await?;
        Ok(BASE64_STANDARD.decode(shot["data"].as_str().context("a picture")?)?)
    }

    async fn call(&mut self, method: &str, parameters: Value) -> anyhow::Result<Value> {
        self.calls += 1;
        let mut call = json!({ "id": self.calls, "method": method, "params": parameters });
        if !self.session.is_empty() {
            call["sessionId"] = self.session.as_str().into();
        }
        self.to.write_all(format!("{call}\0").as_bytes()).await?;
        tokio::time::timeout(2 * PATIENCE, self.answer())
            .await
            .with_context(|| format!("{method}: no answer"))?
    }

    /// The answer to the latest call; what else happens is passed over.
    async fn answer(&mut self) -> anyhow::Result<Value> {
        loop {
            let mut message = Vec::new();
            self.from.read_until(0, &mut message).await?;
            ensure!(message.pop().is_some(), "the browser has ended");
            let mut message: Value = serde_json::from_slice(&message)?;
            if message["id"] == self.calls {
                ensure!(message.get("error").is_none(), "{message}");
                return Ok(message["result"].take());
            }
        }
    }
}
