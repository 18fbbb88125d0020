//! Collecting what nothing needs: the bytes of components whose versions were all deleted a while ago and that no open run
//! is on, and on each node the artifacts compiled from them. What is in use is never touched.

use std::time::Duration;

use super::store;
use crate::agents::{Agents, Digest};
use crate::kit::jobs::Job;
use crate::kit::{Error, Result};

const EVERY: Duration = Duration::from_secs(600);
/// How many components one round takes; the others wait for the next.
const ROUND_MAX: i64 = 100;

impl Agents {
    /// What time does here.
    pub fn jobs(&self) -> Vec<Job> {
        let agents = self.clone();
        let collect = move || {
            let agents = agents.clone();
            async move { agents.collect().await }
        };
        vec![Job::new("agents.collect", EVERY, collect), self.judging()]
    }

    pub async fn collect(&self) -> Result<()> {
        let now = self.clock.now();
        let before = now - Duration::from_millis(self.config.collect_after_ms);
        let mut tx = self.db.begin().await?;
        // Locked first and looked at again then: an upload of the same bytes waits, or is seen.
        let unused = store::lock_unused(&mut *tx, (before, now), ROUND_MAX).await?;
        let collected = store::collect(&mut *tx, &unused, (before, now)).await?;
        tx.commit().await?;
        if collected > 0 {
            tracing::info!(
                components = collected,
                "components that nothing needs were collected"
            );
        }
        self.collect_artifacts().await
    }

    /// Each node has a cache of its own.
    async fn collect_artifacts(&self) -> Result<()> {
        let artifacts = self.artifacts.clone();
        let kept = self.tasks.spawn_blocking(move || artifacts.digests());
        let kept: Vec<Digest> = kept.await.map_err(Error::internal)?;
        let gone = store::collected(&self.db, &kept).await?;
        if gone.is_empty() {
            return Ok(());
        }
        let artifacts = self.artifacts.clone();
        let remove = self.tasks.spawn_blocking(move || {
            gone.iter().for_each(|digest| artifacts.remove(digest));
        });
        remove.await.map_err(Error::internal)
    }
}
