//! The audit log: its chain, its rows, its routes, and what an export proves.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod chain;
mod export;
mod lists;
mod mutations;
mod program;
mod refusals;
mod rewritten;

use bulkhead::kit::OrgId;
use bulkhead::ledger::audit::{Action, Actor, Entry, Target, record};
use bulkhead_tests::{Client, TestHost};
use serde_json::Value;
use time::OffsetDateTime;

/// The organization's id, made where there is none.
async fn org(host: &TestHost, slug: &str) -> OrgId {
    host.client(slug).await;
    let identity = &host.host().app.identity;
    identity.find_organization(slug).await.unwrap().unwrap()
}

fn entry(org: OrgId, at: OffsetDateTime, what: impl ToString) -> Entry {
    let target = Target::new("thing", what);
    Entry::new(org, at, Actor::operator(), Action::LimitsSet, target)
}

/// Appends rows as a room would.
async fn append(host: &TestHost, entries: &[Entry]) {
    let mut tx = host.db().begin().await.unwrap();
    record(&mut tx, entries)
        .await
        .unwrap_or_else(|error| panic!("{error:?}"));
    tx.commit().await.unwrap();
}

/// The rows of a list, newest first.
async fn listed(client: &Client, query: &str) -> Vec<Value> {
    let answer = client.get(&format!("/audit/{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    answer.json()["data"].as_array().unwrap().clone()
}

/// A key of these scopes.
pub(crate) async fn key(client: &Client, scopes: &[&str]) -> (Client, String) {
    let body = serde_json::json!({ "name": "another", "scopes": scopes });
    let made = client.post("/keys", &body).await.json();
    let key = client.with_key(made["secret"].as_str().unwrap());
    (key, made["id"].as_str().unwrap().to_owned())
}

async fn sql(host: &TestHost, statement: &'static str) -> u64 {
    let done = sqlx::query(statement).execute(host.db()).await;
    done.unwrap_or_else(|error| panic!("{statement}: {error}"))
        .rows_affected()
}
