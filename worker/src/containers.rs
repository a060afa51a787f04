// SPDX-License-Identifier: GPL-3.0-or-later
//! What is inside samples that may ask for a password: they are opened in a process of their own (`thundergate-open`), and
//! what comes out is scanned as files of their own.
//!
//! A failure is the container's or ours, and never the scanner's: a container that crashes its process, takes too long or
//! unpacks to too much is `unsupported`; where this host cannot confine or start the process it stays `sealed`, and the log
//! says so. Metric `thundergate_worker_containers_total{result}`.

use bytes::Bytes;
use bytesize::ByteSize;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use thundergate_common::{
    config::{Fault, exact_size},
    sealed::Sealed,
    verdict::Container,
};
use thundergate_open::{Answer, Container as Opened, Failure, Kind, Limits, Member, Opener, Request};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How trying to open a container can end.
const RESULTS: [&str; 9] =
    ["none", "opened", "sealed", "unsupported", "timed_out", "crashed", "too_much", "damaged", "unavailable"];

/// `[open]`: what opening sealed containers may take. `deploy/worker.toml` documents every key.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// So many at once, each in a process of its own; 0: none is opened.
    pub concurrency: usize,
    /// How long one may take.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// Memory of one process.
    #[serde(serialize_with = "exact_size")]
    pub memory_bytes: ByteSize,
    /// Bytes of all files in one container.
    #[serde(serialize_with = "exact_size")]
    pub bytes_out: ByteSize,
    /// Files in one container.
    pub members: usize,
    /// Rounds of a key derivation, which the sender chooses.
    pub rounds: u64,
    /// Open even where the kernel cannot confine the process.
    pub unconfined: bool,
}

impl Default for Open {
    /// As delivered.
    fn default() -> Self {
        let Limits { concurrency, timeout, memory_bytes, bytes_out, members, rounds, unconfined } =
            Limits::default();
        let (memory_bytes, bytes_out) = (ByteSize(memory_bytes), ByteSize(bytes_out));
        Self { concurrency, timeout, memory_bytes, bytes_out, members, rounds, unconfined }
    }
}

impl Open {
    /// What serde cannot see: values that can never work.
    ///
    /// # Errors
    ///
    /// The key, and what is wrong with it.
    pub fn check(&self) -> Result<(), Fault> {
        if self.timeout < Duration::from_secs(1) {
            return Err(Fault::new(&["open.timeout"], "must be 1s or more: a process has to start"));
        }
        if self.memory_bytes < ByteSize::mib(64) {
            return Err(Fault::new(
                &["open.memory_bytes"],
                "must be 64MiB or more: the program itself takes some",
            ));
        }
        for (key, value) in [
            ("open.bytes_out", self.bytes_out.as_u64()),
            ("open.members", self.members as u64),
            ("open.rounds", self.rounds),
        ] {
            if value == 0 {
                return Err(Fault::new(&[key], "must be more than 0; concurrency = 0 opens nothing"));
            }
        }
        Ok(())
    }

    fn limits(&self) -> Limits {
        Limits {
            concurrency: self.concurrency,
            timeout: self.timeout,
            memory_bytes: self.memory_bytes.as_u64(),
            bytes_out: self.bytes_out.as_u64(),
            members: self.members,
            rounds: self.rounds,
            unconfined: self.unconfined,
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Ended {
    /// One of [`RESULTS`].
    result: &'static str,
}

/// Opens containers.
pub(crate) struct Containers {
    /// None where none is opened.
    opener: Option<Opener>,
    /// Whose turn it is: who waits holds neither bytes nor memory.
    seats: Arc<Semaphore>,
    /// How many deliveries wait for their turn, or scan what is in a container.
    deliveries: AtomicUsize,
    results: Family<Ended, Counter>,
}

/// A delivery that is busy with a container.
pub(crate) struct Busy<'a>(&'a Containers);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.deliveries.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is in a container.
pub(crate) struct Inside {
    pub(crate) container: Container,
    /// Its files, as far as they could be read.
    pub(crate) members: Vec<Member>,
}

impl Containers {
    pub(crate) fn new(open: &Open, registry: &mut Registry) -> Self {
        let results = Family::<Ended, Counter>::default();
        for result in RESULTS {
            drop(results.get_or_create(&Ended { result }));
        }
        registry.register(
            "thundergate_worker_containers",
            "Samples that may ask for a password, by what came of opening them",
            results.clone(),
        );
        let opener = (open.concurrency > 0).then(|| Opener::new(open.limits()));
        let seats = open.concurrency.clamp(1, Semaphore::MAX_PERMITS);
        Self { opener, seats: Arc::new(Semaphore::new(seats)), deliveries: AtomicUsize::new(0), results }
    }

    /// A delivery is busy with a container, as long as this lives.
    pub(crate) fn enter(&self) -> Busy<'_> {
        self.deliveries.fetch_add(1, Ordering::Relaxed);
        Busy(self)
    }

    /// How many deliveries are.
    pub(crate) fn deliveries(&self) -> usize {
        self.deliveries.load(Ordering::Relaxed)
    }

    /// Waits for the turn to open one. What that may take in memory is [`Containers::bytes_out`].
    pub(crate) async fn turn(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.seats).acquire_owned().await.expect("the seats are never closed")
    }

    /// Bytes that come out of one container at most.
    pub(crate) fn bytes_out(&self) -> u64 {
        self.opener.as_ref().map_or(0, |opener| opener.limits().bytes_out)
    }

    /// Opens `container`, which may be a sealed one of this `kind`.
    pub(crate) async fn open(&self, kind: Sealed, container: Bytes, candidates: Vec<SecretString>) -> Inside {
        let Some((opener, request)) = self.opener.as_ref().zip(request(kind, container, candidates)) else {
            self.count("sealed");
            return Inside { container: Container::Sealed(kind), members: Vec::new() };
        };
        match opener.open(&request).await {
            Ok(answer) => self.answered(kind, answer),
            Err(failure) => self.failed(kind, &failure),
        }
    }

    fn answered(&self, kind: Sealed, answer: Answer) -> Inside {
        let Answer { container, members, cut_off } = answer;
        let (result, container) = match container {
            // Their own flags say otherwise, and so may the recipient's program.
            Opened::Unsealed if matches!(kind, Sealed::Zip | Sealed::Rar) => {
                ("sealed", Container::Sealed(kind))
            }
            Opened::Unsealed => ("none", Container::None),
            // What was left out nobody has scanned.
            _ if cut_off.is_some() => ("too_much", Container::Unsupported(kind)),
            Opened::Opened(_) => ("opened", Container::Opened(kind)),
            Opened::Sealed => ("sealed", Container::Sealed(kind)),
            Opened::Unsupported(_) => ("unsupported", Container::Unsupported(kind)),
        };
        self.count(result);
        Inside { container, members }
    }

    fn failed(&self, kind: Sealed, failure: &Failure) -> Inside {
        let (result, container) = match failure {
            Failure::TimedOut => ("timed_out", Container::Unsupported(kind)),
            Failure::Crashed { .. } => ("crashed", Container::Unsupported(kind)),
            Failure::TooMuch(_) => ("too_much", Container::Unsupported(kind)),
            Failure::Damaged => ("damaged", Container::Unsupported(kind)),
            Failure::Unconfinable(_) | Failure::Unstartable(_) => {
                tracing::warn!(event = "opener", error = %failure, "Sealed containers cannot be opened on this host");
                ("unavailable", Container::Sealed(kind))
            }
        };
        self.count(result);
        Inside { container, members: Vec::new() }
    }

    fn count(&self, result: &'static str) {
        self.results.get_or_create(&Ended { result }).inc();
    }
}

/// What the opener is asked; none where it knows no such container.
fn request(kind: Sealed, container: Bytes, candidates: Vec<SecretString>) -> Option<Request> {
    let kind = match kind {
        Sealed::Zip => Kind::Zip,
        Sealed::SevenZip => Kind::SevenZip,
        Sealed::Ooxml => Kind::Ooxml,
        Sealed::Pdf => Kind::Pdf,
        Sealed::Rar => return rar(container, candidates),
        Sealed::Office => return None,
    };
    Some(Request { kind, container, candidates })
}

/// Which version of RAR the signature says, behind whatever program it is that extracts itself.
fn rar(container: Bytes, candidates: Vec<SecretString>) -> Option<Request> {
    let start = memchr::memmem::find(&container, b"Rar!\x1a\x07")?;
    let container = container.slice(start..);
    let kind = Kind::of(&container).filter(|kind| matches!(kind, Kind::Rar4 | Kind::Rar5))?;
    Some(Request { kind, container, candidates })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delivered_configuration_is_the_default() {
        let delivered: toml::Table = include_str!("../../deploy/worker.toml").parse().unwrap();
        let open: Open = delivered["open"].clone().try_into().unwrap();
        assert_eq!(open.limits(), Open::default().limits());
        assert!(open.check().is_ok());
        for (key, wrong) in [
            ("open.timeout", Open { timeout: Duration::from_millis(1), ..open.clone() }),
            ("open.memory_bytes", Open { memory_bytes: ByteSize(1), ..open.clone() }),
            ("open.members", Open { members: 0, ..open.clone() }),
        ] {
            assert_eq!(wrong.check().unwrap_err().keys, [key]);
        }
    }

    #[test]
    fn what_says_that_it_is_sealed_is_never_open_by_mistake() {
        let containers =
            Containers::new(&Open { concurrency: 0, ..Open::default() }, &mut Registry::default());
        let inside = |kind, container| {
            let answer = Answer { container, members: Vec::new(), cut_off: None };
            containers.answered(kind, answer).container
        };
        assert_eq!(inside(Sealed::Rar, Opened::Unsealed), Container::Sealed(Sealed::Rar));
        assert_eq!(inside(Sealed::SevenZip, Opened::Unsealed), Container::None);
        let damaged = Opened::Unsupported(thundergate_open::Why::Damaged);
        assert_eq!(inside(Sealed::Ooxml, damaged), Container::Unsupported(Sealed::Ooxml));
    }

    #[test]
    fn the_opener_is_told_which_rar_it_is() {
        let version =
            |bytes: &'static [u8]| rar(Bytes::from_static(bytes), Vec::new()).map(|request| request.kind);
        assert_eq!(version(b"MZ Rar!\x1a\x07\x00"), Some(Kind::Rar4));
        assert_eq!(version(b"Rar!\x1a\x07\x01\x00"), Some(Kind::Rar5));
        assert_eq!(version(b"Rar!\x1a\x07\x02"), None);
    }
}
