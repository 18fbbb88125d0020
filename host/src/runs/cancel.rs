//! Cancelling a run: a database fact first, then the signal to the run if it lives here, else a message to its node,
//! with a poll of that node behind it. Idempotent: a repeat answers with the original times, after the end with the
//! receipt. And waiting for a run's end, wherever it runs.

use std::time::Duration;

use serde_json::json;

use super::log::StopCause;
use super::nodes::announce::Watch;
use super::{RunId, RunView, Runs, store};
use crate::identity::Caller;
use crate::kit::{Error, OrgId, Result};
use crate::ledger::audit::{Action, Target, record};

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
        // Before anybody is told: the answer may come at once. The node that is told knows that somebody waits.
        let elsewhere = self.inner.live.get(run).is_none();
        let watch = elsewhere.then(|| self.inner.announce.wait_for((caller.org, run)));
        let whom = (caller.org, agent, run);
        let teller = self.inner.announce.teller();
        let mut tx = self.inner.db.begin().await?;
        let asked = store::request_cancel(&mut tx, whom, (caller.key, now), teller)
            .await?
            .ok_or_else(|| Error::not_found("run"))?;
        if asked.first {
            let target = Target::new("run", run);
            let did = caller.did(Action::RunCancelled, target).at(now);
            let did = did.changed(["cancel_requested_at"]);
            record(&mut tx, &[did.detail(&json!({ "agent": agent }))]).await?;
        }
        tx.commit().await?;
        if asked.open {
            if let Some(live) = self.inner.live.get(run) {
                live.stop(StopCause::Cancelled, asked.requested_at);
            } else if asked.nobodys {
                // It ends here.
                self.wake().await?;
                self.recover().await?;
            }
            // A run that takes longer is answered for as it stands; its receipt follows.
            let wait = Duration::from_millis(self.inner.config.cancel_wait_ms);
            self.until_ended((caller.org, run), watch, wait).await?;
        }
        let run = self.get(caller, agent, run).await?;
        Ok(Cancelled {
            first: asked.first,
            run,
        })
    }

    /// Waits until the run has ended, here or elsewhere, but no longer than `wait`.
    pub(super) async fn until_ended(
        &self,
        (org, run): (OrgId, RunId),
        mut watch: Option<Watch>,
        wait: Duration,
    ) -> Result<()> {
        let ended = async {
            // Here the end is told before it could be read. A run that leaves goes on like any other.
            let here = self.inner.live.get(run).map(|live| live.ended());
            if let Some(here) = here
                && here.await
            {
                return Ok(());
            }
            let watch = watch.get_or_insert_with(|| self.inner.announce.watch((org, run)));
            while !store::has_ended(&self.inner.db, (org, run)).await? {
                watch.changed().await;
            }
            Ok(())
        };
        tokio::time::timeout(wait, ended).await.unwrap_or(Ok(()))
    }
}
