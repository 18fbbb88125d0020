//! Stripe behind the trait: forms over HTTPS to its API, and its signed webhooks. Nothing here tries again.

mod client;
mod config;
mod event;
pub mod signature;

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use time::OffsetDateTime;

use super::provider::{Newcomer, Outcome, Provider, Report, Told};
use crate::kit::egress::Egress;
use crate::kit::error::NOT_FOUND;
use crate::kit::{OrgId, Result, Secret};

pub use config::Config;
pub(super) use config::check_meters;
pub use signature::BAD_SIGNATURE;

/// Stripe as it is configured.
#[derive(Debug)]
pub(super) struct Stripe {
    client: client::Client,
    meters: BTreeMap<String, String>,
    tiers: BTreeMap<String, String>,
    webhook_secret: Option<Secret>,
    tolerance_s: u64,
}

impl Stripe {
    pub(super) fn new(egress: Egress, config: &Config) -> Result<Self, String> {
        let (base, key) = config.checked()?;
        Ok(Self {
            client: client::Client::new(egress, (base, key), config.timeout_ms),
            meters: config.meters.clone(),
            tiers: config.tiers.clone(),
            webhook_secret: config.webhook_secret.clone(),
            tolerance_s: config.tolerance_s,
        })
    }
}

impl Provider for Stripe {
    fn meters(&self) -> Vec<String> {
        self.meters.keys().cloned().collect()
    }

    fn report<'a>(&'a self, report: &'a Report) -> BoxFuture<'a, Outcome<()>> {
        Box::pin(self.meter_event(report))
    }

    fn make_customer<'a>(&'a self, newcomer: &'a Newcomer) -> BoxFuture<'a, Outcome<String>> {
        Box::pin(self.create_customer(newcomer))
    }

    fn find_customer(&self, org: OrgId) -> BoxFuture<'_, Outcome<Option<String>>> {
        Box::pin(self.search_customer(org))
    }

    fn hear(&self, signature: &str, body: &[u8], now: OffsetDateTime) -> Result<Told> {
        let secret = self.webhook_secret.as_ref().ok_or_else(|| {
            NOT_FOUND.because("This host hears nothing: set `billing.stripe.webhook_secret`.")
        })?;
        let now = now.unix_timestamp();
        signature::check(secret, (signature, body), (now, self.tolerance_s))?;
        event::read(body, &self.tiers)
    }
}
