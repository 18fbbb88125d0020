//! How runs went: days of UTC on a clock that the test moves, failures apart, and the agents with the most.

use std::time::Duration;

use bulkhead_tests::guests::Guest;
use bulkhead_tests::{Client, TestHost};
use serde_json::{Value, json};

async fn metrics(client: &Client, path: &str) -> Value {
    let answer = client.get(path).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

fn input(text: &str) -> Value {
    json!({ "input": text })
}

/// Runs, completed, failed, cancelled, blocked.
fn counts(figures: &Value) -> [i64; 5] {
    ["runs", "completed", "failed", "cancelled", "blocked"]
        .map(|count| figures[count].as_i64().expect("a count"))
}

async fn host() -> (TestHost, Client) {
    let host = TestHost::start_with(|config| {
        // Days pass while a run goes on.
        config.runs.wall_ms = 40 * 24 * 3_600_000;
        config.runs.dead_after_ms = 40 * 24 * 3_600_000;
    })
    .await;
    let client = host.client("acme").await;
    for agent in ["busy", "broken"] {
        client.deploy(agent, &Guest::new("journey").bytes()).await;
    }
    (host, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn days_are_of_utc_and_add_up() {
    let (host, client) = host().await;
    let days = metrics(&client, "/agent-runs/metrics").await;
    assert_eq!(counts(&days["total"]), [0; 5]);
    assert_eq!(days["days"].as_array().map(Vec::len), Some(30));
    assert_eq!(days["total"]["p50_ms"], Value::Null);
    assert_eq!(days["total"]["failure_rate"], 0.0);

    for text in ["say a", "say b", "fail"] {
        client.run("busy", &input(text)).await;
    }
    client.run("broken", &input("fail")).await;
    let last = client.stream("busy", &input("sleep 600000")).await;
    host.clock().advance(Duration::from_secs(2 * 24 * 3_600));
    // It counts on the day it ended, and took two days.
    client.cancel("busy", &last.run()).await;
    last.rest().await;

    let days = metrics(&client, "/agent-runs/metrics?days=3").await;
    let listed = days["days"].as_array().expect("days");
    let runs: Vec<[i64; 5]> = listed.iter().map(counts).collect();
    assert_eq!(runs, [[4, 2, 2, 0, 0], [0; 5], [1, 0, 0, 1, 0]]);
    assert_eq!(counts(&days["total"]), [5, 2, 2, 1, 0]);
    assert_eq!(days["total"]["failure_rate"], 0.4);
    assert_eq!(listed[0]["failure_rate"], 0.5);
    let two_days = 2 * 24 * 3_600_000;
    assert!(listed[2]["p95_ms"].as_i64() >= Some(two_days), "{days}");
    assert!(days["total"]["p50_ms"].as_i64() < Some(two_days), "{days}");
    let today = host.clock().now().date().to_string();
    assert_eq!(listed[2]["day"], json!(today));
    let from = days["from"].as_str().expect("an instant");
    assert!(from.ends_with("T00:00:00Z"), "{from}");

    let yesterday = metrics(&client, "/agent-runs/metrics?days=2").await;
    assert_eq!(
        counts(&yesterday["total"]),
        [1, 0, 0, 1, 0],
        "the window is whole days"
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_ranked_by_use_and_by_failure() {
    let (host, client) = host().await;
    for _ in 0..3 {
        client.run("busy", &input("say a")).await;
    }
    client.run("busy", &input("fail")).await;
    for _ in 0..2 {
        client.run("broken", &input("fail")).await;
    }
    client.deploy("idle", &Guest::new("journey").bytes()).await;
    let all = metrics(&client, "/agent-runs/metrics").await;
    let names = |list: &str| -> Vec<(String, i64, i64)> {
        let tops = all[list].as_array().expect("a list");
        tops.iter()
            .map(|top| {
                let name = top["agent"].as_str().expect("a name").to_owned();
                (name, counts(top)[0], counts(top)[2])
            })
            .collect()
    };
    let (busy, broken) = (("busy".to_owned(), 4, 1), ("broken".to_owned(), 2, 2));
    assert_eq!(names("top_by_use"), [busy.clone(), broken.clone()]);
    assert_eq!(names("top_by_failure"), [broken, busy]);

    let one = metrics(&client, "/agents/broken/metrics?days=1").await;
    assert_eq!(counts(&one["total"]), [2, 0, 2, 0, 0]);
    assert_eq!(one["total"]["failure_rate"], 1.0);
    assert_eq!(one.get("top_by_use"), None, "it is one agent's");
    let idle = metrics(&client, "/agents/idle/metrics").await;
    assert_eq!(counts(&idle["total"]), [0; 5]);

    // Another organization has none of it, and does not know the agents.
    let other = host.client("other").await;
    let none = metrics(&other, "/agent-runs/metrics").await;
    assert_eq!(counts(&none["total"]), [0; 5]);
    assert_eq!(none["top_by_use"], json!([]));
    let foreign = other.get("/agents/busy/metrics").await;
    assert_eq!(foreign.refusal(), (404, "not_found".to_owned()));
    for wrong in ["0", "91", "-1", "x", "1&from=2"] {
        let answer = client
            .get(&format!("/agent-runs/metrics?days={wrong}"))
            .await;
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.text);
    }
    host.stop().await;
}
