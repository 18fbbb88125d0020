//! The gate: how often an agent may be started, how long its input may be, and what of it is stored.

use std::time::Duration;

use bulkhead_tests::{Client, TestHost};
use serde_json::{Value, json};

use super::{guarded, violations};
use crate::guests;
use crate::http::assert_problem;

async fn start(client: &Client, agent: &str, input: &str) -> u16 {
    let path = format!("/agents/{agent}/runs?wait=30");
    client
        .post(&path, &json!({ "input": input }))
        .await
        .status
        .as_u16()
}

async fn refusals(client: &Client) -> Vec<Value> {
    let listed = client
        .get("/guardrails/violations?action=refused")
        .await
        .json();
    listed["data"].as_array().cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_started_so_often_and_then_again_later() {
    let host = TestHost::start().await;
    let client = guarded(&host, "echo", &guests::ECHO, &["rate:3/min", "rate:4/hour"]).await;
    guarded(&host, "other", &guests::ECHO, &["rate:3/min"]).await;
    // The clock stands at a full hour; a quarter of a minute later the window has three quarters left.
    host.clock().advance(Duration::from_secs(15));
    for _ in 0..3 {
        assert_eq!(start(&client, "echo", "x").await, 200);
    }
    let refused = client
        .post("/agents/echo/runs", &json!({ "input": "x" }))
        .await;
    assert_eq!(refused.refusal(), (429, "rate_limited".to_owned()));
    assert_eq!(refused.headers["retry-after"], "45");
    assert_problem(&refused);
    assert_eq!(
        start(&client, "other", "x").await,
        200,
        "each agent has its own"
    );
    host.clock().advance(Duration::from_secs(45));
    assert_eq!(
        start(&client, "echo", "x").await,
        200,
        "the fourth of the hour"
    );
    let refused = client
        .post("/agents/echo/runs", &json!({ "input": "x" }))
        .await;
    assert_eq!(
        refused.headers["retry-after"], "3540",
        "the hour is what is full"
    );
    let rows = refusals(&client).await;
    let told: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| {
            (
                row["rule"].as_str().unwrap_or(""),
                row["at"].as_str().unwrap_or(""),
            )
        })
        .collect();
    assert_eq!(told, [("rate:4/hour", "entry"), ("rate:3/min", "entry")]);
    assert_eq!(rows[0]["detail"], json!({ "limit": 4, "per": "hour" }));
    assert!(rows[0].get("run").is_none(), "no run was made");
    let runs = client.get("/agents/echo/runs").await.json();
    assert_eq!(runs["data"].as_array().map(Vec::len), Some(4));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_hosts_let_in_what_one_would() {
    let first = TestHost::start().await;
    let client = guarded(&first, "echo", &guests::ECHO, &["rate:10/day"]).await;
    let second = first.join().await;
    let others = client.at(&second.url());
    let asked = (0..40).map(|n| {
        let client = if n % 2 == 0 {
            client.clone()
        } else {
            others.clone()
        };
        async move { start(&client, "echo", "x").await }
    });
    let answers = futures_util::future::join_all(asked).await;
    let of = |status: u16| answers.iter().filter(|answer| **answer == status).count();
    assert_eq!((of(200), of(429)), (10, 30), "{answers:?}");
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_is_as_long_as_it_may_be_and_no_longer() {
    let host = TestHost::start().await;
    let client = guarded(
        &host,
        "echo",
        &guests::ECHO,
        &["input_max_chars=5", "rate:2/day"],
    )
    .await;
    assert_eq!(
        start(&client, "echo", "äöü日本").await,
        200,
        "characters, not bytes"
    );
    let refused = client
        .post("/agents/echo/runs", &json!({ "input": "äöü日本." }))
        .await;
    assert_eq!(refused.refusal(), (422, "input_too_long".to_owned()));
    assert_problem(&refused);
    assert_eq!(refused.json()["errors"][0]["pointer"], "/input");
    let rows = refusals(&client).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["detail"], json!({ "limit": 5, "chars": 6 }));
    // The rate is asked first, and has counted both.
    let refused = client
        .post("/agents/echo/runs", &json!({ "input": "too long" }))
        .await;
    assert_eq!(refused.refusal(), (429, "rate_limited".to_owned()));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_is_stored_without_what_it_must_not_hold() {
    let host = TestHost::start().await;
    let client = guarded(&host, "echo", &guests::ECHO, &["pii.redact=input"]).await;
    guarded(&host, "open", &guests::ECHO, &[]).await;
    let input = json!({
        "input": "I am jane@example.com, password=hunter2",
        "metadata": { "api_key": "abc", "note": "sk-abcdefghij0123456789xyz" },
    });
    for (agent, said) in [
        ("echo", "I am [email], password=[secret]"),
        ("open", "I am jane@example.com, password=[secret]"),
    ] {
        let run = client
            .post(&format!("/agents/{agent}/runs?wait=30"), &input)
            .await
            .json();
        assert_eq!(run["output"], said, "{run}");
        assert_eq!(
            run["metadata"],
            json!({ "api_key": "[secret]", "note": "[secret]" })
        );
        let stored: String = sqlx::query_scalar("select input::text from runs where id = $1")
            .bind(crate::guardrails::id(run["id"].as_str().unwrap_or("")))
            .fetch_one(host.db())
            .await
            .expect("it is there");
        assert!(stored.contains(said), "{stored}");
        let rows = violations(&client, run["id"].as_str().unwrap_or("")).await;
        let kinds: Vec<&str> = rows.iter().filter_map(|row| row["kind"].as_str()).collect();
        let secrets = kinds.contains(&"secrets.redact");
        assert!(
            secrets && kinds.contains(&"pii.redact") == (agent == "echo"),
            "{kinds:?}"
        );
        assert!(
            rows.iter()
                .all(|row| row["action"] == "redacted" && row["at"] == "input"),
            "{rows:?}"
        );
        crate::replay::is_the_same(&client, agent, run["id"].as_str().unwrap_or("")).await;
    }
    host.stop().await;
}
