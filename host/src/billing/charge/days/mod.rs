//! What is to be reported: where a day's sums grew, what they say beyond the rows that are there becomes rows. Sums and
//! rows are compared under the lock of the day, so whatever ends in between, each unit stands in one row.

mod store;

use time::{Duration, OffsetDateTime, Time};

use super::BillingRowId;
use crate::billing::Billing;
use crate::kit::Result;

/// Days that one transaction looks at.
const DAYS: i64 = 500;

impl Billing {
    /// Makes rows of what was used since the last time.
    pub(super) async fn make_rows(&self, meters: &[String]) -> Result<()> {
        let inner = &self.inner;
        let now = inner.clock.now();
        let since = store::since(&inner.db, now.date()).await?;
        store::skip_before(&inner.db, since).await?;
        loop {
            let mut tx = inner.db.begin().await?;
            let days = store::take_waiting(&mut tx, DAYS).await?;
            let ids = || inner.ids.next::<BillingRowId>();
            let looked: Vec<store::Looked> = days
                .into_iter()
                .map(|(org, day)| store::Looked {
                    org,
                    day,
                    at: used_at(day, now),
                    ids: [ids(), ids(), ids()],
                })
                .collect();
            if !looked.is_empty() {
                store::make(&mut tx, &looked, meters).await?;
            }
            tx.commit().await?;
            if looked.len() < usize::try_from(DAYS).unwrap_or(usize::MAX) {
                return Ok(());
            }
        }
    }
}

/// Now, or the last second of a day that is over.
fn used_at(day: time::Date, now: OffsetDateTime) -> OffsetDateTime {
    let next = OffsetDateTime::new_utc(day.next_day().unwrap_or(day), Time::MIDNIGHT);
    now.min(next - Duration::SECOND)
}
