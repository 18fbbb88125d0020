//! From the manifest to the version: a deploy with guardrails that cannot be understood is refused whole, and says each.

use bulkhead_tests::client::Answer;
use bulkhead_tests::raw::Raw;
use bulkhead_tests::{Client, TestHost};
use serde_json::{Value, json};

use crate::guests;
use crate::http::assert_problem;

async fn upload(client: &Client, guardrails: &[&str]) -> Answer {
    let raw = Raw {
        guardrails,
        ..Raw::default()
    };
    client.upload("guarded", &raw.bytes()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_understood_is_refused_with_its_index() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let bad = [
        "max_tokens=10",
        "max_tokens=-1",
        "speed_limit=3",
        "rate:5/week",
        "max_tokens=11",
    ];
    let refused = upload(&client, &bad).await;
    assert_eq!(
        refused.refusal(),
        (400, "guardrails_refused".to_owned()),
        "{}",
        refused.text
    );
    assert_problem(&refused);
    let entries = refused.json()["entries"].clone();
    let entries = entries.as_array().expect("it says which").clone();
    let named: Vec<(u64, &str)> = entries
        .iter()
        .map(|entry| {
            (
                entry["index"].as_u64().unwrap_or(99),
                entry["value"].as_str().unwrap_or(""),
            )
        })
        .collect();
    let expected = [(1, bad[1]), (2, bad[2]), (3, bad[3]), (4, bad[4])];
    assert_eq!(named, expected);
    let problem = refused.json();
    let pointers: Vec<&str> = problem["errors"]
        .as_array()
        .expect("fields too")
        .iter()
        .filter_map(|field| field["pointer"].as_str())
        .collect();
    assert_eq!(
        pointers,
        [
            "/guardrails/1",
            "/guardrails/2",
            "/guardrails/3",
            "/guardrails/4"
        ]
    );
    assert_eq!(
        client.get("/agents/guarded").await.status,
        404,
        "nothing was made"
    );
    // A list that is a flood is one entry more than may be.
    let flood = vec!["x=1"; 500];
    let refused = upload(&client, &flood).await;
    assert_eq!(refused.json()["entries"].as_array().map(Vec::len), Some(65));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_shows_its_guardrails_understood() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let made = upload(
        &client,
        &[
            "max_tokens=10",
            "pii.redact=input,output",
            "egress_allowlist=a.example",
        ],
    )
    .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let shown = client.get("/agents/guarded/versions/1").await.json();
    assert_eq!(
        shown["guardrails"],
        json!([
            { "kind": "max_tokens", "rule": "max_tokens=10", "at": ["model"] },
            { "kind": "pii.redact", "rule": "pii.redact=input,output", "at": ["input", "output"] },
            { "kind": "egress_allowlist", "rule": "egress_allowlist=a.example", "at": [] },
        ])
    );
    assert_eq!(shown["manifest"]["guardrails"][0], "max_tokens=10");
    // A guest of before there were guardrails declares none.
    let plain = client.upload("plain", &Raw::default().bytes()).await;
    assert_eq!(plain.json()["guardrails"], json!([]));
    // The SDK's attribute says the same.
    client.deploy("warden", &guests::WARDEN.bytes()).await;
    let shown = client.get("/agents/warden/versions/1").await.json();
    let rules: Vec<&Value> = shown["guardrails"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|rule| &rule["rule"])
        .collect();
    assert_eq!(
        rules,
        ["max_tool_calls=2", "require_tool_allowlist=add,sub"]
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_for_development_lets_an_unknown_kind_pass_and_nothing_else() {
    let host = TestHost::start_with(|config| config.guardrails.allow_unknown = true).await;
    let client = host.client("acme").await;
    let refused = upload(&client, &["speed_limit=3", "max_tokens=0"]).await;
    assert_eq!(
        refused.refusal(),
        (400, "guardrails_refused".to_owned()),
        "{}",
        refused.text
    );
    assert_problem(&refused);
    assert_eq!(
        refused.json()["entries"].as_array().map(Vec::len),
        Some(1),
        "{}",
        refused.text
    );
    assert_eq!(refused.json()["entries"][0]["index"], 1);
    let made = upload(&client, &["speed_limit=3", "max_tokens=9"]).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.json()["guardrails"].as_array().map(Vec::len), Some(1));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_tried_without_a_run() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let body = json!({
        "guardrails": ["input_max_chars=10", "pii.redact", "max_tokens=5"],
        "text": "mail jane@example.com, password=hunter2",
    });
    let checked = client.post("/guardrails/check", &body).await;
    assert_eq!(checked.status, 200, "{}", checked.text);
    assert_eq!(checked.json()["text"], "mail [email], password=[secret]");
    let said = checked.json();
    let verdicts: Vec<(&str, &str)> = said["verdicts"]
        .as_array()
        .expect("verdicts")
        .iter()
        .map(|v| {
            (
                v["rule"].as_str().unwrap_or(""),
                v["verdict"].as_str().unwrap_or(""),
            )
        })
        .collect();
    let expected = [
        ("input_max_chars=10", "refuse"),
        ("pii.redact", "rewrite"),
        ("max_tokens=5", "in_a_run"),
        ("secrets.redact", "rewrite"),
    ];
    assert_eq!(verdicts, expected);
    assert_eq!(
        checked.json()["verdicts"][1]["detail"],
        json!({ "email": 1 })
    );
    let refused = client
        .post(
            "/guardrails/check",
            &json!({ "guardrails": ["max_tokens"] }),
        )
        .await;
    assert_eq!(
        refused.refusal(),
        (400, "guardrails_refused".to_owned()),
        "{}",
        refused.text
    );
    assert_problem(&refused);
    host.stop().await;
}
