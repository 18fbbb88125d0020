//! What time does: adding up usage, giving back what runs hold that never began, and reporting to the payment provider.

use std::time::Duration;

use super::{Billing, caps};
use crate::kit::Result;
use crate::kit::jobs::Job;

impl Billing {
    /// Every job of the room.
    pub fn jobs(&self) -> Vec<Job> {
        let (folds, releases, exports) = (self.clone(), self.clone(), self.clone());
        let every = Duration::from_millis(self.inner.config.fold_ms.max(10));
        let export_every = Duration::from_millis(self.inner.config.export_ms.max(10));
        vec![
            Job::new("billing.fold", every, move || {
                let billing = folds.clone();
                async move { billing.fold().await }
            }),
            Job::new("billing.release", Duration::from_secs(30), move || {
                let billing = releases.clone();
                async move { billing.release().await }
            }),
            Job::new("billing.export", export_every, move || {
                let billing = exports.clone();
                async move { billing.export().await }
            }),
        ]
    }

    /// Gives back what was held for runs that never began, or that a host of before ended.
    pub async fn release(&self) -> Result<()> {
        let inner = &self.inner;
        let before = inner.clock.now() - Duration::from_millis(inner.config.hold_ms);
        let stale = caps::store::stale(&inner.db, before).await?;
        for month in stale {
            let mut tx = inner.db.begin().await?;
            caps::store::lock_months(&mut tx, &[month]).await?;
            caps::store::release(&mut tx, month, before).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}
