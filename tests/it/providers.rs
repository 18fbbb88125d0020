//! Components that offer tools to others: recognised at upload, asked once, shown, and run by nobody as an agent.

use bulkhead_tests::TestHost;
use bulkhead_tests::raw::provider::{LOOKUP, Offer, Provider};
use bulkhead_tests::raw::{Import, assemble};
use serde_json::json;

use crate::limits::components::refused;

const REFUSED: &str = "component_refused";

#[tokio::test(flavor = "multi_thread")]
async fn what_it_offers_is_stored_with_the_version() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let schema = r#"{"type":"object","properties":{"id":{"type":"string"}}}"#;
    let tools = [LOOKUP, ("refund", "Gives money back.", schema, 2)];
    let provider = Provider {
        imports: &[Import::Clock, Import::Log, Import::Settings],
        tools: &tools,
        ..Provider::default()
    };
    let uploaded = client.upload("shop", &provider.bytes()).await;
    assert_eq!(uploaded.status, 201, "{}", uploaded.text);
    let version = uploaded.json();
    assert_eq!(version["manifest"]["kind"], "tool-provider");
    assert_eq!(
        version["manifest"]["provides"],
        json!([
            { "name": "lookup", "description": "Looks up.", "input_schema": { "type": "object" }, "effect": "read" },
            {
                "name": "refund", "description": "Gives money back.", "effect": "destructive",
                "input_schema": { "type": "object", "properties": { "id": { "type": "string" } } },
            },
        ])
    );
    assert_eq!(client.get("/agents/shop/versions/1").await.json(), version);
    // Nobody talks with it.
    client.deploy("shop", &provider.bytes()).await;
    let run = client
        .post("/agents/shop/runs", &json!({ "input": "x" }))
        .await;
    assert_eq!(run.refusal(), (409, "not_an_agent".to_owned()));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_whole_or_asks_for_more_is_refused() {
    let host = TestHost::start().await;
    let half = Provider {
        last: "",
        ..Provider::default()
    };
    refused(
        &host,
        &half.bytes(),
        REFUSED,
        "tool-provider@0.1.1` and not `dry-run`",
    )
    .await;
    let knows = Provider {
        imports: &[Import::Knowledge],
        ..Provider::default()
    };
    refused(
        &host,
        &knows.bytes(),
        REFUSED,
        "knowledge@0.1.0`, which a tool provider is not offered",
    )
    .await;
    let other = Provider::default().text();
    let other = other.replace(
        "(func $call (param \"request\" $request) (result (result string (error $error)))",
        "(func $call (param \"request\" $request) (result (result $preview (error $error)))",
    );
    refused(&host, &assemble(&other), REFUSED, "does not fit the world").await;
    let asks = Provider {
        imports: &[Import::Clock],
        list: "(drop (call $now)) (i32.const 16)",
        ..Provider::default()
    };
    refused(
        &host,
        &asks.bytes(),
        "describe_failed",
        "`now` is not for `describe`",
    )
    .await;
    let traps = Provider {
        list: "unreachable",
        ..Provider::default()
    };
    refused(&host, &traps.bytes(), "describe_failed", "trapped").await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_offered_is_refused_by_its_place() {
    let host = TestHost::start().await;
    let object = r#"{"type":"object"}"#;
    let many: Vec<String> = (0..65).map(|n| format!("tool{n}")).collect();
    let many: Vec<Offer<'_>> = many
        .iter()
        .map(|name| (name.as_str(), "", object, 0))
        .collect();
    let cases: [(&[Offer<'_>], &str); 7] = [
        (&[], "/tools"),
        (&many, "/tools"),
        (&[LOOKUP, ("a b", "", object, 0)], "/tools/1/name"),
        (&[LOOKUP, LOOKUP], "/tools/1/name"),
        (&[("a", "\u{7}", object, 0)], "/tools/0/description"),
        (&[("a", "", "[]", 0), LOOKUP], "/tools/0/input-schema"),
        (
            &[("a", "", "{\"a\":\"\\u0000\"}", 0)],
            "/tools/0/input-schema",
        ),
    ];
    for (tools, place) in cases {
        let provider = Provider {
            tools,
            ..Provider::default()
        };
        refused(&host, &provider.bytes(), "manifest_refused", place).await;
    }
    host.stop().await;
}
