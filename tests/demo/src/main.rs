// SPDX-License-Identifier: GPL-3.0-or-later
//! `cargo demo`: the main job on embedded defaults, in one process. Two stand-in scanners and the gateway start, and a
//! short story of mails is told to the gateway over the milter protocol, as an MTA would. A table says what came, where
//! the answer came from and what the MTA was told. Exit status 0 only if every step went as told.

use anyhow::Context;
use clap::Parser;
use indicatif::ProgressBar;
use std::{
    io::Write,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use thundergate_common::{digest::Digest, shutdown::Shutdown};
use thundergate_harness::{
    eventually,
    mails::{eicar, mail, noise},
    mta::{Action, Mail, Mta, Reply},
    thunderstorm::{Settings, Standin},
};
use thundergate_milter::{
    command::serve::{Passed, Server},
    config::Config,
};
use tracing::field::{Field, Visit};
use tracing_subscriber::{Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// How long a mail waits for its verdict here; the gateway's own default is 20 s.
const DEADLINE: &str = "3s";
/// How long anything may take to come up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A short story of mails: two stand-in scanners, the gateway, what it tells the MTA.
#[derive(Parser)]
struct Arguments {
    /// Stay up afterwards, on the default addresses, for your own MTA; Ctrl-C ends it.
    #[arg(long)]
    keep: bool,
}

/// What the MTA must be told of a mail, and how that is put.
#[derive(Clone, Copy)]
enum Told {
    Accepted,
    Quarantined,
    Deferred,
}

/// The story, its stage and its reader.
struct Story {
    farm: Vec<Standin>,
    mta: Mta,
    lines: MessageLines,
    failed: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    rustls::crypto::ring::default_provider().install_default().expect("nobody installed one before");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads can be started");
    match runtime.block_on(run(&arguments)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<usize> {
    let lines = MessageLines::default();
    tracing_subscriber::registry().with(lines.clone()).init();
    let farm = vec![Standin::start(Settings::default()).await, Standin::start(Settings::default()).await];
    let server = Server::bind(&configuration(&farm, arguments.keep)?, Passed::default()).await?;
    let milter = server.addresses()[0].clone();
    let admin = server.admin_address().context("the admin server is off")?;
    println!(
        "thundergate's demo: mails, a gateway, two stand-in scanners (no real ones: they know a few test patterns)\n"
    );
    println!("  milter    {milter}");
    println!("  admin     http://{admin}/  (live, ready, metrics)");
    for instance in &farm {
        println!("  scanner   {}", instance.url());
    }

    let shutdown = Shutdown::install()?.grace(Duration::from_secs(5));
    let drain = shutdown.drain.clone();
    let story = async {
        let told = tell(farm, &milter, lines).await;
        if let (Ok(Story { failed: 0, .. }), true) = (&told, arguments.keep) {
            println!("\nStaying up. Postfix: smtpd_milters = {milter}. Ctrl-C ends it.");
            drain.cancelled().await;
        }
        drain.cancel();
        told
    };
    let ((), told) = tokio::join!(server.run(shutdown), story);
    Ok(told?.failed)
}

/// The built-in defaults, but for addresses and a shorter deadline.
fn configuration(farm: &[Standin], keep: bool) -> anyhow::Result<Config> {
    let urls: Vec<_> = farm.iter().map(|instance| format!("{{ url = \"{}\" }}", instance.url())).collect();
    let addresses = "listen = [\"inet:127.0.0.1:0\"]\nadmin.listen = \"127.0.0.1:0\"\n";
    let toml = format!(
        "{}wait.deadline = \"{DEADLINE}\"\n[farm]\nprobe_interval = \"250ms\"\ninstances = [{}]\n",
        if keep { "" } else { addresses },
        urls.join(", ")
    );
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile()?;
    file.write_all(toml.as_bytes())?;
    Ok(Config::load(Some(file.path()))?)
}

async fn tell(farm: Vec<Standin>, milter: &str, lines: MessageLines) -> anyhow::Result<Story> {
    let mta = Mta::connect(milter).await.context("the gateway does not answer")?;
    let mut story = Story { farm, mta, lines, failed: 0 };
    let (report, price_list) = (noise(1, 200_000), noise(2, 300_000));

    println!("\n  {:<46} {:>9}  {:<8} what the MTA was told", "what came", "took", "from");
    story.step("a clean mail", "anna@example.org", "report.pdf", &report, Told::Accepted, &["scan"]).await?;
    story
        .step(
            "a mail with the EICAR test file",
            "mallory@example.org",
            "invoice.com",
            &eicar(),
            Told::Quarantined,
            &["scan"],
        )
        .await?;
    story
        .step(
            "the same attachment from another sender",
            "trudy@example.org",
            "price.com",
            &eicar(),
            Told::Quarantined,
            &["local"],
        )
        .await?;
    for instance in &story.farm {
        instance.stop().await;
    }
    story
        .step(
            "a new mail while the farm is down",
            "carl@example.org",
            "prices.xlsx",
            &price_list,
            Told::Deferred,
            &["none"],
        )
        .await?;
    for instance in &story.farm {
        instance.start_again().await;
    }
    let digest = Digest::of(&price_list);
    eventually(PATIENCE, "the scan goes on without the sender", async || story.scans_of(&digest) > 0).await;
    story
        .step(
            "its retry after the farm is back",
            "carl@example.org",
            "prices.xlsx",
            &price_list,
            Told::Accepted,
            // The scan has ended, or is about to.
            &["hub", "joined"],
        )
        .await?;

    println!();
    for (name, bytes) in
        [("report.pdf", &report), ("the EICAR test file", &eicar()), ("prices.xlsx", &price_list)]
    {
        let scans = story.scans_of(&Digest::of(bytes));
        println!(
            "  {name}: scanned {}",
            if scans == 1 { "once".to_owned() } else { format!("{scans} times") }
        );
        story.failed += usize::from(scans != 1);
    }
    println!(
        "\n{}",
        if story.failed == 0 { "Every step went as told." } else { "NOT every step went as told." }
    );
    Ok(story)
}

impl Story {
    async fn step(
        &mut self,
        what: &str,
        sender: &str,
        name: &str,
        attachment: &[u8],
        expected: Told,
        sources: &[&str],
    ) -> anyhow::Result<()> {
        let message = mail().from(sender).attach(name, "application/octet-stream", attachment).bytes();
        let queue_id = format!("DEMO{:04}", self.lines.count() + 1);
        let mail = Mail { sender: sender.to_owned(), queue_id: queue_id.clone(), ..Mail::of(message) };
        let (began, waiting) = (Instant::now(), ProgressBar::new_spinner().with_message(what.to_owned()));
        waiting.enable_steady_tick(Duration::from_millis(100));
        let reply = self.mta.send(&mail).await.with_context(|| format!("no answer to {what}"))?;
        let took = began.elapsed();
        waiting.finish_and_clear();
        let from = self.lines.source_of(&queue_id).context("the gateway did not log the message")?;
        let went_well = expected.is(&reply) && sources.contains(&&*from);
        self.failed += usize::from(!went_well);
        let remark = if went_well { "" } else { "   <- NOT as told" };
        println!(
            "  {what:<46} {:>6.1} ms  {from:<8} {}{remark}",
            took.as_secs_f64() * 1000.0,
            in_words(&reply)
        );
        Ok(())
    }

    fn scans_of(&self, digest: &Digest) -> u64 {
        self.farm.iter().map(|instance| instance.uploads_of(digest)).sum()
    }
}

impl Told {
    fn is(self, reply: &Reply) -> bool {
        match (self, &reply.action) {
            (Self::Accepted, Action::Accept) => reply.quarantine.is_none(),
            (Self::Quarantined, Action::Accept) => reply.quarantine.is_some(),
            (Self::Deferred, Action::ReplyCode(text)) => text.starts_with("451 4.7.1"),
            _ => false,
        }
    }
}

fn in_words(reply: &Reply) -> String {
    match (&reply.action, &reply.quarantine) {
        (Action::Accept, Some(reason)) => format!("hold it in quarantine ({reason})"),
        (Action::Accept, None) => "accept".to_owned(),
        (Action::ReplyCode(text), _) => text.clone(),
        (other, _) => format!("{other:?}"),
    }
}

/// The gateway's own log lines about messages: where each attachment's verdict came from, by queue id.
#[derive(Clone, Default)]
struct MessageLines(Arc<Mutex<Vec<(String, String)>>>);

impl MessageLines {
    fn count(&self) -> usize {
        self.0.lock().expect("nothing panics while it holds the lines").len()
    }

    fn source_of(&self, queue_id: &str) -> Option<String> {
        let lines = self.0.lock().expect("nothing panics while it holds the lines");
        lines.iter().find(|(id, _)| id == queue_id).map(|(_, source)| source.clone())
    }
}

impl<S: tracing::Subscriber> Layer<S> for MessageLines {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let parts: Vec<serde_json::Value> = serde_json::from_str(&line.parts).unwrap_or_default();
        let attachment = parts.iter().find(|part| part["name"].is_string());
        if let Some(source) = attachment.and_then(|part| part["source"].as_str()) {
            self.0
                .lock()
                .expect("nothing panics while it holds the lines")
                .push((line.queue_id, source.to_owned()));
        }
    }
}

/// The fields of a log line that the table shows.
#[derive(Default)]
struct Line {
    queue_id: String,
    parts: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "queue.id" => value.clone_into(&mut self.queue_id),
            "parts.json" => value.clone_into(&mut self.parts),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
