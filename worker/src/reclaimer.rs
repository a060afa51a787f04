// SPDX-License-Identifier: GPL-3.0-or-later
//! Takes over the jobs of workers that died, and the failed deliveries of those that live.

use std::time::{Duration, Instant};
use thundergate_common::hub::{self, Claim, HubError, Room};

/// How often the hub is asked. Together with `queue.reclaim_after` (10 s) it keeps the promise of 15 s.
const EVERY: Duration = Duration::from_secs(2);

/// Knows when it is time to ask again.
#[derive(Debug, Default)]
pub(crate) struct Reclaimer {
    asked: Option<Instant>,
}

impl Reclaimer {
    /// Jobs of a shard that nobody has renewed for long enough; none where it is too early to ask.
    ///
    /// # Errors
    ///
    /// As [`hub::Worker::reclaim`].
    pub(crate) async fn reclaim(
        &mut self,
        hub: &dyn hub::Worker,
        worker: &str,
        shard: usize,
        room: Room,
    ) -> Result<Vec<Claim>, HubError> {
        if self.asked.is_some_and(|asked| asked.elapsed() < EVERY) {
            return Ok(Vec::new());
        }
        let claims = hub.reclaim(worker, shard, room).await?;
        // A full hand means that there is more: ask again at once.
        self.asked = (claims.len() < room.most).then(Instant::now);
        Ok(claims)
    }
}
