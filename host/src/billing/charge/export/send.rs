//! One row: that it is attempted is written before it is sent, and what came of it after. A host that dies in between
//! leaves a row of unknown outcome, which is sent again under its identifier while the provider knows that, and told to
//! a person afterwards.

use super::super::customers::store as queues;
use super::super::provider::{Outcome, Report};
use super::super::reconcile::Reason;
use super::Window;
use super::store::{self, Attempt, Verdict};
use crate::billing::Billing;
use crate::kit::Result;

impl Billing {
    /// What must not be sent any more is told to a person.
    pub(super) async fn to_reconciliation(&self, window: &Window) -> Result<()> {
        let unknown = Reason::OutcomeUnknown.as_str();
        let old = Reason::TooOld.as_str();
        for (id, reason) in store::expire(&self.inner.db, window, (unknown, old)).await? {
            tracing::warn!(row = %id, reason, "usage was not reported; `bulkhead usage reconcile` lists it");
            count(&reason);
        }
        Ok(())
    }

    /// Sends the next row of a leased organization. `None` where there is none, or the lease is lost.
    pub(super) async fn send_next(&self, queue: &queues::Leased) -> Result<Option<Outcome<()>>> {
        let inner = &self.inner;
        let window = self.window();
        let until = window.now + inner.config.export_lease();
        let begun = store::begin(&inner.db, (queue.org, queue.lease, until), &window).await?;
        let Some(attempt) = begun else {
            return Ok(None);
        };
        let report = Report {
            id: attempt.id,
            customer: attempt.customer.clone(),
            meter: attempt.meter.clone(),
            value: attempt.value,
            at: attempt.at,
            key: format!("{}-{}", attempt.id, attempt.failed_answers),
        };
        let outcome = inner.provider.report(&report).await;
        let verdict = judge(&attempt, &outcome);
        let now = inner.clock.now();
        if store::settle(&inner.db, (queue.org, &attempt), (&verdict, now)).await? {
            count(verdict.outcome());
        }
        Ok(Some(match verdict {
            // The row is dealt with: the next one may go.
            Verdict::Exported(_) | Verdict::Reconcile(..) => Outcome::Done(()),
            Verdict::Waiting(_) | Verdict::Attempted { .. } => outcome,
        }))
    }
}

fn judge(attempt: &Attempt, outcome: &Outcome<()>) -> Verdict {
    let refused = |said: &str| Verdict::Reconcile(Reason::Refused.as_str(), said.to_owned());
    match outcome {
        Outcome::Done(()) => Verdict::Exported(String::new()),
        // It arrived before, and its answer did not.
        Outcome::Again if attempt.number > 1 => {
            Verdict::Exported("it has this identifier already".to_owned())
        }
        Outcome::Again => refused("it has this identifier already, and it was never sent"),
        // It refuses this attempt; what became of the one before, nobody knows.
        Outcome::Refused(said) if attempt.tried => {
            Verdict::Reconcile(Reason::OutcomeUnknown.as_str(), said.clone())
        }
        Outcome::Refused(said) => refused(said),
        Outcome::Later { said, .. } if attempt.tried => Verdict::Attempted {
            said: said.clone(),
            answered: false,
        },
        Outcome::Later { said, .. } => Verdict::Waiting(said.clone()),
        Outcome::Unknown { said, answered } => Verdict::Attempted {
            said: said.clone(),
            answered: *answered,
        },
    }
}

fn count(outcome: &str) {
    metrics::counter!("bulkhead_billing_rows_total", "outcome" => outcome.to_owned()).increment(1);
}
