//! The last runs of the stable version on a candidate: what promoting it would change. One request of an organization and a
//! few runs at a time on a host, each in a place like a run's; dropping the request's future stops them all. What there was no
//! time or place for, or does not fit what was recorded, is not compared, and why is told.

mod noted;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use self::noted::Noted;
use super::report::There;
use super::summary::Came;
use super::{Found, NO_RUNS, Report, Summary, store};
use crate::agents::Resolved;
use crate::agents::channels::{By, Channel};
use crate::identity::Caller;
use crate::kit::error::UNAVAILABLE;
use crate::kit::{Error, OrgId, Result};
use crate::runs::imports::Guest;
use crate::runs::start::{Admitted, Place, QUEUE_FULL};
use crate::runs::{RunId, Runs};
use crate::sandbox::AgentPre;

pub(in crate::runs) use turns::Turns;

/// A place that was waited for is not kept from runs for longer than this.
const TURN_WAIT: Duration = Duration::from_secs(1);
const UNREADABLE: &str = "What is kept of it cannot be read; the host's log has the cause.";
const FAULT: &str = "The host failed while it replayed it, and its log has the cause: replay the run by its id, or ask again.";
const NO_PLACE: &str = "There was no place for it: ask again when fewer runs wait.";

impl Runs {
    /// Replays the newest runs of the stable version that have ended on another version of the agent.
    pub async fn replay_last(
        &self,
        caller: &Caller,
        agent: &str,
        (version, last): (i32, i64),
    ) -> Result<Summary> {
        self.may_take_runs().await?;
        let _asking = self.inner.replays.ask(caller.org)?;
        let most = self.inner.config.replays_last;
        if !(1..=i64::from(most)).contains(&last) {
            let refused = Error::unprocessable("So many runs are not replayed at once.");
            return Err(refused.field("/last", format!("must be 1 to {most}")));
        }
        let agents = &self.inner.agents;
        let candidate = agents.resolve(caller, agent, By::Version(version)).await?;
        if candidate.is_deleted {
            return Err(Error::not_found("agent or version"));
        }
        let stable = By::Channel(Channel::Stable);
        let stable = agents.resolve(caller, agent, stable).await?;
        let pre = self.inner.imports.pre(agents, candidate.digest).await?;
        let of = (caller.org, stable.agent, stable.version);
        let runs = store::newest_ended(&self.inner.db, of, last).await?;
        if runs.is_empty() {
            return Err(NO_RUNS.because(format!(
                "No run of version {} of `{agent}`, which is stable, has ended among the agent's newest {}: replay once some have, or one run by its id: POST …/agents/{agent}/runs/RUN/replay {{\"version\": {version}}}.",
                stable.version, store::LOOKED_AT
            )));
        }
        let until = Instant::now() + Duration::from_millis(self.inner.config.replays_wall_ms);
        let on = (&candidate, &pre, &stable);
        let replays = runs.into_iter().map(|run| async move {
            let came = self.came(caller, (agent, run), on, until).await;
            (run, came)
        });
        let at_once = self.inner.config.replays_at_once.max(1) as usize;
        let mut replays = stream::iter(replays).buffered(at_once);
        let start = Summary::new(agent, candidate.version, stable.version);
        let mut noted = Noted::new(self, caller, start);
        while let Some((run, came)) = replays.next().await {
            noted.add(run, came);
        }
        noted.finish().await
    }

    /// What came of one.
    async fn came(
        &self,
        caller: &Caller,
        which: (&str, RunId),
        on: (&Resolved, &AgentPre<Guest>, &Resolved),
        until: Instant,
    ) -> Came {
        match timeout_at(until, self.report_of(caller, which, on)).await {
            Err(_) => Came::Not("There was no time left for it.".to_owned()),
            Ok(Ok(report)) => came(report),
            Ok(Err(why)) => Came::Not(why),
        }
    }

    /// The report of one; else why there is none.
    async fn report_of(
        &self,
        caller: &Caller,
        (agent, run): (&str, RunId),
        (candidate, pre, stable): (&Resolved, &AgentPre<Guest>, &Resolved),
    ) -> Result<Report, String> {
        let host = |error| why_not(run, error, FAULT);
        // A host that stops meanwhile takes up none of those that are left.
        self.may_take_runs().await.map_err(host)?;
        let _turn = self.turn_and_place(caller.org).await.map_err(host)?;
        let found = self.recorded(caller, agent, run).await;
        let found = found.map_err(|error| why_not(run, error, UNREADABLE))?;
        let report = self.replay_one(&found, (candidate, pre), &stable.guardrails);
        report.await.map_err(host)
    }

    async fn recorded(&self, caller: &Caller, agent: &str, run: RunId) -> Result<Arc<Found>> {
        let view = self.get(caller, agent, run).await?;
        Ok(Arc::new(self.find_ended(caller, view).await?))
    }

    /// A turn among all that replay many runs, and a place like a run's. Whoever waits for a place has no turn meanwhile; the
    /// place that came is kept while the turn is waited for, since a busy organization has no other soon, but not for long.
    async fn turn_and_place(&self, org: OrgId) -> Result<(SemaphorePermit<'_>, Place)> {
        let given = self.inner.limits.effective(org, None).await?;
        let places = given.each.concurrent_runs.value;
        loop {
            let turn = self.inner.replays.turn().await?;
            match self.inner.admission.admit(org, places)? {
                Admitted::Now(place) => return Ok((turn, place)),
                Admitted::Later(queued) => {
                    drop(turn);
                    let place = queued.place().await?;
                    if let Ok(turn) = timeout(TURN_WAIT, self.inner.replays.turn()).await {
                        return Ok((turn?, place));
                    }
                }
            }
        }
    }
}

/// Why a run was not compared. What may not be shown is in the log.
fn why_not(run: RunId, error: Error, fault: &str) -> String {
    if error.is(QUEUE_FULL) {
        return NO_PLACE.to_owned();
    }
    if error.code.status < 500 || error.is(UNAVAILABLE) {
        return error.detail;
    }
    tracing::warn!(%run, %error, cause = error.chain(), "a run could not be replayed");
    fault.to_owned()
}

/// A report of what is not as it was recorded, or that had no time, compares nothing.
fn came(report: Report) -> Came {
    match &report.beyond {
        Some(beyond) if matches!(beyond.there, There::Altered | There::TimeUp) => {
            let why = beyond.why.strip_prefix("diverged: ");
            Came::Not(why.unwrap_or(&beyond.why).to_owned())
        }
        _ => Came::Compared(Box::new(report)),
    }
}
