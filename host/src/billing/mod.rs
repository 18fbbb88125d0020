//! What runs used, what that costs, who is charged for it, and how much of it an organization may: the token meter, the
//! rows of usage with their sums, tiers and caps, prices, and the payment provider. Runs ask before they begin and before each generation, and write
//! the rows in the transaction that ends them.

pub mod caps;
pub mod charge;
mod config;
mod handle;
pub mod http;
mod jobs;
pub mod meter;
pub mod period;
pub mod prices;
pub mod tiers;
pub mod usage;

use sqlx::PgConnection;

use crate::kit::Result;

pub use caps::{Gate, Held};
pub use config::Config;
pub use handle::Billing;
pub use meter::{Generation, Meter, Tokens};
pub use prices::{Money, Prices};
pub use usage::{Bill, UsageRecord, find};

/// Writes what many runs used, in the transaction that ends them.
pub async fn insert_usage(tx: &mut PgConnection, bills: &[&Bill]) -> Result<()> {
    if bills.is_empty() {
        return Ok(());
    }
    usage::insert(tx, bills).await
}
