//! The job that adds up: the rows that are in no sum yet, a few thousand at a time, each batch in one transaction with
//! what its sums say of caps.

use super::sums::store::{complete_steps, fold, take_turn};
use crate::billing::Billing;
use crate::kit::Result;

impl Billing {
    /// Adds up everything that waits, unless another node is at it.
    pub async fn fold(&self) -> Result<()> {
        let most = self.inner.config.fold_runs.max(1);
        loop {
            let mut tx = self.inner.db.begin().await?;
            if !take_turn(&mut tx).await? {
                return Ok(());
            }
            complete_steps(&mut tx, most).await?;
            let (taken, months) = fold(&mut tx, most).await?;
            self.mark(&mut tx, &months).await?;
            tx.commit().await?;
            if taken < most {
                return Ok(());
            }
        }
    }
}
