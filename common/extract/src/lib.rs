// SPDX-License-Identifier: GPL-3.0-or-later
//! Takes a message apart into everything that a reader could see: bytes in, parts out.
//!
//! Clients disagree about malformed messages, so there is no one right reading: the extraction takes the union of the
//! plausible ones and records what was ambiguous ([`Ambiguity`]). A well-formed message costs one reading. Steps:
//!
//! 1. `walk` goes over the structure once and finds leaves, preambles and epilogues; `header`, `value`, `names`,
//!    `declared` and `boundary` read the fields that say what an entity is. Encoded messages inside are walked over as
//!    well.
//! 2. `samples` takes each leaf: `decoded` decodes it (`decode`) and digests it, `signs` says what it looks like, `body` says whether it is a sample at
//!    all, `candidates` what else it could be, and `opener` opens what is inside (`container`). `budget` says what may
//!    still be done, `seen` what was done before, `unopened` which containers nobody opens; `found` is the union.
//! 3. Where the walk had a choice (`reading`), it is repeated with the other one.
//! 4. Where anything was found that no program writes unless it means to confuse, the message, or the leaf with that in
//!    it, is read once more without its structure (`blind`), piece by piece (`segment`), as what the bytes look like (`likeness`); what is not
//!    plausible as a file (`plausible`) is left.
//!
//! For those who hold a part that is sealed, [`passwords`] reads the message once more for what may be its password.
//!
//! Containers (multiparts, nested messages) are no samples, their leaves are. Nothing here fails: a message over a
//! budget is `malformed`, with everything found until then, and not read in further ways. All work is linear in the
//! message, except that a budget may multiply it by a constant. Nothing recurses but containers inside containers, and
//! `depth` bounds those.
//!
//! This crate knows no MTA, no Redis and no policy, reads no configuration and writes no log: what an ambiguity or an
//! exceeded budget means for the mail is for those who call it. Of thundergate it knows digests and the reasons why a part
//! is no sample, from thundergate-common.

#![warn(unreachable_pub)]

mod ambiguity;
mod blind;
mod body;
mod boundary;
mod budget;
mod bytewise;
mod candidates;
mod container;
mod declared;
mod decode;
mod decoded;
mod found;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod header;
mod leaf;
mod likeness;
mod names;
mod opener;
mod outline;
mod part;
mod passwords;
mod plausible;
mod reading;
mod recall;
mod runs;
mod samples;
mod seen;
mod segment;
mod signs;
mod unopened;
mod value;
mod walk;

pub use ambiguity::Ambiguity;
pub use body::Bodies;
pub use budget::{Budget, Exceeded};
use bytes::Bytes;
pub use outline::Step;
pub use part::{Content, Extraction, Part, Skipped};
pub use passwords::{Candidate, Place, passwords};
use reading::Reading;
pub use recall::Recall;
use samples::Samples;

/// Takes `message` (header, empty line, body) apart.
pub fn extract(message: &Bytes, bodies: Bodies, budget: &Budget) -> Extraction {
    take_apart(message, Samples::new(bodies, budget, message.len(), false), budget).0
}

/// The same; what was decoded for an earlier message is not decoded again.
pub fn extract_recalling(message: &Bytes, bodies: Bodies, budget: &Budget, recall: &Recall) -> Extraction {
    let samples = Samples::new(bodies, budget, message.len(), false).recalling(recall);
    take_apart(message, samples, budget).0
}

/// The same, with the steps that led there.
pub fn explain(message: &Bytes, bodies: Bodies, budget: &Budget) -> (Extraction, Vec<Step>) {
    take_apart(message, Samples::new(bodies, budget, message.len(), true), budget)
}

fn take_apart(message: &Bytes, mut samples: Samples, budget: &Budget) -> (Extraction, Vec<Step>) {
    let (mut met, mut done) = (Reading::default(), Vec::new());
    while let Some(reading) = Reading::next(met, &done).filter(|_| samples.left.exceeded().is_none()) {
        samples.next_reading(|| reading.describe());
        met = met.and(walk::walk(message, reading, budget, &mut samples));
        done.push(reading);
    }
    let everywhere = samples.found.is_in_doubt();
    if (everywhere || samples.seen.has_suspects()) && samples.left.exceeded().is_none() {
        samples.next_reading(|| "without the structure".to_owned());
        for message in samples.seen.outermost_messages() {
            blind::read(&message, everywhere, &mut samples);
        }
        samples.take_hidden();
    }
    samples.finish()
}
