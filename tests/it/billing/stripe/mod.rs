//! Charging through Stripe, against a server that enforces what Stripe documents and misbehaves on order: each row is
//! exported once, what nobody knows is told and not guessed, and a subscription decides the tier once.

mod customers;
mod exported;
mod lost;
mod refused;
mod subscriptions;
mod unknown;

use std::time::Duration;

use bulkhead::billing::charge::{Charging, Reconciled, Reconciliation};
use bulkhead::config::Config;
use bulkhead::kit::Secret;
use bulkhead_tests::stripe::{How, KEY, Stripe};
use bulkhead_tests::{Client, TestHost};
use sha2::{Digest as _, Sha256};
use sqlx::AssertSqlSafe;

use super::{count, input, journey, org_of, provider, usage};

pub(crate) const SECRET: &str = "whsec_of_the_test_7c21";

/// Charges through `stripe`, for runs and input tokens.
pub(crate) fn charge(config: &mut Config, url: &str) {
    config.billing.provider = Charging::Stripe;
    let to = &mut config.billing.stripe;
    to.api_base = url.to_owned();
    to.secret_key = Some(Secret::new(KEY));
    to.webhook_secret = Some(Secret::new(SECRET));
    for meter in ["runs", "input_tokens"] {
        to.meters
            .insert(meter.to_owned(), format!("bulkhead_{meter}"));
    }
    to.tiers.insert("price_pro".to_owned(), "pro".to_owned());
    to.tiers
        .insert("price_gone".to_owned(), "no-such-tier".to_owned());
}

/// A host that charges, and whom it charges through.
async fn charging() -> (Box<TestHost>, Stripe, Client) {
    charging_within(1_000).await
}

/// The same, where requests may take so long.
async fn charging_within(timeout_ms: u64) -> (Box<TestHost>, Stripe, Client) {
    let stripe = Stripe::start().await;
    let url = stripe.url.clone();
    let host = TestHost::start_with(move |config| {
        charge(config, &url);
        config.billing.stripe.timeout_ms = timeout_ms;
    })
    .await;
    stripe.at(host.clock());
    let client = journey(&host).await;
    (Box::new(host), stripe, client)
}

/// A host with a row of which nobody knows whether it arrived, and its id.
pub(crate) async fn with_an_unknown() -> (Box<TestHost>, Stripe, String) {
    let (host, stripe, client) = charging().await;
    reports(&host).await;
    uses(&client).await;
    stripe.order(&[How::DoAndReset]);
    reports(&host).await;
    host.clock().advance(Duration::from_secs(24 * 3_600));
    reports(&host).await;
    let row = to_reconcile(&host).await[0].id.to_string();
    (host, stripe, row)
}

/// Adds up and reports, and lets a minute pass.
async fn reports(host: &TestHost) {
    let billing = &host.host().app.billing;
    billing.fold().await.unwrap();
    billing.export().await.unwrap();
    host.clock().advance(Duration::from_secs(60));
}

/// What was charged of a meter.
fn told(stripe: &Stripe, meter: &str) -> i64 {
    let metered = stripe.metered().into_iter();
    let of_meter = metered.filter(|event| event.event == format!("bulkhead_{meter}"));
    of_meter.map(|event| event.value).sum()
}

/// Runs once, for one row of runs.
async fn uses(client: &Client) {
    client.run("journey", &input("say a")).await;
}

async fn to_reconcile(host: &TestHost) -> Vec<Reconciled> {
    let room = Reconciliation::new(host.db().clone(), host.clock().clone());
    room.all(100).await.unwrap()
}

async fn do_sql(host: &TestHost, sql: &str) {
    sqlx::query(AssertSqlSafe(sql.to_owned()))
        .execute(host.db())
        .await
        .unwrap();
}

/// The header Stripe signs an event with, by HMAC as RFC 2104 writes it.
pub(crate) fn signature(secret: &str, at: i64, body: &str) -> String {
    format!("t={at},v1={}", hmac(secret, &format!("{at}.{body}")))
}

fn hmac(secret: &str, text: &str) -> String {
    let mut key = [0_u8; 64];
    key[..secret.len()].copy_from_slice(secret.as_bytes());
    let pad = |with: u8| key.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text);
    let outer = Sha256::new()
        .chain_update(pad(0x5c))
        .chain_update(inner.finalize());
    let bytes = outer.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
