//! A run from the request to its last event: what a client sees, what the table holds, what it cost.

use bulkhead_tests::TestHost;
use bulkhead_tests::client::{masked, stop_reason, text};
use serde_json::json;

use crate::guests;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_streams_from_started_to_done() {
    let host = TestHost::start().await;
    host.deploy("acme", "echo", &guests::ECHO).await;
    let client = host.client("acme").await;
    let events = client.run("echo", &json!({ "input": "hello" })).await;
    assert_eq!(text(&events), "hello");
    assert_eq!(stop_reason(&events), "end_turn");
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["started", "text", "done"]);
    let ids: Vec<i32> = events.iter().map(|event| event.id).collect();
    assert_eq!(ids, [1, 2, 3]);
    insta::assert_json_snapshot!(masked(events[0].data.clone()), @r#"
    {
      "agent": "echo",
      "channel": "stable",
      "run": "[run]",
      "version": 1
    }
    "#);
    insta::assert_json_snapshot!(masked(events[2].data.clone()), @r#"
    {
      "receipt": {
        "fuel": "[measure]",
        "in_flight": [],
        "memory_peak_bytes": "[measure]",
        "usage": {
          "estimated": false,
          "fuel": "[measure]",
          "host_calls": 1,
          "input_tokens": 0,
          "memory_peak_bytes": "[measure]",
          "output_tokens": 0,
          "wall_ms": "[measure]"
        },
        "where": "finishing"
      },
      "state": "completed",
      "stop_reason": "end_turn",
      "usage": {
        "estimated": false,
        "fuel": "[measure]",
        "host_calls": 1,
        "input_tokens": 0,
        "memory_peak_bytes": "[measure]",
        "output_tokens": 0,
        "wall_ms": "[measure]"
      }
    }
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spinning_guest_is_cancelled() {
    let host = TestHost::start().await;
    host.deploy("acme", "spin", &guests::SPIN).await;
    let client = host.client("acme").await;
    let mut events = client.stream("spin", &json!({ "input": "x" })).await;
    let run = events.run();
    events.next_of("started").await;
    bulkhead_tests::host::eventually("it spins", async || host.host().app.scheduler.alive() == 1)
        .await;
    let cancelled = client.cancel("spin", &run).await;
    assert_eq!(cancelled.status, 202, "{}", cancelled.text);
    assert_eq!(cancelled.json()["state"], "cancelled");
    insta::assert_json_snapshot!(masked(cancelled.json()["receipt"].clone()), @r#"
    {
      "fuel": "[measure]",
      "in_flight": [],
      "memory_peak_bytes": "[measure]",
      "observed_at": "[time]",
      "requested_at": "[time]",
      "stopped_at": "[time]",
      "usage": {
        "estimated": false,
        "fuel": "[measure]",
        "host_calls": 0,
        "input_tokens": 0,
        "memory_peak_bytes": "[measure]",
        "output_tokens": 0,
        "wall_ms": "[measure]"
      },
      "where": "guest"
    }
    "#);
    assert_eq!(stop_reason(&events.rest().await), "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleeping_guest_is_cancelled_in_its_host_call() {
    let host = TestHost::start().await;
    host.deploy("acme", "sleep", &guests::SLEEP).await;
    let client = host.client("acme").await;
    let mut events = client.stream("sleep", &json!({ "input": "60000" })).await;
    let run = events.run();
    events.next_of("text").await;
    host.reaches(&run, "sleep").await;
    let cancelled = client.cancel("sleep", &run).await;
    assert_eq!(
        cancelled.json()["receipt"]["where"],
        "sleep",
        "{}",
        cancelled.text
    );
    assert_eq!(cancelled.json()["output"], "before");
    let again = client.cancel("sleep", &run).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.json(), cancelled.json());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_offline_model_answers() {
    let host = TestHost::start().await;
    host.deploy("acme", "generate", &guests::GENERATE).await;
    let client = host.client("acme").await;
    let events = client
        .run("generate", &json!({ "input": "What can you do?" }))
        .await;
    assert_eq!(stop_reason(&events), "end_turn");
    assert!(!text(&events).is_empty());
}
