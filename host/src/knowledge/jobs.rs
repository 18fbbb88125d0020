//! What recurs in knowledge: tombstones of deleted entries are forgotten (an index that slept through that is rebuilt)
//! and indexes nobody asks for are closed.

use std::time::Duration;

use super::{Knowledge, store};
use crate::kit::Result;
use crate::kit::jobs::Job;

const FORGET_EVERY: Duration = Duration::from_secs(3600);
const CLOSE_EVERY: Duration = Duration::from_secs(60);

impl Knowledge {
    pub fn jobs(&self) -> Vec<Job> {
        let knowledge = self.clone();
        let indexes = self.indexes.clone();
        vec![
            Job::new("knowledge.forget_tombstones", FORGET_EVERY, move || {
                let knowledge = knowledge.clone();
                async move { knowledge.forget_tombstones().await }
            }),
            Job::new("knowledge.close_idle", CLOSE_EVERY, move || {
                indexes.close_idle();
                async { Ok(()) }
            }),
        ]
    }

    async fn forget_tombstones(&self) -> Result<()> {
        let age = time::Duration::days(self.config.tombstone_days.into());
        store::forget_tombstones(&self.db, self.clock.now() - age).await
    }
}
