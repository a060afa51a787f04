// SPDX-License-Identifier: GPL-3.0-or-later
//! What the fuzz targets for the records that come out of Redis, their wire forms and envelopes, and requests to the admin
//! server call (`tests/fuzz/`), and the unit tests with their stored inputs. Built for tests and for fuzzing only.

pub use crate::{
    admin::fuzzing::requests,
    hub::redis::fuzzing::{envelopes, wire},
};

use crate::{
    blind,
    failed::{self, FailedSample},
    generation::{FarmReport, Generation, reached},
    outage::outage,
    oversight::{Oversight, Round},
    record::{MOST_BYTES, MailRecord, pack},
    verdict::Verdict,
    wire::Versioned,
};
use std::{slice, time::Duration};

/// When all of it is judged, in seconds since the epoch.
const NOW: u64 = 1_800_000_000;
/// Bytes of an outage's reason, at most.
const LONGEST_REASON: usize = 2_000;
/// Spans of one generation.
const MOST_SPANS: usize = 64;

/// Each kind of record, whatever the data is; nothing in it panics, and nothing that grows with it is kept.
pub fn records(data: &[u8]) {
    if let Some(failed) = Versioned::<FailedSample>::decode(data) {
        let _ = (failed.holds(&Generation::default(), NOW), failed.life(NOW));
        let _ = failed::pause(Duration::from_secs(failed.until), failed.times);
        assert_eq!(Versioned::decode(&Versioned::encode(&failed)), Some(failed), "it travels");
    }
    if let Some(oversight) = Versioned::<Oversight>::decode(data) {
        overseen(oversight);
    }
    for record in MailRecord::decode(data).into_iter().chain(pack::records(data)) {
        let wire = record.encode();
        assert!(wire.len() <= MOST_BYTES);
        let travelled = MailRecord::decode(&wire).expect("it travels");
        assert_eq!(travelled.encode(), wire, "what fits is not cut again");
        assert_eq!(pack::packs(&[record]).flat_map(|pack| pack::records(&pack)).next(), Some(travelled));
    }
    if let Some(report) = Versioned::<FarmReport>::decode(data) {
        let reports = slice::from_ref(&report);
        assert!(outage(reports).is_none_or(|reason| reason.len() <= LONGEST_REASON));
        let _ = reached(reports, None, &Oversight::default().all_excluded());
        Oversight::default().observe(reports, NOW, Duration::from_secs(1));
    }
}

fn overseen(mut oversight: Oversight) {
    let spans = blind::bounded(oversight.spans.clone());
    assert!(spans.len() <= MOST_SPANS);
    let generation = Generation { blind: spans, ..Generation::default() };
    for span in &oversight.spans {
        let verdict =
            Verdict { instance: span.instance.clone(), scanned_at: span.from, ..Verdict::default() };
        assert!(
            !span.covers(&verdict) || generation.outdates(&verdict),
            "what was not believed still is not"
        );
    }
    oversight.observe(&[], NOW, Duration::from_secs(1));
    let answers = oversight.instances.keys().map(|name| (name.clone(), false)).collect();
    oversight.judge(&Round { sent: NOW, ended: NOW, answers });
    let _ = oversight.all_excluded();
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// Feeds `target` with what is kept for it.
    fn replay(name: &str, target: fn(&[u8])) {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz");
        let corpus = feed(&kept.join("corpus").join(name), target);
        assert!(corpus > 0, "no corpus for {name}");
        feed(&kept.join("regressions").join(name), target);
    }

    /// How many files there were in `folder`.
    fn feed(folder: &Path, target: fn(&[u8])) -> usize {
        let Ok(files) = fs::read_dir(folder) else { return 0 };
        let files = files.map(|file| file.expect("a folder of this repository").path());
        files
            .inspect(|file| {
                println!("{}", file.display()); // the last line that a failing test prints
                target(&fs::read(file).expect("a file of this repository"));
            })
            .count()
    }

    #[test]
    fn records() {
        replay("records", super::records);
    }

    #[test]
    fn wire() {
        replay("wire", super::wire);
    }

    #[test]
    fn envelopes() {
        replay("envelopes", super::envelopes);
    }

    #[test]
    fn requests() {
        replay("requests", super::requests);
    }
}
