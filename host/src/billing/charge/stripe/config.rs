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
    /// What a second destination signs with: Stripe sends thin events, which tell of refused usage, to one of their own.
    #[serde(skip_serializing)]
    pub thin_webhook_secret: Option<Secret>,
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
            thin_webhook_secret: None,
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
/// What a signing secret of Stripe's begins with, and the shortest that is taken: an empty one is everybody's.
const SIGNING_PREFIX: &str = "whsec_";
const SIGNING_BYTES_MIN: usize = 16;

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

/// A request must be over, and its outcome written, long before another host may ask the same.
pub(in crate::billing::charge) fn check_timeout(
    config: &Config,
    export_lease_ms: u64,
) -> Result<(), String> {
    let timeout_ms = config.timeout_ms;
    if timeout_ms >= export_lease_ms.div_ceil(2) {
        return Err(format!(
            "`billing.stripe.timeout_ms` is {timeout_ms}: it must be less than half of `billing.export_lease_ms`, which is {export_lease_ms}."
        ));
    }
    Ok(())
}

fn check_signing(name: &str, secret: Option<&Secret>) -> Result<(), String> {
    let is_good = |secret: &Secret| {
        let text = secret.expose();
        text.len() >= SIGNING_BYTES_MIN && text.starts_with(SIGNING_PREFIX)
    };
    if secret.is_none_or(is_good) {
        return Ok(());
    }
    Err(format!(
        "`billing.stripe.{name}` is no signing secret: set BULKHEAD__BILLING__STRIPE__{} to the endpoint's at Stripe, which begins with `{SIGNING_PREFIX}` and has at least {SIGNING_BYTES_MIN} characters, or leave the variable out.",
        name.to_uppercase()
    ))
}

impl Config {
    /// Where to ask and with which key, or what has to be said first.
    pub(super) fn checked(&self) -> Result<(Url, Secret), String> {
        // A variable that a compose file does not set comes as an empty one.
        let key = self.secret_key.clone();
        let key = key.filter(|key| !key.expose().trim().is_empty()).ok_or(
            "`billing.provider` is `stripe`, and `billing.stripe.secret_key` is missing or empty: set BULKHEAD__BILLING__STRIPE__SECRET_KEY.",
        )?;
        check_signing("webhook_secret", self.webhook_secret.as_ref())?;
        check_signing("thin_webhook_secret", self.thin_webhook_secret.as_ref())?;
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
