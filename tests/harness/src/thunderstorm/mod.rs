// SPDX-License-Identifier: GPL-3.0-or-later
//! A stand-in for a THOR Thunderstorm server, for tests, the demo and load: it is no scanner and protects nobody.
//!
//! It speaks both generations of the HTTP API ([`shapes`]), matches a few rules of its own or given ones ([`rules`]), is
//! as slow and as busy as [`settings`] say, counts what it was sent ([`uploads`]), and goes wrong on request ([`Fault`]) or
//! by what a file does to it ([`Hostility`]).
//! [`Standin`] runs one inside the test's process; the program `thunderstorm-stand-in` is the same with a command line.
//! Beside the API it serves `PUT /stand-in/settings`, `PUT /stand-in/fault` and `GET /stand-in/uploads`, which no fault
//! reaches.
//!
//! A scan counts as an upload when a thread takes it: refused and faulty requests are counted apart.

pub mod drift;
mod hostile;
pub mod rules;
mod scans;
mod serve;
pub mod settings;
pub mod shapes;
pub mod uploads;
mod zip;

pub use drift::Drift;
pub use hostile::{Hostility, SINCE};
pub use rules::Rules;
pub use settings::{Fault, FaultPlan, Settings, Shape};

pub(crate) use scans::until;

use scans::Scans;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};
use thundergate_common::digest::Digest;
use tokio::{net::TcpListener, sync::Mutex, task::JoinSet};
use tokio_rustls::TlsAcceptor;

/// A stand-in that runs. Dropping it closes everything it has open.
pub struct Standin {
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    scans: Arc<Scans>,
    running: Mutex<JoinSet<()>>,
}

impl std::fmt::Debug for Standin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Standin")
            .field("url", &self.url())
            .field("scans", &self.scans)
            .finish_non_exhaustive()
    }
}

impl Standin {
    /// Starts one with the rules of our own, on a free port of 127.0.0.1.
    pub async fn start(settings: Settings) -> Self {
        Self::start_with(settings, Rules::own(), SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .expect("127.0.0.1 has a free port")
    }

    /// Starts one with these rules at this address.
    pub async fn start_with(settings: Settings, rules: Rules, address: SocketAddr) -> std::io::Result<Self> {
        Self::start_over(None, settings, rules, address).await
    }

    /// Starts one with the rules of our own that speaks TLS, on a free port of 127.0.0.1.
    pub async fn start_tls(settings: Settings, tls: TlsAcceptor) -> Self {
        Self::start_over(Some(tls), settings, Rules::own(), SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .expect("127.0.0.1 has a free port")
    }

    async fn start_over(
        tls: Option<TlsAcceptor>,
        settings: Settings,
        rules: Rules,
        address: SocketAddr,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let scans = Arc::new(Scans::new(settings, rules));
        let mut running = JoinSet::new();
        running.spawn(serve::serve(listener, address, tls.clone(), Arc::clone(&scans)));
        Ok(Self { address, tls, scans, running: Mutex::new(running) })
    }

    /// Where it is, without a path: `http://127.0.0.1:PORT`, or `https://…`.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often each sample of mail was scanned, by digest in hexadecimal digits.
    pub fn uploads(&self) -> BTreeMap<String, u64> {
        self.scans.uploads().by_digest()
    }

    /// How often this sample of mail was scanned.
    pub fn uploads_of(&self, digest: &Digest) -> u64 {
        self.scans.uploads().of(digest)
    }

    /// How many scans of mail's samples there were.
    pub fn total(&self) -> u64 {
        self.scans.uploads().total()
    }

    /// The file names of all scans of mail's samples, in the order of their arrival.
    pub fn names(&self) -> Vec<String> {
        self.scans.uploads().names().to_vec()
    }

    /// How many samples of the workers' own were scanned: proofs, canaries, size probes.
    pub fn own_uploads(&self) -> u64 {
        self.scans.uploads().own().values().sum()
    }

    /// How many of the workers' own came with this `source`, such as `thundergate-proof`.
    pub fn own_uploads_of(&self, source: &str) -> u64 {
        self.scans.uploads().own().get(source).copied().unwrap_or_default()
    }

    /// Scan requests for mail's samples, of any fate: answered, refused or met by a fault.
    pub fn requests(&self) -> u64 {
        self.scans.requests()
    }

    /// How long its threads were busy in all, scans under way left out.
    pub fn busy(&self) -> Duration {
        self.scans.busy()
    }

    /// Scans under way at this moment.
    pub fn scanning(&self) -> usize {
        self.scans.scanning()
    }

    /// From now on every request meets this fault.
    pub fn fault(&self, fault: Fault) {
        self.scans.plan(FaultPlan { fault, ..FaultPlan::default() });
    }

    /// From now on every sample of mail meets this fault, and what the workers send of themselves does not.
    pub fn fault_of_mail(&self, fault: Fault) {
        self.scans.plan(FaultPlan { fault, mail_only: true, ..FaultPlan::default() });
    }

    /// The next `times` scans meet this fault.
    pub fn fault_times(&self, fault: Fault, times: u64) {
        self.scans.plan(FaultPlan { fault, times: Some(times), ..FaultPlan::default() });
    }

    /// Changes settings while it runs.
    pub fn settings(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = self.scans.settings();
        change(&mut settings);
        self.scans.set(settings);
    }

    /// Closes the listener and every connection, as a crash would. What waited asynchronously is lost, as with THOR 10.
    pub async fn stop(&self) {
        self.running.lock().await.shutdown().await;
        self.scans.restart();
    }

    /// Listens on the same port again.
    pub async fn start_again(&self) {
        let listener = TcpListener::bind(self.address).await.expect("the port is still free");
        let serving = serve::serve(listener, self.address, self.tls.clone(), Arc::clone(&self.scans));
        self.running.lock().await.spawn(serving);
    }

    /// Serves until the end of the process.
    pub async fn join(&self) {
        self.running.lock().await.join_next().await;
    }
}
