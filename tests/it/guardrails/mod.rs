//! Guardrails: what they are declared as, where they fire, what is left of a text, and that a run they ended is one like
//! any other.

mod components;
mod declared;
mod ends;
mod entry;
mod judged;
mod sets;
mod shown;
mod streams;
mod vectors;

use bulkhead_tests::guests::Guest;
use bulkhead_tests::provider::Provider;
use bulkhead_tests::{Client, TestHost};
use serde_json::{Value, json};

/// Deploys a guest as an agent that declares these: what the component would declare is put beside it.
pub(crate) async fn guarded(
    host: &TestHost,
    agent: &str,
    guest: &Guest,
    guardrails: &[&str],
) -> Client {
    let client = host.client("acme").await;
    client.upload(agent, &guest.bytes()).await;
    sqlx::query(
        "update agent_versions v set manifest = jsonb_set(manifest, '{guardrails}', $1)
         from agents a where a.org_id = v.org_id and a.id = v.agent_id and a.name = $2",
    )
    .bind(json!(guardrails))
    .bind(agent)
    .execute(host.db())
    .await
    .expect("a version can be changed by hand");
    client.deploy(agent, &guest.bytes()).await;
    client
}

async fn connect(client: &Client, provider: &Provider) {
    let body = json!({ "kind": "openai", "base_url": provider.base_url(), "default_model": "m" });
    let put = client.put("/model-connections/default", &body).await;
    assert!(put.status.is_success(), "{}", put.text);
}

/// What guardrails did to a run, oldest first.
pub(crate) async fn violations(client: &Client, run: &str) -> Vec<Value> {
    let listed = client
        .get(&format!("/guardrails/violations?run={run}"))
        .await
        .json();
    let mut rows = listed["data"].as_array().cloned().unwrap_or_default();
    rows.reverse();
    rows
}

/// The bare id of a run.
fn id(run: &str) -> uuid::Uuid {
    let id = run.strip_prefix("run_").expect("runs have a prefix");
    uuid::Uuid::parse_str(id).expect("ids are UUIDs")
}
