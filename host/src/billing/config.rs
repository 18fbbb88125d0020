//! What the operator says of tiers, prices and the payment provider.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::charge::{Charging, stripe};
use super::prices::Row;

/// The limits and prices of this room.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The tier of organizations that were given none.
    pub default_tier: String,
    /// What amounts of money are in: they are never converted.
    pub currency: String,
    /// By model, or by connection and model as `connection/model`, which goes first.
    pub prices: BTreeMap<String, Row>,
    /// What each run costs besides its generations, and a million units of fuel.
    pub price_per_run: String,
    pub price_per_million_fuel: String,
    /// How often new usage is added to the sums, and how many runs at a time.
    pub fold_ms: u64,
    pub fold_runs: i64,
    /// What a run holds of a cap and never began is given back after so long.
    pub hold_ms: u64,
    /// Who charges for usage.
    pub provider: Charging,
    pub stripe: stripe::Config,
    /// How often usage is reported, and how long a host that is silent keeps what it reports.
    pub export_ms: u64,
    pub export_lease_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            default_tier: "enterprise".into(),
            currency: "usd".into(),
            prices: BTreeMap::new(),
            price_per_run: "0".into(),
            price_per_million_fuel: "0".into(),
            fold_ms: 2_000,
            fold_runs: 5_000,
            hold_ms: 120_000,
            provider: Charging::None,
            stripe: stripe::Config::default(),
            export_ms: 60_000,
            export_lease_ms: 120_000,
        }
    }
}

impl Config {
    pub(super) fn export_lease(&self) -> Duration {
        Duration::from_millis(self.export_lease_ms)
    }
}
