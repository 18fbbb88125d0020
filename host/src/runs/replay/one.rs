//! One run on one version: what is asked for is found, given a place, replayed and compared.

use std::sync::Arc;

use serde_json::json;

use super::{Found, NOT_ENDED, Report, compare};
use crate::agents::Resolved;
use crate::agents::channels::By;
use crate::identity::Caller;
use crate::kit::Result;
use crate::ledger::audit::{Action, Target, record};
use crate::runs::imports::Guest;
use crate::runs::{RunId, Runs};
use crate::sandbox::AgentPre;

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
        let pre = self
            .inner
            .imports
            .pre(&self.inner.agents, resolved.digest)
            .await?;
        let found = Arc::new(self.find_ended(caller, view).await?);
        let place = match found.stopped_at(resolved.version) {
            // It was stopped before its guest had its first slice: nothing will run.
            Some(0) => None,
            _ => Some(self.replay_place(caller.org).await?),
        };
        let report = self.replay_one(&found, (&resolved, &pre)).await?;
        drop(place);
        let mut tx = self.inner.db.begin().await?;
        let did = caller.did(Action::RunReplayed, Target::new("run", run));
        let detail = json!({ "agent": agent, "version": resolved.version });
        record(&mut tx, &[did.detail(&detail)]).await?;
        tx.commit().await?;
        Ok(report)
    }

    /// In the caller's place.
    pub(super) async fn replay_one(
        &self,
        found: &Arc<Found>,
        (resolved, pre): (&Resolved, &AgentPre<Guest>),
    ) -> Result<Report> {
        let limits = self.inner.limits.of(found.limits).await?;
        let performed = self
            .perform(found, (resolved, pre.clone()), &limits)
            .await?;
        Ok(compare::report(found, performed))
    }
}
