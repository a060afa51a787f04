// SPDX-License-Identifier: GPL-3.0-or-later
//! What whoever writes to Redis can put there: forms that programs exchange, and envelopes. Built for tests and for fuzzing
//! only.

use super::{
    seal::{Purpose, Seal, Unsealed},
    wire::{Announcement, Letter},
};
use crate::{
    job::Job,
    verdict::{Verdict, short::Short},
    wire::Versioned,
};
use serde::{Serialize, de::DeserializeOwned};

const PURPOSES: [Purpose; 12] = [
    Purpose::Verdict,
    Purpose::Sample,
    Purpose::Failed,
    Purpose::Job,
    Purpose::Announcement,
    Purpose::Letter,
    Purpose::Records,
    Purpose::Receipt,
    Purpose::Generation,
    Purpose::Report,
    Purpose::Names,
    Purpose::Owed,
];

/// Each form, whatever the data is: what is read is written and read again as the same.
pub fn wire(data: &[u8]) {
    travels::<Verdict>(data);
    travels::<Job>(data);
    travels::<Announcement>(data);
    travels::<Letter>(data);
    if let Some(short) = Short::decode(data) {
        assert_eq!(short.encode(), data);
    }
}

fn travels<T: Serialize + DeserializeOwned>(data: &[u8]) {
    let Some(read) = Versioned::<T>::decode(data) else { return };
    let written = Versioned::encode(&read);
    let again = Versioned::<T>::decode(&written).expect("what was written is read");
    assert_eq!(Versioned::encode(&again), written);
}

/// Nothing opens but what was sealed, as it was sealed. The first two bytes say what is done to an envelope, the others are
/// its content, and an envelope themselves.
pub fn envelopes(data: &[u8]) {
    let Some(([way, place], content)) = data.split_first_chunk::<2>() else { return };
    let seal = Seal::new(&["0123456789abcdef0123456789abcdef".into()], "tg");
    let purpose = PURPOSES[usize::from(*way) % PURPOSES.len()];
    for purpose in PURPOSES {
        assert!(seal.open(purpose, "a", content).is_err(), "forged");
        let open = Seal::none();
        if let Ok(plain) = open.open(purpose, "a", content) {
            let sealed = open.seal(purpose, "a", plain.to_vec());
            assert_eq!(open.open(purpose, "a", sealed.to_vec()), Ok(plain), "what is only marked");
        }
    }
    let mut sealed = seal.seal(purpose, "a", content).into_owned();
    assert_eq!(seal.open(purpose, "a", sealed.clone()).as_deref(), Ok(content));
    assert!(seal.open(purpose, "b", sealed.clone()).is_err(), "of another sample");
    let at = usize::from(*place) * sealed.len() / 256;
    sealed[at] ^= 1 + way / 2;
    assert!(seal.open(purpose, "a", sealed.clone()).is_err(), "changed at {at}");
    sealed.truncate(at);
    assert!(seal.open(purpose, "a", sealed.clone()).is_err(), "cut off at {at}");
    assert_eq!(seal.open(purpose, "a", Vec::new()), Err(Unsealed::Plain));
}
