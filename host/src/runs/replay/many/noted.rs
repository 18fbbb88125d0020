//! The figures of many replays as they come, and their row in the audit log: also where the client is gone before the last.

use serde_json::json;

use crate::identity::Caller;
use crate::kit::{Error, Result};
use crate::ledger::audit::{Action, Target, record};
use crate::runs::replay::Summary;
use crate::runs::replay::summary::Came;
use crate::runs::{RunId, Runs};

/// A summary that is not lost.
pub(super) struct Noted {
    runs: Runs,
    caller: Caller,
    /// None once its row is written.
    summary: Option<Summary>,
}

impl Noted {
    pub(super) fn new(runs: &Runs, caller: &Caller, summary: Summary) -> Self {
        Self {
            runs: runs.clone(),
            caller: caller.clone(),
            summary: Some(summary),
        }
    }

    pub(super) fn add(&mut self, run: RunId, came: Came) {
        if let Some(summary) = &mut self.summary {
            summary.add(run, came);
        }
    }

    pub(super) async fn finish(mut self) -> Result<Summary> {
        if let Some(summary) = &self.summary {
            note(&self.runs, &self.caller, (summary, false)).await?;
        }
        let summary = self.summary.take();
        summary.ok_or_else(|| Error::internal("a summary was finished twice"))
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        let Some(summary) = self.summary.take() else {
            return;
        };
        let (runs, caller) = (self.runs.clone(), self.caller.clone());
        let tasks = runs.inner.tasks.clone();
        tasks.spawn(async move {
            if let Err(error) = note(&runs, &caller, (&summary, true)).await {
                tracing::warn!(org = %caller.org, agent = summary.agent, %error, cause = error.chain(), "replays that ended early are not in the audit log");
            }
        });
    }
}

async fn note(
    runs: &Runs,
    caller: &Caller,
    (summary, ended_early): (&Summary, bool),
) -> Result<()> {
    let target = format!("{}/{}", summary.agent, summary.version);
    let target = Target::new("agent_version", target);
    let mut detail = json!({
        "stable": summary.stable,
        "runs": summary.runs,
        "same": summary.same,
        "alike": summary.alike,
        "differ": summary.differ,
        "not_compared": summary.not_compared.len(),
    });
    if ended_early {
        detail["ended_early"] = json!(true);
    }
    let mut tx = runs.inner.db.begin().await?;
    let did = caller.did(Action::AgentVersionReplayed, target);
    record(&mut tx, &[did.detail(&detail)]).await?;
    Ok(tx.commit().await?)
}
