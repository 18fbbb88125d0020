//! Settling by hand: the operator looked at the provider's own count, and says what is so.

use serde_json::json;
use sqlx::PgPool;
use time::Duration;

use super::super::BillingRowId;
use super::{Reconciled, store};
use crate::kit::error::CONFLICT;
use crate::kit::{Clock, Error, Result};
use crate::ledger::audit::{Action, Actor, Entry, Target, record};

/// What the provider takes, as long as it takes the operator to say so.
const OLDEST: Duration = Duration::days(35);

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettleAs {
    /// It arrived, or is charged in another way.
    Exported,
    /// It did not arrive, and is sent again.
    Again,
}

impl SettleAs {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exported => "exported",
            Self::Again => "again",
        }
    }
}

/// The operator's hand on what waits for a person.
#[derive(Clone, Debug)]
pub struct Reconciliation {
    db: PgPool,
    clock: Clock,
}

impl Reconciliation {
    pub fn new(db: PgPool, clock: Clock) -> Self {
        Self { db, clock }
    }

    /// Every organization's, oldest first, at most so many.
    pub async fn all(&self, limit: i64) -> Result<Vec<Reconciled>> {
        store::all(&self.db, limit).await
    }

    /// Settles one row that waits for a person.
    pub async fn settle(&self, id: BillingRowId, settle_as: SettleAs) -> Result<()> {
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let row = store::lock(&mut tx, id)
            .await?
            .ok_or_else(|| Error::not_found("row"))?;
        if row.state != "reconcile" {
            let state = row.state;
            return Err(CONFLICT.because(format!(
                "{id} waits for nobody: it is {state}. `bulkhead usage reconcile` lists what does."
            )));
        }
        if settle_as == SettleAs::Again && now - row.at >= OLDEST {
            return Err(Error::unprocessable(format!(
                "{id} is older than the 35 days that the provider takes: charge for it in another way, and settle it \
                 as `exported`."
            )));
        }
        match settle_as {
            SettleAs::Exported => store::settle_exported(&mut tx, id, now).await?,
            SettleAs::Again => store::send_again(&mut tx, id).await?,
        }
        let settled = Target::new("billing_row", id);
        let settled = Entry::new(
            row.org,
            now,
            Actor::operator(),
            Action::BillingRowSettled,
            settled,
        );
        let detail = json!({
            "as": settle_as.as_str(), "reason": row.reason, "meter": row.meter, "value": row.value
        });
        record(&mut tx, &[settled.detail(&detail)]).await?;
        tx.commit().await?;
        Ok(())
    }
}
