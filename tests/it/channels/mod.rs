//! Channels: which version answers, how it is moved, taken back, approved, labelled and deleted.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "a test that cannot go on fails; figures are printed, and a table of cases is told in one place"
)]

mod approved;
mod flips;
mod judged;
mod kept;
mod lots;
mod moves;

use bulkhead_tests::Client;
use bulkhead_tests::client::Answer;
use serde_json::{Value, json};

use crate::guests;

/// The same component under another digest: `n` stands in a section that nobody reads.
fn variant(bytes: &[u8], n: u8) -> Vec<u8> {
    [bytes, &[0, 5, 4, b'n', b'o', b't', n]].concat()
}

/// An agent that says what it is asked, in so many versions, the first of them stable.
async fn versions(client: &Client, agent: &str, count: u8) {
    let echo = guests::ECHO.bytes();
    client.deploy(agent, &variant(&echo, 1)).await;
    for n in 2..=count {
        let uploaded = client.upload(agent, &variant(&echo, n)).await;
        assert_eq!(uploaded.status, 201, "{}", uploaded.text);
    }
}

/// Promotes, rolls back, or makes a canary.
async fn verb(client: &Client, agent: &str, verb: &str, mut body: Value) -> Answer {
    if verb == "rollback" && body.get("channel").is_none() {
        body["channel"] = json!("stable");
    }
    client.post(&format!("/agents/{agent}/{verb}"), &body).await
}

/// Stable, canary, its share, and where a rollback goes.
async fn channels(client: &Client, agent: &str) -> (Value, Value, Value, Value) {
    let shown = client
        .get(&format!("/agents/{agent}/channels"))
        .await
        .json();
    let at = |pointer| shown.pointer(pointer).cloned().unwrap_or(Value::Null);
    (
        at("/stable/version"),
        at("/canary/version"),
        at("/canary/weight"),
        at("/rolls_back_to"),
    )
}

/// The version and the channel that a run took.
async fn taken(client: &Client, agent: &str, body: Value) -> (i64, Value) {
    let events = client.run(agent, &body).await;
    let started = &events[0].data;
    (
        started["version"].as_i64().unwrap(),
        started["channel"].clone(),
    )
}

/// The version and the channel that a run in a conversation took.
async fn answers(client: &Client, agent: &str, conversation: &str) -> (i64, Value) {
    taken(
        client,
        agent,
        json!({ "input": "x", "conversation_id": conversation }),
    )
    .await
}
