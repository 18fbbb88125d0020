//! The job that reports: organizations whose turn it is are leased, a few at a time, so that no two hosts send one row
//! at once and none that fails holds up the others. All waiting is rows and the injected clock.

mod send;
mod store;
mod turn;

use futures_util::{StreamExt as _, stream};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::customers::store as queues;
use crate::billing::Billing;
use crate::kit::Result;

/// The provider knows an identifier for a day; an hour of it is for clocks and slow requests.
const SENT_AGAIN_FOR: Duration = Duration::hours(23);
/// What the provider takes: no older, and no later than this.
const OLDEST: Duration = Duration::days(35);
const LATEST: Duration = Duration::minutes(5);
/// Organizations that are leased together, and how many of them are reported for at one time.
const LEASED: i64 = 64;
const AT_ONE_TIME: usize = 8;

/// What may be sent at an instant.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) now: OffsetDateTime,
    /// A row that was first attempted then or earlier is not sent again.
    pub(super) attempted_after: OffsetDateTime,
    /// A row of then or earlier is not taken any more; one of later than `until` is not taken yet.
    pub(super) after: OffsetDateTime,
    pub(super) until: OffsetDateTime,
    pub(super) meters: Vec<String>,
}

impl Billing {
    fn window(&self) -> Window {
        let now = self.inner.clock.now();
        Window {
            now,
            attempted_after: now - SENT_AGAIN_FOR,
            after: now - OLDEST,
            until: now + LATEST,
            meters: self.inner.provider.meters(),
        }
    }

    /// Reports what is not reported yet, as far as nobody else is at it.
    pub async fn export(&self) -> Result<()> {
        let inner = &self.inner;
        let window = self.window();
        if window.meters.is_empty() {
            return Ok(());
        }
        queues::enroll(&inner.db).await?;
        self.make_rows(&window.meters).await?;
        self.to_reconciliation(&window).await?;
        while !inner.tasks.shutdown().is_cancelled() {
            let (lease, window): (Uuid, _) = (inner.ids.next(), self.window());
            let until = window.now + inner.config.export_lease();
            let leased = queues::lease(&inner.db, LEASED, (lease, until), &window).await?;
            if leased.is_empty() {
                break;
            }
            let turns = stream::iter(leased).map(|queue| self.turn(queue));
            let turns = turns.buffer_unordered(AT_ONE_TIME);
            if turns.fold(false, async |any, away| any | away).await {
                break;
            }
        }
        Ok(())
    }
}
