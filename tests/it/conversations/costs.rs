//! What a memory costs whoever ends runs, and that nothing of it is lost or shown where a later run knows less than the one
//! that wrote it.

use bulkhead::invariants::check;
use bulkhead_tests::client::text;
use bulkhead_tests::host::eventually;
use bulkhead_tests::{Client, TestHost};
use serde_json::json;

use super::ask;
use crate::guests::JOURNEY;

const AGENT: &str = "journey";

async fn memory(client: &Client, conversation: &str) -> serde_json::Value {
    let path = format!("/agents/{AGENT}/conversations/{conversation}/memory");
    let memory = client.get(&path).await;
    assert_eq!(memory.status, 200, "{}", memory.text);
    memory.json()["entries"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_sets_so_much_in_sum_whatever_it_overwrites() {
    let host = TestHost::start_with(|config| config.conversations.memory_set_bytes = 30_000).await;
    host.deploy("acme", AGENT, &JOURNEY).await;
    let client = host.client("acme").await;
    let conversation = client.converse(AGENT).await;
    // 9,009 bytes each time, in the place of those before.
    let told = "fill 1 9000\nfill 1 9000\nfill 1 9000\nfill 1 9000\nforget key-00000\nfill 1 9000\nremember a 1";
    let said = ask(&client, AGENT, &conversation, told).await;
    let refused = "0: the memory is full: A run sets at most 30000 bytes of keys and values in sum: set less often. ";
    assert_eq!(said, format!("{refused}gone {refused}"));
    let kept = memory(&client, &conversation).await;
    assert_eq!(
        (kept[0]["key"].as_str(), kept[1].is_null()),
        (Some("a"), true)
    );
    // The next run may set as much again.
    let said = ask(&client, AGENT, &conversation, "fill 1 9000\nkeys ").await;
    assert_eq!(said, "[a key-00000] ");
    assert_eq!(check(host.db()).await.unwrap(), []);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_overwritten_is_not_sorted_with_its_values() {
    let host =
        TestHost::start_with(|config| config.conversations.memory_set_bytes = 64 << 20).await;
    host.deploy("acme", AGENT, &JOURNEY).await;
    let client = host.client("acme").await;
    let conversation = client.converse(AGENT).await;
    // 18 MB, of which 240 KB stay: more than a sort holds in memory.
    let told = "fill 4 60000\n".repeat(75);
    assert_eq!(ask(&client, AGENT, &conversation, &told).await, "");
    eventually("what the writer did is counted", async || {
        let rows: i64 = sqlx::query_scalar(
            "select n_tup_ins from pg_stat_user_tables where relname = 'conversation_memory'",
        )
        .fetch_one(host.db())
        .await
        .unwrap();
        rows >= 4
    })
    .await;
    let spilled: i64 = sqlx::query_scalar(
        "select temp_bytes from pg_stat_database where datname = current_database()",
    )
    .fetch_one(host.db())
    .await
    .unwrap();
    assert_eq!(spilled, 0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_of_a_later_version_show_no_more_than_the_memory() {
    let host = TestHost::start().await;
    crate::guardrails::guarded(&host, AGENT, &JOURNEY, &["pii.redact=output"]).await;
    let client = host.client("acme").await;
    let conversation = client.converse(AGENT).await;
    ask(
        &client,
        AGENT,
        &conversation,
        "remember jane@example.com x\nremember mail jane@example.com",
    )
    .await;
    // From now on nothing is declared.
    sqlx::query("update agent_versions set manifest = jsonb_set(manifest, '{guardrails}', '[]')")
        .execute(host.db())
        .await
        .unwrap();
    let other = host.join().await;
    let there = client.at(&other.url());
    let told =
        "keys \nrecall mail\nrecall jane@example.com\nremember mail joe@example.com\nrecall mail";
    let body = json!({ "input": told, "conversation_id": conversation });
    let events = there.run(AGENT, &body).await;
    // The agent itself works with what is there.
    assert!(text(&events).starts_with("[jane@example.com mail] mail=jane@example.com "));
    let run = events[0].data["run"].as_str().unwrap();
    let steps = there
        .get(&format!("/agents/{AGENT}/runs/{run}/steps"))
        .await;
    assert!(!steps.text.contains("jane@example.com"), "{}", steps.text);
    let steps = steps.json();
    let ok = |n: usize| steps["data"][n]["response"]["ok"].clone();
    assert_eq!(ok(0), json!(["[email]", "mail"]));
    assert_eq!(ok(1), "[email]");
    assert_eq!(steps["data"][2]["request"]["key"], "[email]");
    // What it wrote itself is shown by its own rules.
    assert_eq!(ok(4), "joe@example.com");
    crate::replay::is_the_same(&there, AGENT, run).await;
    other.stop().await;
    host.stop().await;
}
