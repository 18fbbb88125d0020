//! A version that asks for more than the stable one is not promoted before that is approved, each by its name.

use std::time::Duration;

use bulkhead_tests::TestHost;
use serde_json::{Value, json};

use super::{channels, variant, verb};
use crate::guests::{ECHO, GENERATE, WARDEN};

async fn diff(client: &bulkhead_tests::Client, agent: &str, number: i64) -> Value {
    let path = format!("/agents/{agent}/versions/{number}/diff");
    client.get(&path).await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_asks_for_more_needs_it_approved_by_name() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    client.upload("agent", &ECHO.bytes()).await;
    // Nothing is stable: there is nothing to compare with.
    assert_eq!(
        diff(&client, "agent", 1).await,
        json!({"more": [], "less": []})
    );
    assert_eq!(
        verb(&client, "agent", "promote", json!({"version": 1}))
            .await
            .status,
        200
    );
    client.upload("agent", &GENERATE.bytes()).await;
    let asked = diff(&client, "agent", 2).await;
    let more = asked["more"].as_array().unwrap().clone();
    assert!(more.contains(&json!("import:model")), "{asked}");
    for (word, body) in [
        ("promote", json!({"version": 2})),
        ("canary", json!({"version": 2, "weight": 0.1})),
        (
            "promote",
            json!({"version": 2, "approve_capabilities": more[1..]}),
        ),
        (
            "promote",
            json!({"version": 2, "approve_capabilities": ["import:*", "model"]}),
        ),
    ] {
        let refused = verb(&client, "agent", word, body.clone()).await;
        assert_eq!(
            refused.refusal(),
            (409, "capabilities_not_approved".to_owned()),
            "{body}"
        );
        let left = refused.json()["approve"].as_array().unwrap().clone();
        assert!(left.iter().all(|name| more.contains(name)), "{left:?}");
        assert!(
            left.iter()
                .all(|name| refused.text.contains(name.as_str().unwrap()))
        );
    }
    let put = client
        .put("/agents/agent/channels/stable", &json!({"version": 2}))
        .await;
    assert_eq!(put.refusal(), (409, "capabilities_not_approved".to_owned()));
    assert_eq!(channels(&client, "agent").await.0, json!(1));
    host.clock().advance(Duration::from_secs(1));
    let body = json!({"version": 2, "approve_capabilities": more});
    assert_eq!(
        verb(&client, "agent", "promote", body.clone()).await.status,
        200
    );
    host.clock().advance(Duration::from_secs(1));
    // The same again is nothing more, and going back needs nobody.
    assert_eq!(verb(&client, "agent", "promote", body).await.status, 200);
    assert_eq!(diff(&client, "agent", 1).await["less"], asked["more"]);
    assert_eq!(
        verb(&client, "agent", "rollback", json!({})).await.status,
        200
    );
    let row = &client
        .get("/agents/agent/channels/history?limit=3")
        .await
        .json()["data"][2];
    assert_eq!(row["approved"], asked["more"]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn larger_limits_and_dropped_guardrails_are_more() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    client.deploy("agent", &ECHO.bytes()).await;
    client.upload("agent", &variant(&ECHO.bytes(), 2)).await;
    let limits = json!({"fuel": 1_000_000_000, "handles": 100});
    let set = client.put("/agents/agent/versions/1/limits", &limits).await;
    assert_eq!(set.status, 200, "{}", set.text);
    let wider = diff(&client, "agent", 2).await;
    assert_eq!(wider["more"], json!(["limit:fuel", "limit:handles"]));
    let refused = verb(&client, "agent", "promote", json!({"version": 2})).await;
    assert_eq!(
        refused.refusal(),
        (409, "capabilities_not_approved".to_owned())
    );
    client.put("/agents/agent/versions/2/limits", &limits).await;
    assert_eq!(
        verb(&client, "agent", "promote", json!({"version": 2}))
            .await
            .status,
        200
    );

    client.deploy("warden", &WARDEN.bytes()).await;
    let shown = client.get("/agents/warden/versions/1").await.json();
    let declared: Vec<String> = shown["manifest"]["guardrails"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| format!("without:{}", rule.as_str().unwrap()))
        .collect();
    assert!(!declared.is_empty());
    client.upload("warden", &ECHO.bytes()).await;
    let more = diff(&client, "warden", 2).await["more"].clone();
    for rule in &declared {
        assert!(more.as_array().unwrap().contains(&json!(rule)), "{more}");
    }
    let refused = verb(&client, "warden", "promote", json!({"version": 2})).await;
    assert_eq!(
        refused.refusal(),
        (409, "capabilities_not_approved".to_owned())
    );
    host.stop().await;
}
