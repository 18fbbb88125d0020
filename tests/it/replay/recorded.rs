//! Recordings: what a run was asked, was answered and said, as its reader may see it; what cannot be one is refused.

use bulkhead_tests::client::Answer;
use bulkhead_tests::{Client, TestHost};
use serde_json::{Value, json};

use super::input;
use crate::guardrails::guarded;
use crate::guests;

async fn recording(client: &Client, agent: &str, run: &str) -> Answer {
    client
        .get(&format!("/agents/{agent}/runs/{run}/recording"))
        .await
}

async fn ended(client: &Client, agent: &str, asked: &Value) -> String {
    let events = client.run(agent, asked).await;
    events[0].data["run"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_recorded_whole_and_without_what_its_guardrails_take_out() {
    let host = TestHost::start().await;
    let client = guarded(&host, "echo", &guests::ECHO, &["pii.redact"]).await;
    let asked = json!({ "input": [
        { "role": "user", "text": "hello" },
        { "role": "assistant", "text": "Hello." },
        { "role": "user", "text": "write to jane@example.com" },
    ] });
    let run = ended(&client, "echo", &asked).await;
    let recorded = recording(&client, "echo", &run).await;
    assert_eq!(recorded.status, 200, "{}", recorded.text);
    assert!(
        !recorded.text.contains("jane@example.com"),
        "{}",
        recorded.text
    );
    let recorded = recorded.json();
    assert_eq!(recorded["bulkhead_recording"], 1);
    assert_eq!(
        (&recorded["run"], &recorded["agent"]),
        (&json!(run), &json!("echo"))
    );
    assert_eq!(recorded["messages"].as_array().unwrap().len(), 3);
    assert_eq!(
        (&recorded["rewritten"], &recorded["stop_reason"]),
        (&json!(true), &json!("end_turn"))
    );
    let said = recorded["said"].as_array().unwrap();
    assert!(
        said.iter()
            .all(|event| event["kind"] != "started" && event["kind"] != "done")
    );
    assert!(
        said.iter().any(|event| event["kind"] == "text"),
        "{recorded}"
    );
    assert!(recorded["started_at_ms"].as_u64().unwrap() > 0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_recorded_is_refused() {
    let host = TestHost::start().await;
    host.deploy("acme", "journey", &guests::JOURNEY).await;
    host.deploy("acme", "spin", &guests::SPIN).await;
    host.deploy("globex", "journey", &guests::JOURNEY).await;
    let (acme, globex) = (host.client("acme").await, host.client("globex").await);
    let running = acme.start("spin", &input("x")).await;
    let refused = recording(&acme, "spin", &running).await;
    assert_eq!(refused.refusal(), (409, "run_not_ended".to_owned()));
    acme.cancel("spin", &running).await;

    let run = ended(&acme, "journey", &input("say a\nsleep 1")).await;
    let steps = recording(&acme, "journey", &run).await.json()["steps"].clone();
    assert_eq!(
        (&steps[0]["kind"], &steps[0]["request"]),
        (&json!("clock.sleep"), &json!({ "milliseconds": 1 }))
    );
    let unknown = format!("run_{}", "0".repeat(32));
    for answer in [
        recording(&globex, "journey", &run).await,
        recording(&acme, "spin", &run).await,
        recording(&acme, "journey", &unknown).await,
        recording(&acme, "journey", "run_nonsense").await,
    ] {
        assert_eq!(answer.refusal(), (404, "not_found".to_owned()));
    }
    let long = "sleep 0\n".repeat(1_000);
    let run = ended(&acme, "journey", &input(long.trim_end())).await;
    let refused = recording(&acme, "journey", &run).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(
        refused.text.contains("at most 1000 steps"),
        "{}",
        refused.text
    );
    host.stop().await;
}
