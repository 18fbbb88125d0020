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
pub(super) use config::{check_meters, check_timeout};
pub use signature::BAD_SIGNATURE;

/// Stripe as it is configured.
#[derive(Debug)]
pub(super) struct Stripe {
    client: client::Client,
    meters: BTreeMap<String, String>,
    tiers: BTreeMap<String, String>,
    /// Whose signatures are taken.
    signers: Vec<Secret>,
    tolerance_s: u64,
}

impl Stripe {
    pub(super) fn new(egress: Egress, config: &Config) -> Result<Self, String> {
        let (base, key) = config.checked()?;
        Ok(Self {
            client: client::Client::new(egress, (base, key), config.timeout_ms),
            meters: config.meters.clone(),
            tiers: config.tiers.clone(),
            signers: [&config.webhook_secret, &config.thin_webhook_secret]
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
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
        let within = (now.unix_timestamp(), self.tolerance_s);
        let mut checked =
            Err(NOT_FOUND.because("This host hears nothing: set `billing.stripe.webhook_secret`."));
        for secret in &self.signers {
            checked = signature::check(secret, (signature, body), within);
            if checked.is_ok() {
                break;
            }
        }
        checked?;
        event::read(body, &self.tiers)
    }
}
