//! What runs used, what that costs, and how much of it an organization may: the token meter, the ledger with its sums,
//! tiers and caps, prices, and the payment provider. Runs ask before they begin and before each generation, and write
//! the rows in the transaction that ends them.

pub mod caps;
mod config;
pub mod http;
mod jobs;
pub mod meter;
pub mod period;
pub mod prices;
pub mod stripe;
pub mod tiers;
pub mod usage;

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use sqlx::{PgConnection, PgPool};

use crate::kit::commit::Writer;
use crate::kit::egress::Egress;
use crate::kit::{Base, Clock, Ids, OrgId, Result};

pub use caps::{Gate, Held};
pub use config::{Config, Provider};
pub use meter::{Generation, Meter, Tokens};
pub use prices::{Money, Prices};
pub use usage::{Bill, UsageRecord, find};

use tiers::Plan;

/// The room's handle.
#[derive(Clone, Debug)]
pub struct Billing {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    db: PgPool,
    clock: Clock,
    ids: Ids,
    egress: Egress,
    prices: Prices,
    config: Config,
    /// What another node was told is seen within half a second.
    plans: Cache<OrgId, Arc<Plan>>,
    claims: Writer<caps::Claim>,
}

/// Writes what many runs used, in the transaction that ends them.
pub async fn insert_usage(tx: &mut PgConnection, bills: &[&Bill]) -> Result<()> {
    if bills.is_empty() {
        return Ok(());
    }
    usage::insert(tx, bills).await
}

impl Billing {
    /// The database must be migrated. Refuses a configuration that cannot be used, by its key.
    pub fn new(base: &Base, egress: Egress, config: Config) -> Result<Self, String> {
        let prices = Prices::read(&config)?;
        stripe::check(&config)?;
        let Base { db, clock, ids, tasks, .. } = base.clone();
        let claims = caps::writer(&db, &tasks, &ids);
        let plans = Cache::builder().max_capacity(10_000).time_to_live(Duration::from_millis(500));
        Ok(Self {
            inner: Arc::new(Inner { db, clock, ids, egress, prices, config, plans: plans.build(), claims }),
        })
    }

    /// What generations and runs cost.
    pub fn prices(&self) -> &Prices {
        &self.inner.prices
    }
}
