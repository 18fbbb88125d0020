//! Replaying a run that has ended: its version, or another one, is run again against its journal, and what is told
//! apart is reported. Nothing outside is asked and nothing is written: what is not recorded stops the replay there.

mod answers;
mod compare;
pub mod http;
mod lines;
mod perform;
mod report;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::identity::Caller;
use crate::kit::{Code, OrgId, Result};
use crate::limits;
use crate::runs::journal::Past;
use crate::runs::log::{Stored, all_events, standing};
use crate::runs::start::Message;
use crate::runs::{RunId, RunView, Runs, life};

pub use report::{Beyond, Difference, Report, Side};

pub const NOT_ENDED: Code = Code::new("run_not_ended", 409, "The run has not ended");

/// Everything that is known of a run that has ended.
#[derive(Debug)]
struct Found {
    org: OrgId,
    view: RunView,
    seed: [u8; 32],
    messages: Vec<Message>,
    limits: Option<limits::Digest>,
    /// More than one where a host died with it, or it slept for long.
    lives: i32,
    past: Past,
    /// What each step asked, as text.
    requests: BTreeMap<i32, String>,
    /// What stands in its log, without its first event and its last.
    said: Vec<Stored>,
}

impl Found {
    /// It was stopped from outside: nothing in it says where it ends.
    fn was_stopped(&self) -> bool {
        let reason = self.view.stop_reason.as_deref();
        matches!(reason, Some("cancelled" | "deadline" | "host_error"))
    }

    /// The fuel at which the run was stopped from outside. Another version uses other fuel.
    fn stopped_at(&self, version: i32) -> Option<u64> {
        let used = self.view.usage.map_or(0, |usage| usage.fuel);
        let here = self.was_stopped() && version == self.view.version;
        here.then(|| u64::try_from(used).unwrap_or(0))
    }
}

impl Runs {
    /// Replays a run on its own version, or on another one of the same agent.
    pub async fn replay(
        &self,
        caller: &Caller,
        (agent, run): (&str, RunId),
        version: Option<i32>,
    ) -> Result<Report> {
        self.refuse_while_draining()?;
        let view = self.get(caller, agent, run).await?;
        if view.ended_at.is_none() {
            let detail = format!(
                "It is {}: replay it once it has ended, or cancel it first.",
                view.state
            );
            return Err(NOT_ENDED.because(detail));
        }
        let on = Some(version.unwrap_or(view.version));
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
        Ok(compare::report(&found, performed))
    }

    async fn find_ended(&self, caller: &Caller, view: RunView) -> Result<Found> {
        let (db, org, run) = (&self.inner.db, caller.org, view.id);
        let row = store::begun_as(db, org, run).await?;
        let (past, _) = life::past(db, org, run).await?;
        let (requests, past) = store::with_requests(db, (org, run), past).await?;
        let mut said = standing(&all_events(db, org, run).await?);
        said.retain(|event| !event.is_last());
        Ok(Found {
            org,
            view,
            seed: row.seed,
            messages: row.messages,
            limits: row.limits,
            lives: row.term,
            past,
            requests,
            said,
        })
    }
}
