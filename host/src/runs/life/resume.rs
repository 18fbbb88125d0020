//! Going on with a run that this node has claimed: its journal and its events are read back, and it is executed anew
//! from them. What it did is answered from the journal, what it said is not said again.

use std::sync::Arc;

use serde::Deserialize;

use super::execute::{QUEUED, Work};
use super::{execute, past};
use crate::billing::Held;
use crate::guardrails::Guard;
use crate::kit::{Error, Result, error};
use crate::limits::Effective;
use crate::models::guest::recorded_tokens;
use crate::runs::journal::{Past, remember};
use crate::runs::log::{Live, StopCause, all_events};
use crate::runs::nodes::Claimed;
use crate::runs::start::{Admitted, Message};
use crate::runs::{Runs, Usage};

#[derive(Deserialize)]
struct Input {
    messages: Vec<Message>,
}

impl Runs {
    /// Goes on with a claimed run, in a task of its own.
    pub(in crate::runs) fn resume(&self, claimed: Claimed) {
        let live = Live::new(claimed.row.run);
        self.inner.live.insert(&live);
        if let Some(at) = claimed.cancel_requested_at {
            live.stop(StopCause::Cancelled, at);
        }
        let admitted = Admitted::Later(self.inner.admission.seat(claimed.row.org));
        let runs = self.clone();
        self.inner
            .tasks
            .spawn(async move { runs.live_again(claimed, live, admitted).await });
    }

    async fn live_again(&self, claimed: Claimed, live: Arc<Live>, admitted: Admitted) {
        let run = claimed.row.run;
        let deadly = claimed.deaths > self.inner.config.deaths_max;
        // A set that is gone is an error of its own; until it is told, the host's binds.
        let (limits, known) = match self.inner.limits.of(claimed.row.limits).await {
            Ok(limits) => (limits, Ok(())),
            Err(error) => (self.inner.limits.hosts(), Err(error)),
        };
        let mut work = self.bare(claimed, &live, limits);
        let remembered = match known {
            Ok(()) => self.remember(&mut work).await,
            Err(error) => Err(error),
        };
        match remembered {
            Ok(()) if deadly => {
                let why = "the hosts that ran it died one after the other";
                tracing::error!(%run, why, "a run is not resumed");
                self.finish(&work, execute::Ended::Refused(why.to_owned()), None)
                    .await;
            }
            Ok(()) => {
                tracing::info!(%run, term = work.record.key.term, steps = work.past.steps.len(), "a run goes on");
                metrics::counter!("bulkhead_runs_resumed_total").increment(1);
                return self.execute(work, admitted).await;
            }
            // The recovery job finds a run that its node does not run.
            Err(error) if error.is(error::UNAVAILABLE) => {
                tracing::warn!(%run, cause = error.chain(), "a run could not be read back; trying again");
            }
            Err(error) => self.finish(&work, execute::Ended::Lost(error), None).await,
        }
        self.inner.live.remove(&live);
        live.release();
    }

    fn bare(&self, claimed: Claimed, live: &Arc<Live>, limits: Arc<Effective>) -> Work {
        let guard = Guard::new(Arc::clone(&claimed.resolved.guardrails));
        let record = self.record(claimed.key(), live, &[], &guard);
        let bound = (claimed.resolved, limits);
        let mut work = Work::new(claimed.row, bound, Vec::new(), record);
        work.span = self.goes_on(&work.row, &work.resolved.name);
        // Its node may have held something for it.
        let (org, run) = (work.row.org, work.row.run.0);
        work.gate = self.inner.billing.gate(org, run, Held::APart);
        if let Some(used) = claimed.suspended_usage {
            // It is this program's own writing; what is unknown counts as nothing.
            work.used = serde_json::from_str(&used).unwrap_or_default();
        }
        work.waits = if claimed.was_suspended {
            "sleep"
        } else {
            QUEUED
        };
        work
    }

    /// Reads back what earlier lives of the run left.
    async fn remember(&self, work: &mut Work) -> Result<()> {
        let (db, org, run) = (&self.inner.db, work.row.org, work.row.run);
        let said = all_events(db, org, run).await?;
        let guard = Guard::new(Arc::clone(&work.resolved.guardrails));
        work.record = self.record(work.record.key, &work.record.live, &said, &guard);
        let input: Input = serde_json::from_str(&work.row.input).map_err(Error::internal)?;
        work.messages = input.messages;
        let (past, fuel) = past(db, org, run).await?;
        remember(&work.tokens, &past);
        work.past = past;
        let known = known_usage(&work.past, fuel);
        if known.fuel > work.used.fuel {
            work.used = known;
        }
        Ok(())
    }
}

/// What a run is known to have used from its journal alone: what it used after its last step died with its host.
fn known_usage(past: &Past, fuel: i64) -> Usage {
    let generations = past
        .steps
        .values()
        .filter(|step| step.kind == "model.generate");
    let tokens = generations.map(|step| recorded_tokens(&step.response));
    let lost = past.effects.values().map(|effect| effect.lost);
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let mut usage = Usage {
        fuel,
        estimated: true,
        ..Usage::default()
    };
    for tokens in tokens.chain(lost) {
        usage.input_tokens += number(tokens.input);
        usage.output_tokens += number(tokens.output);
    }
    usage
}
