//! The last runs of the stable version on a candidate: what promoting it would change. A few runs at a time on a host, whoever
//! asks, each in a place like a run's; dropping the request's future stops them all. What there was no time for, or does not
//! fit what was recorded, is not compared, and why is told.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::report::There;
use super::summary::Came;
use super::{NO_RUNS, Report, Summary, store};
use crate::agents::Resolved;
use crate::agents::channels::{By, Channel};
use crate::identity::Caller;
use crate::kit::error::UNAVAILABLE;
use crate::kit::{Error, OrgId, Result};
use crate::ledger::audit::{Action, Target, record};
use crate::runs::imports::Guest;
use crate::runs::start::{Admitted, Place, QUEUE_FULL};
use crate::runs::{RunId, Runs};
use crate::sandbox::AgentPre;

impl Runs {
    /// Replays the newest runs of the stable version that have ended on another version of the agent.
    pub async fn replay_last(
        &self,
        caller: &Caller,
        agent: &str,
        (version, last): (i32, i64),
    ) -> Result<Summary> {
        self.may_take_runs().await?;
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
                "No run of version {} of `{agent}`, which is stable, has ended yet: replay once some have.",
                stable.version
            )));
        }
        let until = Instant::now() + Duration::from_millis(self.inner.config.replays_wall_ms);
        let on = (&candidate, &pre);
        let replays = runs.into_iter().map(|run| async move {
            let came = self.came(caller, (agent, run), on, until).await?;
            Ok::<_, Error>((run, came))
        });
        let at_once = self.inner.config.replays_at_once.max(1) as usize;
        let replays = stream::iter(replays).buffered(at_once);
        let start = Summary::new(agent, candidate.version, stable.version);
        let summary = replays
            .try_fold(start, |mut summary, (run, came)| async move {
                summary.add(run, came);
                Ok(summary)
            })
            .await?;
        self.note(caller, &summary).await?;
        Ok(summary)
    }

    /// What came of one. Only a host that has no place for it ends the whole.
    async fn came(
        &self,
        caller: &Caller,
        (agent, run): (&str, RunId),
        on: (&Resolved, &AgentPre<Guest>),
        until: Instant,
    ) -> Result<Came> {
        let replay = async {
            let _turn = self.turn_and_place(caller.org).await?;
            let view = self.get(caller, agent, run).await?;
            let found = Arc::new(self.find_ended(caller, view).await?);
            self.replay_one(&found, on).await
        };
        match timeout_at(until, replay).await {
            Err(_) => Ok(Came::Not("There was no time left for it.".to_owned())),
            Ok(Ok(report)) => Ok(came(report)),
            Ok(Err(full)) if full.is(QUEUE_FULL) || full.is(UNAVAILABLE) => Err(full),
            Ok(Err(error)) if error.code.status >= 500 => {
                tracing::warn!(%run, %error, cause = error.chain(), "a run could not be replayed");
                Ok(Came::Not(
                    "What is kept of it cannot be read; the host's log has the cause.".to_owned(),
                ))
            }
            Ok(Err(error)) => Ok(Came::Not(error.detail)),
        }
    }

    /// A turn among all that replay many runs, and a place like a run's. Whoever waits for a place has no turn meanwhile, and
    /// whoever waits for a turn has no place: neither runs nor others' replays wait for this one.
    async fn turn_and_place(&self, org: OrgId) -> Result<(SemaphorePermit<'_>, Place)> {
        let given = self.inner.limits.effective(org, None).await?;
        let places = given.each.concurrent_runs.value;
        loop {
            let turn = self.inner.replays.acquire().await;
            let turn = turn.map_err(Error::internal)?;
            match self.inner.admission.admit(org, places)? {
                Admitted::Now(place) => return Ok((turn, place)),
                Admitted::Later(queued) => {
                    drop(turn);
                    drop(queued.place().await?);
                }
            }
        }
    }

    async fn note(&self, caller: &Caller, summary: &Summary) -> Result<()> {
        let target = format!("{}/{}", summary.agent, summary.version);
        let target = Target::new("agent_version", target);
        let detail = json!({
            "stable": summary.stable,
            "runs": summary.runs,
            "same": summary.same,
            "alike": summary.alike,
            "differ": summary.differ,
            "not_compared": summary.not_compared.len(),
        });
        let mut tx = self.inner.db.begin().await?;
        let did = caller.did(Action::AgentVersionReplayed, target);
        record(&mut tx, &[did.detail(&detail)]).await?;
        Ok(tx.commit().await?)
    }
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
