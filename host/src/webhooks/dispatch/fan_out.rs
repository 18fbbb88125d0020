//! Fan-out: an event in the outbox becomes a delivery for each endpoint that is told of it. One transaction marks the
//! event and makes its deliveries, so each is made exactly once however many nodes do this.

use super::store;
use crate::kit::Result;
use crate::webhooks::Webhooks;

/// Events in one transaction.
const TOGETHER: i64 = 500;

impl Webhooks {
    /// Until the outbox holds nothing new.
    pub(super) async fn fan_out(&self) -> Result<()> {
        while !self.tasks.shutdown().is_cancelled() {
            let now = self.clock.now();
            let mut tx = self.db.begin().await?;
            let (events, endpoints) = store::fan_out(&mut *tx, now, TOGETHER).await?;
            if !endpoints.is_empty() {
                store::wake(&mut *tx, &endpoints, now).await?;
            }
            tx.commit().await?;
            if events < TOGETHER {
                break;
            }
        }
        Ok(())
    }
}
