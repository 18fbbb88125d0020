//! Cancelling a run: a database fact first, then the signal to the run if it lives here, with a poll of the owning
//! node behind it. Idempotent: a repeat answers with the original times, after the end with the receipt.

use std::time::Duration;

use super::log::StopCause;
use super::{RunId, RunView, Runs, store};
use crate::identity::Caller;
use crate::kit::{Error, Result};

/// What a cancel came to.
#[derive(Debug)]
pub struct Cancelled {
    /// Whether this request was the one that asked first.
    pub first: bool,
    pub run: RunView,
}

impl Runs {
    pub async fn cancel(&self, caller: &Caller, agent: &str, run: RunId) -> Result<Cancelled> {
        let now = self.inner.clock.now();
        let asked =
            store::request_cancel(&self.inner.db, (caller.org, agent, run), (caller.key, now))
                .await?
                .ok_or_else(|| Error::not_found("run"))?;
        if asked.open
            && let Some(live) = self.inner.live.get(run)
        {
            live.stop(StopCause::Cancelled, asked.requested_at);
            let wait = Duration::from_millis(self.inner.config.cancel_wait_ms);
            // A run that takes longer is answered for as it stands; its receipt follows.
            let _ = tokio::time::timeout(wait, live.ended()).await;
        }
        let run = self.get(caller, agent, run).await?;
        Ok(Cancelled {
            first: asked.first,
            run,
        })
    }
}
