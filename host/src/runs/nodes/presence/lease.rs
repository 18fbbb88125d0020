//! The heartbeat, and the lease it keeps: how long this node was silent, by its own measure, and what follows.

use std::net::SocketAddr;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use super::store;
use crate::kit::jobs::Job;
use crate::kit::{Error, Result};
use crate::runs::Runs;
use crate::runs::log::StopCause;
use crate::runs::nodes::store::open_of;
use crate::sandbox::component::CONTRACT;

const FORGETTING: Duration = Duration::from_secs(3_600);

impl Runs {
    /// Makes this node known before it takes its first run.
    pub async fn join(&self, address: SocketAddr) -> Result<()> {
        // A node joins once; its address does not change.
        let _ = self.inner.presence.address.set(address);
        self.beat().await
    }

    /// The recurring work of nodes besides heartbeat and recovery.
    pub fn node_jobs(&self) -> Vec<Job> {
        let runs = self.clone();
        vec![Job::new("nodes.forget", FORGETTING, move || {
            let runs = runs.clone();
            async move { store::forget(&runs.inner.db).await }
        })]
    }

    /// Whether other nodes may take this one for dead, and take its runs: no heartbeat was written for so long.
    pub fn lease_lost(&self) -> bool {
        let beaten = *self
            .inner
            .presence
            .beaten
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some((at, by_clock)) = beaten else {
            return true;
        };
        // The one stands still while the machine sleeps, the other jumps when it is set: the longer one counts.
        let by_clock = (self.inner.clock.now() - by_clock)
            .try_into()
            .unwrap_or(Duration::ZERO);
        let dead_after = Duration::from_millis(self.inner.config.dead_after_ms);
        at.elapsed().max(by_clock) > dead_after
    }

    /// Refuses where this node must take no runs. A heartbeat that can be written makes it a living node again.
    pub(in crate::runs) async fn may_take_runs(&self) -> Result<()> {
        let again = Duration::from_secs(1);
        if self.is_draining() {
            let refused = "This host takes no more runs; another one does.";
            return Err(Error::unavailable(refused).retry_after(again));
        }
        if self.lease_lost() && self.beat().await.is_err() {
            let refused = "This host could not tell the others that it lives; send the run to another, or try again.";
            return Err(Error::unavailable(refused).retry_after(again));
        }
        Ok(())
    }

    /// Says that this node lives.
    pub(in crate::runs) async fn beat(&self) -> Result<()> {
        let presence = &self.inner.presence;
        let _one = presence.beating.lock().await;
        let lost = self.lease_lost();
        let begun = (Instant::now(), self.inner.clock.now());
        let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let beat = store::Beat {
            name: format!("{} {}", env!("CARGO_PKG_VERSION"), std::process::id()),
            version: env!("CARGO_PKG_VERSION"),
            contract: CONTRACT,
            address: presence.address.get().map(SocketAddr::to_string),
            places: i32::try_from(self.inner.config.concurrent).unwrap_or(i32::MAX),
            free: number(self.inner.admission.free()),
            dead_after_ms: i64::try_from(self.inner.config.dead_after_ms).unwrap_or(i64::MAX),
            draining: self.is_draining(),
        };
        store::beat(&self.inner.db, self.inner.node, &beat).await?;
        let before = presence
            .beaten
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(begun);
        if lost && before.is_some() {
            tracing::warn!("this node was silent for so long that others may have taken its runs");
            self.let_go_of_taken().await?;
        }
        Ok(())
    }

    /// Stops the runs that others took meanwhile: their writes are refused already, this ends their guests.
    async fn let_go_of_taken(&self) -> Result<()> {
        let here = self.inner.live.all();
        let owned = open_of(&self.inner.db, self.inner.node).await?;
        let now = self.inner.clock.now();
        for live in here {
            if !owned.contains(&live.run) {
                live.stop(StopCause::Lost, now);
            }
        }
        Ok(())
    }
}
