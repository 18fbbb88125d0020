//! Refusals: every one of a privileged route by a proven key, bounded where they come in floods.

use std::time::Duration;

use bulkhead_tests::TestHost;
use serde_json::{Value, json};

use super::{key, listed};

fn refused(row: &Value) -> (&str, &str, &str) {
    (
        row["action"].as_str().unwrap(),
        row["code"].as_str().unwrap(),
        row["target"]["id"].as_str().unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_in_the_log_of_the_keys_organization() {
    let host = TestHost::start().await;
    let (acme, globex) = (host.client("acme").await, host.client("globex").await);
    let (reader, id) = key(&acme, &["read"]).await;
    let refusals = [
        (reader.put("/limits", &json!({ "fuel": 1 })).await, 403),
        (acme.put("/limits", &json!({ "fuel": 0 })).await, 422),
        (acme.delete("/knowledge/entries/x").await, 404),
        (globex.delete("/v1/orgs/acme/keys/x").await, 404),
        (globex.get("/v1/orgs/acme/agents").await, 404),
        // Neither privileged nor foreign: a reader that looks for what is not there.
        (reader.get("/agents/none").await, 404),
        (acme.with_key("bh_x").get("/agents").await, 401),
    ];
    for (answer, status) in &refusals {
        assert_eq!(answer.status, *status, "{}", answer.text);
    }
    let rows = listed(&acme, "actions?status=refused").await;
    let said: Vec<_> = rows.iter().map(refused).collect();
    assert_eq!(
        said,
        [
            (
                "knowledge_entry.deleted",
                "not_found",
                "/v1/orgs/acme/knowledge/entries/x"
            ),
            ("limits.set", "limit_refused", "/v1/orgs/acme/limits"),
            ("limits.set", "forbidden", "/v1/orgs/acme/limits"),
        ]
    );
    assert_eq!(rows[2]["actor"], json!({ "kind": "key", "id": id }));
    assert_eq!(rows[2]["ip"], "127.0.0.1");
    assert_eq!(rows[2]["detail"], json!({ "method": "PUT", "status": 403 }));
    let theirs = listed(&globex, "actions?status=refused").await;
    let said: Vec<_> = theirs.iter().map(refused).collect();
    assert_eq!(
        said,
        [
            ("request.refused", "not_found", "/v1/orgs/acme/agents"),
            ("api_key.revoked", "not_found", "/v1/orgs/acme/keys/x"),
        ]
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_under_an_idempotency_key_is_refused_in_the_log_too() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    for (name, status) in [("a", 201), ("b", 422)] {
        let request = client
            .request(reqwest::Method::POST, "/keys")
            .header("idempotency-key", "k")
            .json(&json!({ "name": name, "scopes": ["read"] }));
        let answer = bulkhead_tests::client::send(request).await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
    let rows = listed(&client, "actions?status=refused").await;
    let said: Vec<_> = rows.iter().map(refused).collect();
    assert_eq!(
        said,
        [(
            "api_key.created",
            "idempotency_mismatch",
            "/v1/orgs/acme/keys"
        )]
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_one_key_is_counted_and_leaves_others_their_rows() {
    let host = TestHost::start_with(|config| config.audit.refusals_per_minute = 3).await;
    let client = host.client("acme").await;
    let (reader, id) = key(&client, &["read"]).await;
    for _ in 0..10 {
        assert_eq!(reader.put("/limits", &json!({})).await.status, 403);
    }
    let (other, _) = key(&client, &["run"]).await;
    assert_eq!(other.put("/limits", &json!({})).await.status, 403);
    let rows = async || listed(&client, "actions?status=refused").await;
    assert_eq!(rows().await.len(), 4);
    // The minute is not over.
    host.run_jobs().await;
    assert_eq!(rows().await.len(), 4);
    host.clock().advance(Duration::from_secs(60));
    host.run_jobs().await;
    let counted = rows().await;
    assert_eq!(counted.len(), 5);
    assert_eq!(counted[0]["action"], "request.refusals_counted");
    assert_eq!(counted[0]["target"], json!({ "kind": "api_key", "id": id }));
    assert_eq!(counted[0]["detail"]["refusals"], 7);
    // The next minute begins anew, and a count is written before it.
    for _ in 0..5 {
        reader.put("/limits", &json!({})).await;
    }
    host.clock().advance(Duration::from_secs(60));
    reader.put("/limits", &json!({})).await;
    let rows = rows().await;
    assert_eq!(rows.len(), 5 + 3 + 1 + 1);
    assert_eq!(rows[1]["detail"]["refusals"], 2);
    host.stop().await;
}
