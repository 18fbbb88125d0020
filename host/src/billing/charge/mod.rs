//! Charging for usage through a payment provider: organizations become customers, what they used is reported row by row,
//! and a subscription decides the tier. Nothing here runs unless `billing.provider` names one. Invariant: what is
//! reported is a row first, each row is exported once, and what nobody knows is told to a person, never guessed.

mod customers;
mod days;
mod export;
mod nobody;
mod provider;
mod reconcile;
pub mod stripe;
mod subscription;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Config;
use crate::id;
use crate::kit::egress::Egress;

pub(in crate::billing) use provider::Provider;
pub use reconcile::{Reason, Reconciled, Reconciliation, SettleAs};
pub use subscription::{UNKNOWN_CUSTOMER, UNKNOWN_PRICE};

id!(
    BillingRowId,
    "bill_",
    "What is reported to the payment provider: its identifier there."
);

/// Who charges for usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Charging {
    #[default]
    None,
    Stripe,
}

/// The provider that the configuration names. Refuses what cannot work, by its key.
pub(in crate::billing) fn provider(
    config: &Config,
    egress: Egress,
) -> Result<Arc<dyn Provider>, String> {
    stripe::check_meters(&config.stripe)?;
    Ok(match config.provider {
        Charging::None => Arc::new(nobody::Nobody),
        Charging::Stripe => {
            stripe::check_timeout(&config.stripe, config.export_lease_ms)?;
            Arc::new(stripe::Stripe::new(egress, &config.stripe)?)
        }
    })
}
