// SPDX-License-Identifier: GPL-3.0-or-later
//! One scan at one named instance, past everything: no place, no retry, no effect on breaker, metrics or log. For samples
//! of our own that say how an instance scans.

use super::Farm;
use crate::thunderstorm::error::CallError;
use thundergate_common::{sample::Sample, verdict::Finding};

impl Farm {
    /// Has `instance` scan `sample`; `source` is the host that its log shall name.
    ///
    /// # Errors
    ///
    /// [`CallError`]; [`CallError::Moved`] where there is no such instance.
    pub async fn check(
        &self,
        instance: &str,
        sample: &Sample,
        source: &str,
    ) -> Result<Vec<Finding>, CallError> {
        let roster = self.roster();
        let named = roster.instances.iter().find(|one| one.name() == instance);
        let Some(named) = named else { return Err(CallError::Moved) };
        named.client().scan(sample, source).await
    }
}
