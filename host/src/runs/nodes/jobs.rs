//! What time does to runs: this node's heartbeat, cancels that were not announced, the runs of nodes that died or let
//! go of them, and those that slept long enough. Whoever claims a run goes on with it from its journal.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::store;
use crate::kit::Result;
use crate::kit::jobs::Job;
use crate::runs::log::StopCause;
use crate::runs::{RunId, Runs};

/// At most this far apart, and three times at least while a node may be silent.
const HEARTBEAT_MAX: Duration = Duration::from_secs(5);
const CANCEL_POLL: Duration = Duration::from_millis(500);
const WAKING: Duration = Duration::from_millis(500);
const CLAIM_MAX: i64 = 100;

impl Runs {
    /// The room's recurring work.
    pub fn jobs(&self) -> Vec<Job> {
        let (beat, cancel, recover) = (self.clone(), self.clone(), self.clone());
        let wake = self.clone();
        let dead_after = Duration::from_millis(self.inner.config.dead_after_ms);
        let heartbeat = (dead_after / 3).clamp(Duration::from_millis(10), HEARTBEAT_MAX);
        vec![
            Job::new("runs.heartbeat", heartbeat, move || {
                let runs = beat.clone();
                async move { runs.beat().await }
            }),
            Job::new("runs.cancels", CANCEL_POLL, move || {
                let runs = cancel.clone();
                async move { runs.observe_cancels().await }
            }),
            Job::new("runs.recover", heartbeat, move || {
                let runs = recover.clone();
                async move { runs.recover().await }
            }),
            Job::new("runs.wake", WAKING, move || {
                let runs = wake.clone();
                async move { runs.wake().await }
            }),
        ]
    }

    async fn observe_cancels(&self) -> Result<()> {
        for (run, at) in store::cancels_of(&self.inner.db, self.inner.node).await? {
            if let Some(live) = self.inner.live.get(run) {
                live.stop(StopCause::Cancelled, at);
            }
        }
        Ok(())
    }

    /// Goes on with the runs of nodes that are dead, and with those that were handed over.
    pub async fn recover(&self) -> Result<()> {
        let _one = self.inner.presence.claiming.lock().await;
        let dead_after = i64::try_from(self.inner.config.dead_after_ms).unwrap_or(i64::MAX);
        while !self.is_draining() {
            let lost = self.lost().await?;
            let (node, db) = (self.inner.node, &self.inner.db);
            let claimed = store::claim(db, (node, &lost), dead_after, CLAIM_MAX).await?;
            let all = claimed.len() < usize::try_from(CLAIM_MAX).unwrap_or(usize::MAX);
            claimed.into_iter().for_each(|run| self.resume(run));
            if all {
                break;
            }
        }
        Ok(())
    }

    /// Goes on with suspended runs whose time has come: they slept long enough, or are to end.
    pub async fn wake(&self) -> Result<()> {
        let _one = self.inner.presence.claiming.lock().await;
        while !self.is_draining() {
            let now = self.inner.clock.now();
            let claimed = store::claim_due(&self.inner.db, self.inner.node, now, CLAIM_MAX).await?;
            let all = claimed.len() < usize::try_from(CLAIM_MAX).unwrap_or(usize::MAX);
            claimed.into_iter().for_each(|run| self.resume(run));
            if all {
                break;
            }
        }
        Ok(())
    }

    /// Runs this node owns and does not run: their end could not be written. Asked for in this order: a run is in
    /// the registry before its row is in the table, and leaves it after its end is.
    async fn lost(&self) -> Result<Vec<RunId>> {
        let mut open = store::open_of(&self.inner.db, self.inner.node).await?;
        open.retain(|run| self.inner.live.get(*run).is_none());
        Ok(open)
    }

    pub(in crate::runs) fn is_draining(&self) -> bool {
        self.inner.presence.draining.load(Ordering::Relaxed)
    }

    /// Resolves when a stop was not effective in time: this host is to drain and go.
    pub async fn escalated(&self) {
        let mut escalated = self.inner.escalated.subscribe();
        // The sender lives in `self`.
        let _ = escalated.wait_for(|escalated| *escalated).await;
    }

    /// Lets runs end for half of the grace, hands over what is left, and says goodbye: nothing of this node is alive
    /// afterwards, and no run has ended because of it.
    pub async fn leave(&self, grace: Duration) -> Result<()> {
        self.inner.presence.draining.store(true, Ordering::Relaxed);
        let now = tokio::time::Instant::now();
        self.gone_by(now + grace / 2).await;
        let asked_at = self.inner.clock.now();
        for live in self.inner.live.all() {
            live.stop(StopCause::Shutdown, asked_at);
        }
        // A run that cannot be handed over is another node's to recover.
        self.gone_by(now + grace + Duration::from_secs(5)).await;
        store::leave(&self.inner.db, self.inner.node).await?;
        self.inner.announce.released().await
    }

    async fn gone_by(&self, deadline: tokio::time::Instant) {
        let all = self.inner.live.all();
        let ends: Vec<_> = all.iter().map(|live| live.ended()).collect();
        // A run that leaves is gone when nobody here holds it.
        drop(all);
        for gone in ends {
            if tokio::time::timeout_at(deadline, gone).await.is_err() {
                return;
            }
        }
    }
}
