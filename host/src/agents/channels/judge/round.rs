//! The round of the judge: on every node, each canary by one of them at a time. A canary beyond its thresholds is ended, with
//! the figures that decided, if the channels are still where they were when those were taken.

use std::time::Duration;

use serde_json::json;

use super::{Verdict, store};
use crate::agents::channels::moves::{Move, Mover};
use crate::agents::channels::pointers::To;
use crate::agents::channels::{Channel, store as channels};
use crate::agents::{AgentId, Agents};
use crate::kit::error::CONFLICT;
use crate::kit::jobs::Job;
use crate::kit::{OrgId, Result};

/// Canaries that one round takes at a time.
const ROUND_MAX: usize = 100;

impl Agents {
    /// The job that judges.
    pub(in crate::agents) fn judging(&self) -> Job {
        let agents = self.clone();
        let every = Duration::from_millis(self.config.judge_ms.max(1));
        Job::new("agents.judge", every, move || {
            let agents = agents.clone();
            async move { agents.judge().await }
        })
    }

    /// Looks at every canary that nobody looked at for a period.
    pub async fn judge(&self) -> Result<()> {
        let now = self.clock.now();
        let before = now - Duration::from_millis(self.config.judge_ms);
        loop {
            let limit = i64::try_from(ROUND_MAX).unwrap_or(i64::MAX);
            let due = store::claim(&self.db, (now, before), limit).await?;
            let all = due.len() < ROUND_MAX;
            for (org, agent, name) in due {
                let done = self.judge_one((org, agent), &name).await;
                if let Err(error) = done {
                    tracing::warn!(%org, agent = name, %error, cause = error.chain(), "a canary could not be judged; it is looked at again");
                }
            }
            if all {
                return Ok(());
            }
        }
    }

    async fn judge_one(&self, which: (OrgId, AgentId), name: &str) -> Result<()> {
        let Some(seen) = channels::find(&self.db, which).await? else {
            return Ok(());
        };
        let (Some((version, _)), Some(watch)) = (seen.canary, seen.watch) else {
            return Ok(());
        };
        let judged = self.judged(which, (&seen, version, &watch)).await?;
        if judged.verdict != Verdict::Beyond {
            return Ok(());
        }
        let reason = format!("{}.", judged.passed.join("; "));
        let figures = json!({ "judge": watch.thresholds, "judged": judged });
        let step = Move {
            to: To::Back(Channel::Canary),
            // Whoever talks to it is better off with the stable one.
            repin: true,
            approved: &[],
            against: None,
        };
        let mover = Mover::Host {
            org: which.0,
            seen: &seen,
            reason: &reason,
            figures: &figures,
        };
        match self.move_channel(mover, (which.1, name), &step).await {
            Ok(_) => {
                metrics::counter!("bulkhead_canaries_ended_total").increment(1);
                tracing::warn!(org = %which.0, agent = name, version, reason, "a canary was ended for its figures");
                Ok(())
            }
            // Somebody moved the channels in this moment: what was seen says nothing of where they are now.
            Err(error) if error.is(CONFLICT) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
