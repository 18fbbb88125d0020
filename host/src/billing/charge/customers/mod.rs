//! Organizations as customers of the provider: each is made once. Who was asked for and not heard of is asked for under
//! the same key, and looked for before it is asked for under another. A customer is also the queue of its
//! organization's rows, which one host at a time has under a lease.

pub(in crate::billing) mod store;

use time::{Duration, OffsetDateTime};

use super::provider::{Newcomer, Outcome};
use crate::billing::Billing;
use crate::kit::Result;

/// A customer that was asked for so long ago is looked for first: by then a search finds it, and what was answered
/// under its key may be a failure that is answered for a day.
const LOOKED_FOR_AFTER: Duration = Duration::minutes(15);

impl Billing {
    /// Makes the customer of a leased organization. `None` is that it has one.
    pub(super) async fn make_customer(&self, queue: &store::Leased) -> Result<Option<Outcome<()>>> {
        if queue.has_customer {
            return Ok(None);
        }
        let inner = &self.inner;
        let now = inner.clock.now();
        let mut given_up = queue.given_up;
        if queue.asked_at.is_some_and(|at| is_looked_for(at, now)) {
            match inner.provider.find_customer(queue.org).await {
                Outcome::Done(Some(found)) => {
                    store::put(&inner.db, queue.org, &found).await?;
                    return Ok(None);
                }
                Outcome::Done(None) => {
                    given_up += 1;
                    store::give_up(&inner.db, queue.org, given_up).await?;
                }
                other => return Ok(Some(without_answer(other))),
            }
        }
        // Whoever comes after knows that it may be there.
        store::asking(&inner.db, queue.org, now).await?;
        let newcomer = Newcomer {
            org: queue.org,
            slug: queue.slug.clone(),
            key: format!("bulkhead-customer-{}-{given_up}", queue.org),
        };
        match inner.provider.make_customer(&newcomer).await {
            Outcome::Done(made) => {
                store::put(&inner.db, queue.org, &made).await?;
                Ok(None)
            }
            other => Ok(Some(without_answer(other))),
        }
    }
}

fn is_looked_for(asked_at: OffsetDateTime, now: OffsetDateTime) -> bool {
    now - asked_at >= LOOKED_FOR_AFTER
}

fn without_answer<T>(outcome: Outcome<T>) -> Outcome<()> {
    match outcome {
        Outcome::Done(_) => Outcome::Done(()),
        Outcome::Again => Outcome::Again,
        Outcome::Refused(said) => Outcome::Refused(said),
        Outcome::Later { said, after, away } => Outcome::Later { said, after, away },
        Outcome::Unknown { said, answered } => Outcome::Unknown { said, answered },
    }
}
