//! What time does to runs: this node's heartbeat, cancels that were not announced, and the runs of nodes that died.
//! A run whose host died gets its terminal state here, with everything it had shown kept.

use std::sync::Arc;
use std::time::Duration;

use super::store;
use crate::kit::Result;
use crate::kit::jobs::Job;
use crate::models::guest::recorded_tokens;
use crate::runs::log::change::End;
use crate::runs::log::event::Done;
use crate::runs::log::record::Key;
use crate::runs::log::{Change, Event, Live, StopCause, last_event, output_so_far};
use crate::runs::store::usage_record;
use crate::runs::{Receipt, RunId, Runs, Usage};

const HEARTBEAT: Duration = Duration::from_secs(5);
const CANCEL_POLL: Duration = Duration::from_millis(500);
const RECOVERY: Duration = Duration::from_secs(5);
const CLAIM_MAX: i64 = 100;

impl Runs {
    /// The room's recurring work.
    pub fn jobs(&self) -> Vec<Job> {
        let (beat, cancel, recover) = (self.clone(), self.clone(), self.clone());
        vec![
            Job::new("runs.heartbeat", HEARTBEAT, move || {
                let runs = beat.clone();
                async move { runs.beat().await }
            }),
            Job::new("runs.cancels", CANCEL_POLL, move || {
                let runs = cancel.clone();
                async move { runs.observe_cancels().await }
            }),
            Job::new("runs.recover", RECOVERY, move || {
                let runs = recover.clone();
                async move { runs.recover().await }
            }),
        ]
    }

    async fn observe_cancels(&self) -> Result<()> {
        for (run, at) in store::cancels_of(&self.inner.db, self.inner.node).await? {
            if let Some(live) = self.inner.live.get(run) {
                live.stop(StopCause::Cancelled, at);
            }
        }
        Ok(())
    }

    /// Ends the runs of nodes that are dead.
    pub async fn recover(&self) -> Result<()> {
        let dead_after = i64::try_from(self.inner.config.dead_after_ms).unwrap_or(i64::MAX);
        loop {
            let lost = self.lost().await?;
            let mut tx = self.inner.db.begin().await?;
            let orphans =
                store::claim_orphans(&mut tx, (self.inner.node, &lost), dead_after, CLAIM_MAX)
                    .await?;
            tx.commit().await?;
            for orphan in &orphans {
                self.end_orphan(orphan).await?;
            }
            if orphans.len() < usize::try_from(CLAIM_MAX).unwrap_or(usize::MAX) {
                return Ok(());
            }
        }
    }

    /// Runs this node owns and does not run: their end could not be written. Asked for in this order: a run is in
    /// the registry before its row is in the table, and leaves it after its end is.
    async fn lost(&self) -> Result<Vec<RunId>> {
        let mut open = store::open_of(&self.inner.db, self.inner.node).await?;
        open.retain(|run| self.inner.live.get(*run).is_none());
        Ok(open)
    }

    async fn end_orphan(&self, orphan: &store::Orphan) -> Result<()> {
        let (org, run) = (orphan.row.org, orphan.row.run);
        let db = &self.inner.db;
        let now = self.inner.clock.now();
        let seq = last_event(db, org, run.0).await? + 1;
        let usage = self.orphan_usage(orphan, now).await?;
        let cancelled = orphan.cancel_requested_at.is_some();
        let (state, stop_reason) = if cancelled {
            ("cancelled", "cancelled")
        } else {
            ("failed", "host_error")
        };
        let fault = (!cancelled).then(
            || serde_json::json!({ "blame": "host", "message": "the host that ran it died" }),
        );
        let receipt = Receipt {
            requested_at: orphan.cancel_requested_at,
            observed_at: Some(now),
            stopped_at: None,
            place: "host".to_owned(),
            fuel: usage.fuel,
            memory_peak_bytes: 0,
            usage,
            in_flight: Vec::new(),
        };
        let done = Event::Done(Box::new(Done {
            state,
            stop_reason: stop_reason.to_owned(),
            fault: fault.clone(),
            usage,
            receipt: receipt.clone(),
        }));
        let end = End {
            state,
            stop_reason: stop_reason.to_owned(),
            output: output_so_far(db, org, run).await?,
            fault: fault.map(|fault| fault.to_string()),
            receipt: serde_json::to_string(&receipt)?,
            guest_log: None,
            events: vec![done.store(seq, now)?],
            at: now,
            closing: true,
            usage: usage_record(&orphan.row, usage, now),
        };
        let key = Key {
            org,
            run,
            term: orphan.term,
        };
        let change = Change::End {
            key,
            live: Live::new(run),
            end: Box::new(end),
        };
        self.inner
            .writer
            .push(run.0.as_u128(), change)
            .await?
            .wait()
            .await?;
        tracing::warn!(%run, state, "a run whose host died was ended");
        metrics::counter!("bulkhead_runs_recovered_total").increment(1);
        Ok(())
    }

    /// What the journal knows; what the run used after its last step died with its host, so it is an estimate.
    async fn orphan_usage(
        &self,
        orphan: &store::Orphan,
        now: time::OffsetDateTime,
    ) -> Result<Usage> {
        let (fuel, generations) =
            store::known_usage(&self.inner.db, orphan.row.org, orphan.row.run).await?;
        let (mut input_tokens, mut output_tokens) = (0, 0);
        for generation in &generations {
            let tokens = recorded_tokens(generation);
            input_tokens += i64::try_from(tokens.input).unwrap_or(0);
            output_tokens += i64::try_from(tokens.output).unwrap_or(0);
        }
        let wall_ms =
            i64::try_from((now - orphan.row.created_at).whole_milliseconds()).unwrap_or(i64::MAX);
        Ok(Usage {
            input_tokens,
            output_tokens,
            estimated: true,
            fuel,
            wall_ms,
            ..Usage::default()
        })
    }

    /// Stops what is left and says goodbye: nothing of this node is alive afterwards.
    pub async fn leave(&self, grace: Duration) -> Result<()> {
        let deadline = tokio::time::Instant::now() + grace;
        for live in self.inner.live.all() {
            if tokio::time::timeout_at(deadline, live.ended())
                .await
                .is_err()
            {
                break;
            }
        }
        let left: Vec<Arc<Live>> = self.inner.live.all();
        let now = self.inner.clock.now();
        left.iter()
            .for_each(|live| live.stop(StopCause::Shutdown, now));
        for live in left {
            // A run whose end cannot be written is another node's to recover.
            let _ = tokio::time::timeout(Duration::from_secs(5), live.ended()).await;
        }
        store::leave(&self.inner.db, self.inner.node).await
    }
}
