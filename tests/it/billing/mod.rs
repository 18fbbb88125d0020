//! Usage, what it costs, and how much of it an organization may: the rows against the provider's own count, sums that
//! lose nothing while they are added up, months to the microsecond, and caps that admit exactly what they say.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod caps;
mod ledger;
mod months;
mod refused;
pub(crate) mod stripe;

use bulkhead::billing::tiers::{Cap, Dimension, Tiers};
use bulkhead::kit::OrgId;
use bulkhead_tests::provider::{Answer, Provider};
use bulkhead_tests::{Client, TestHost};
use serde_json::{Value, json};

use crate::guests;

/// A host with an agent that does what it is told.
async fn journey(host: &TestHost) -> Client {
    host.deploy("acme", "journey", &guests::JOURNEY).await;
    host.client("acme").await
}

/// A provider behind `default`, that says two words to whatever it is asked.
async fn provider(client: &Client) -> Provider {
    let provider = Provider::start().await;
    provider.always(|_| Answer::text("two words"));
    connect(client, &provider, "default", "m").await;
    provider
}

async fn connect(client: &Client, provider: &Provider, name: &str, model: &str) {
    let connection = json!({
        "kind": "openai", "base_url": provider.base_url(), "api_key": "sk-test", "default_model": model
    });
    let put = client
        .put(&format!("/model-connections/{name}"), &connection)
        .await;
    assert!(put.status.is_success(), "{}", put.text);
}

fn input(instructions: &str) -> Value {
    json!({ "input": instructions })
}

async fn org_of(host: &TestHost, slug: &str) -> OrgId {
    let found = host.host().app.identity.find_organization(slug).await;
    found.unwrap().unwrap()
}

fn cap(dimension: Dimension, cap: i128, hard: bool) -> Cap {
    Cap {
        dimension,
        cap,
        hard,
        warn_percent: 80,
    }
}

/// Gives the organization a tier of its own with these caps, on every host at once.
async fn capped(hosts: &[&TestHost], slug: &str, caps: &[Cap]) {
    let host = hosts[0];
    let tiers = Tiers::new(host.db().clone(), host.clock().clone());
    let org = org_of(host, slug).await;
    let tier = format!("of-{slug}");
    tiers.put(&tier, caps).await.unwrap();
    tiers.give(org, &tier).await.unwrap();
    for host in hosts {
        host.host().app.billing.forget_plans();
    }
}

async fn usage(client: &Client, query: &str) -> Value {
    let answer = client.get(&format!("/usage{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

async fn count(host: &TestHost, what: &str) -> i64 {
    let query = format!("select count(*) from {what}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(query))
        .fetch_one(host.db())
        .await
        .unwrap()
}

/// Somebody listens: what is announced is kept from here on.
async fn listens(host: &TestHost, slug: &str) {
    sqlx::query(
        "insert into webhook_endpoints (org_id, id, url, description, events, signature, secret_sealed, created_at,
           created_by, updated_at)
         select id, gen_random_uuid(), 'https://x.example', '', array['usage.cap_reached'], 'standard', 'x', now(),
           gen_random_uuid(), now()
         from organizations where slug = $1",
    )
    .bind(slug)
    .execute(host.db())
    .await
    .unwrap();
}

/// What was announced of caps, oldest first.
async fn announced(host: &TestHost) -> Vec<(String, Value)> {
    sqlx::query_as("select topic, data::jsonb from outbox where topic like 'usage.%' order by topic, data::text")
        .fetch_all(host.db())
        .await
        .unwrap()
}
