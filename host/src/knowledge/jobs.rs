//! What recurs in knowledge: tombstones of deleted entries are forgotten. An index that slept through that is rebuilt.

use std::time::Duration;

use super::{Knowledge, store};
use crate::kit::Result;
use crate::kit::jobs::Job;

const EVERY: Duration = Duration::from_secs(3600);

impl Knowledge {
    pub fn jobs(&self) -> Vec<Job> {
        let knowledge = self.clone();
        vec![Job::new("knowledge.forget_tombstones", EVERY, move || {
            let knowledge = knowledge.clone();
            async move { knowledge.forget_tombstones().await }
        })]
    }

    async fn forget_tombstones(&self) -> Result<()> {
        let age = time::Duration::days(self.config.tombstone_days.into());
        store::forget_tombstones(&self.db, self.clock.now() - age).await
    }
}
