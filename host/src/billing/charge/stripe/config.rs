//! What Stripe is told and asked with. The secrets come from the environment:
//! `BULKHEAD__BILLING__STRIPE__SECRET_KEY` and `BULKHEAD__BILLING__STRIPE__WEBHOOK_SECRET`.

use std::collections::BTreeMap;

use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::kit::Secret;

/// The limits and names of the payment provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where its API is.
    pub api_base: String,
    /// What the API is asked with, and what its webhooks are signed with.
    #[serde(skip_serializing)]
    pub secret_key: Option<Secret>,
    #[serde(skip_serializing)]
    pub webhook_secret: Option<Secret>,
    /// Which meter each of `runs`, `input_tokens`, `output_tokens` is reported to, by its event name.
    pub meters: BTreeMap<String, String>,
    /// Which tier a subscription to a price gives.
    pub tiers: BTreeMap<String, String>,
    /// How old the signature of a webhook may be.
    pub tolerance_s: u64,
    /// How long a request may take before its outcome is unknown.
    pub timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            api_base: "https://api.stripe.com".into(),
            secret_key: None,
            webhook_secret: None,
            meters: BTreeMap::new(),
            tiers: BTreeMap::new(),
            tolerance_s: 300,
            timeout_ms: 10_000,
        }
    }
}

/// What can be reported.
const METERS: [&str; 3] = ["runs", "input_tokens", "output_tokens"];
/// What Stripe takes as the name of an event.
const EVENT_NAME_MAX: usize = 100;

/// Refuses what can be no meter, whoever charges.
pub(in crate::billing::charge) fn check_meters(config: &Config) -> Result<(), String> {
    for (meter, event) in &config.meters {
        if !METERS.contains(&meter.as_str()) {
            let known = METERS.join("`, `");
            return Err(format!(
                "`billing.stripe.meters.{meter:.40}` is no meter: there is `{known}`."
            ));
        }
        if event.is_empty() || event.len() > EVENT_NAME_MAX {
            return Err(format!(
                "`billing.stripe.meters.{meter}` is the event name of a meter: 1 to {EVENT_NAME_MAX} characters."
            ));
        }
    }
    Ok(())
}

impl Config {
    /// Where to ask and with which key, or what has to be said first.
    pub(super) fn checked(&self) -> Result<(Url, Secret), String> {
        let key = self.secret_key.clone().ok_or(
            "`billing.provider` is `stripe`, and there is no key: set BULKHEAD__BILLING__STRIPE__SECRET_KEY.",
        )?;
        let wrong = || {
            format!(
                "`billing.stripe.api_base` is `{:.80}`: write an https URL without a path, such as https://api.stripe.com.",
                self.api_base
            )
        };
        let base = Url::parse(&self.api_base).map_err(|_| wrong())?;
        // The key goes there: in the clear only to this machine itself.
        let here =
            ["localhost", "127.0.0.1", "[::1]"].contains(&base.host_str().unwrap_or_default());
        let safe = base.scheme() == "https" || (base.scheme() == "http" && here);
        if !safe
            || base.path() != "/"
            || base.query().is_some()
            || base.has_authority() && !base.username().is_empty()
        {
            return Err(wrong());
        }
        Ok((base, key))
    }
}
