// SPDX-License-Identifier: GPL-3.0-or-later
//! What is known of a sample, for people: under one name, or under every name that there is.

use super::{
    RedisHub,
    entry::read,
    error::unusable,
    names,
    scripts::{SCRIPTS, Step},
};
use crate::{
    digest::Digest,
    hub::{HubError, KnownSample},
    keys::Kept,
    record::seen::Sought,
    sample::{NameHint, SampleKey},
};
use redis::cmd;
use std::{collections::BTreeSet, sync::Arc};

/// Keys that Redis looks at in one step: a millisecond or two.
const AT_ONCE: usize = 5000;

/// What is known of what is sought, sorted by names.
pub(super) async fn known(hub: &RedisHub, sought: &Sought) -> Result<Vec<KnownSample>, HubError> {
    let keys: Vec<SampleKey> = match &sought.hint {
        Some(hint) => vec![SampleKey { digest: sought.digest, hint: hint.clone() }],
        None => names_of(hub, sought.digest).await?.into_iter().collect(),
    };
    let get = |key: &SampleKey, kept| Step::from(cmd("GET").arg(hub.keys.of(key, kept)).take());
    let chains = keys.iter().map(|key| vec![get(key, Kept::Verdict), get(key, Kept::Failed)]).collect();
    let (mut stored, mut failed) = (Vec::new(), Vec::new());
    for (key, chain) in keys.iter().zip(hub.verdicts.run(chains).await?) {
        let [verdict, failure] = <[_; 2]>::try_from(chain).map_err(|_| unusable("too few answers"))?;
        stored.push(read::<Option<Vec<u8>>>(verdict)?.and_then(|bytes| names::stored(hub, key, bytes)));
        failed.push(read::<Option<Vec<u8>>>(failure)?.and_then(|bytes| hub.failed(key, bytes)));
    }
    let verdicts = names::whole(hub, stored).await?.into_iter().map(|verdict| verdict.map(Arc::new));
    let known = keys.into_iter().zip(verdicts).zip(failed);
    let known = known.map(|((key, verdict), failed)| KnownSample { key, verdict, failed });
    Ok(known.filter(|known| known.verdict.is_some() || known.failed.is_some()).collect())
}

/// Under which names something is known of a digest. Redis has no list of them: it looks at all of its keys.
async fn names_of(hub: &RedisHub, digest: Digest) -> Result<BTreeSet<SampleKey>, HubError> {
    let nameless = SampleKey { digest, hint: NameHint::None };
    let pattern = hub.keys.pattern_of(digest);
    let (mut keys, mut cursor) = (BTreeSet::new(), "0".to_owned());
    loop {
        let call = SCRIPTS.keys_of.on([hub.keys.of(&nameless, Kept::Verdict)]);
        let step = call.arg(&cursor).arg(&pattern).arg(AT_ONCE);
        let found: Vec<Vec<u8>>;
        (cursor, found) = read(Ok(hub.verdicts.one(step).await?))?;
        let found = found.iter().filter_map(|key| std::str::from_utf8(key).ok());
        keys.extend(found.filter_map(|key| hub.keys.sample_of(digest, key)));
        if cursor == "0" {
            return Ok(keys);
        }
    }
}
