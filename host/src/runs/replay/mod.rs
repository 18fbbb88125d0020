//! Replaying a run that has ended: its version, or another one, is run again against its journal, and what is told
//! apart is reported. Nothing outside is asked and nothing is written: what is not recorded stops the replay there.

mod answers;
mod compare;
mod ended;
pub mod http;
mod lines;
mod perform;
mod recording;
mod report;
mod store;

use std::sync::Arc;

use serde_json::json;

use self::ended::Found;
use crate::agents::channels::By;
use crate::identity::Caller;
use crate::kit::{Code, Result};
use crate::ledger::audit::{Action, Target, record};
use crate::runs::{RunId, Runs};

pub use lines::diff;
pub use recording::{RecordedEvent, RecordedStep, Recording};
pub use report::{Beyond, Difference, Report, Side};

pub const NOT_ENDED: Code = Code::new("run_not_ended", 409, "The run has not ended");

impl Runs {
    /// Replays a run on its own version, or on another one of the same agent.
    pub async fn replay(
        &self,
        caller: &Caller,
        (agent, run): (&str, RunId),
        version: Option<i32>,
    ) -> Result<Report> {
        self.may_take_runs().await?;
        let view = self.get(caller, agent, run).await?;
        if view.ended_at.is_none() {
            let detail = format!(
                "It is {}: replay it once it has ended, or cancel it first.",
                view.state
            );
            return Err(NOT_ENDED.because(detail));
        }
        let on = By::Version(version.unwrap_or(view.version));
        let resolved = self.inner.agents.resolve(caller, agent, on).await?;
        let found = Arc::new(self.find_ended(caller, view).await?);
        let _place = match found.stopped_at(resolved.version) {
            // It was stopped before its guest had its first slice: nothing will run.
            Some(0) => None,
            _ => Some(self.replay_place(caller.org).await?),
        };
        let pre = self
            .inner
            .imports
            .pre(&self.inner.agents, resolved.digest)
            .await?;
        let limits = self.inner.limits.of(found.limits).await?;
        let performed = self.perform(&found, (&resolved, pre), &limits).await?;
        let mut tx = self.inner.db.begin().await?;
        let did = caller.did(Action::RunReplayed, Target::new("run", run));
        let detail = json!({ "agent": agent, "version": resolved.version });
        record(&mut tx, &[did.detail(&detail)]).await?;
        tx.commit().await?;
        Ok(compare::report(&found, performed))
    }
}
