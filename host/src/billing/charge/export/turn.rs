//! One organization's turn: its customer, then row after row until none is left or one fails. Who fails waits, twice as
//! long each time; the others do not.

use time::Duration;

use super::super::customers::store as queues;
use super::super::provider::Outcome;
use crate::billing::Billing;
use crate::kit::Result;

/// The first pause after a failure, doubled up to the longest.
const PAUSE: Duration = Duration::seconds(30);
const PAUSE_MAX: Duration = Duration::minutes(15);

impl Billing {
    /// Reports for one organization; whether the provider is away for everybody.
    pub(super) async fn turn(&self, queue: queues::Leased) -> bool {
        let org = queue.org;
        let outcome = match self.send_all(&queue).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::warn!(%org, %error, cause = error.chain(), "reporting stopped; it goes on when the lease ends");
                return false;
            }
        };
        let mut away = false;
        let mut wait = pause(queue.failures);
        match &outcome {
            Outcome::Done(()) | Outcome::Again => {}
            Outcome::Later {
                said,
                after,
                away: all,
            } => {
                away = *all;
                let asked = after.and_then(|asked| asked.try_into().ok());
                wait = wait.max(asked.unwrap_or(Duration::ZERO));
                tracing::warn!(%org, said, "the payment provider asks for patience; trying again");
            }
            Outcome::Refused(said) | Outcome::Unknown { said, .. } => {
                tracing::warn!(%org, said, "the payment provider did not do what was asked; trying again");
            }
        }
        let next = match outcome {
            Outcome::Done(()) | Outcome::Again => (0, None),
            _ => (
                queue.failures.saturating_add(1),
                Some(self.inner.clock.now() + wait),
            ),
        };
        if let Err(error) = queues::give_back(&self.inner.db, &queue, next).await {
            tracing::warn!(%org, %error, cause = error.chain(), "an organization was not given back; its lease ends");
        }
        away
    }

    async fn send_all(&self, queue: &queues::Leased) -> Result<Outcome<()>> {
        if let Some(outcome) = self.make_customer(queue).await? {
            return Ok(outcome);
        }
        while !self.inner.tasks.shutdown().is_cancelled() {
            match self.send_next(queue).await? {
                Some(Outcome::Done(())) => {}
                Some(other) => return Ok(other),
                None => break,
            }
        }
        Ok(Outcome::Done(()))
    }
}

fn pause(failures: i32) -> Duration {
    (PAUSE * (1_i32 << failures.clamp(0, 10))).min(PAUSE_MAX)
}
