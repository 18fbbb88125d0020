//! Letting go of a run that has not ended: a long wait takes it out of memory, a host that drains hands it over. What
//! it said is durable first; a generation under way is made again by its next life.

use std::sync::Arc;

use time::OffsetDateTime;

use super::execute::Work;
use super::finish::usage;
use super::traced;
use crate::kit::Result;
use crate::runs::Runs;
use crate::runs::log::Change;
use crate::runs::log::change::{FENCED, Leave};

impl Runs {
    pub(super) async fn let_go(&self, work: &Work, wake_at: Option<OffsetDateTime>) {
        let written = self.write_leave(work, wake_at).await;
        let how = match (&written, wake_at) {
            (Ok(()), Some(_)) => "suspended",
            (Ok(()), None) => "handed_over",
            (Err(_), _) => "lost",
        };
        traced::left(work, how);
        match written {
            Ok(()) if wake_at.is_some() => {
                metrics::counter!("bulkhead_runs_suspended_total").increment(1);
            }
            Ok(()) => {
                tracing::info!(run = %work.row.run, "a run was handed over");
                metrics::counter!("bulkhead_runs_handed_over_total").increment(1);
            }
            Err(error) if error.is(FENCED) => {}
            // Its lease runs out with this node's, or its job finds it.
            Err(error) => {
                tracing::error!(run = %work.row.run, %error, cause = error.chain(), "a run was not handed over");
            }
        }
    }

    async fn write_leave(&self, work: &Work, wake_at: Option<OffsetDateTime>) -> Result<()> {
        let now = self.inner.clock.now();
        let leave = Leave {
            events: work.record.leaves(),
            wake_at,
            usage: serde_json::to_string(&usage(work, now))?,
        };
        let change = Change::Leave {
            key: work.record.key,
            live: Arc::clone(&work.record.live),
            leave: Box::new(leave),
        };
        let durable = self
            .inner
            .writer
            .push(work.row.run.0.as_u128(), change)
            .await?;
        durable.wait().await.map(drop)
    }
}
