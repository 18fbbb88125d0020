//! Conversations: what a run is given of them, what it leaves there, and who may see them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod kept;
mod memory;
mod refused;

use bulkhead_tests::Client;
use bulkhead_tests::client::text;
use serde_json::{Value, json};

/// Asks in a conversation; the answer.
pub(crate) async fn ask(client: &Client, agent: &str, conversation: &str, input: &str) -> String {
    let body = json!({ "input": input, "conversation_id": conversation });
    text(&client.run(agent, &body).await)
}

/// What was said, oldest first: turn, role, text, why the run ended.
async fn said(
    client: &Client,
    agent: &str,
    conversation: &str,
) -> Vec<(i64, String, String, Value)> {
    let path = format!("/agents/{agent}/conversations/{conversation}/messages?limit=200");
    let page = client.get(&path).await.json();
    let rows = page["data"].as_array().unwrap().iter().rev().map(|row| {
        let word = |of: &Value| of.as_str().unwrap().to_owned();
        let said = word(&row["content"][0]["text"]);
        (
            row["turn"].as_i64().unwrap(),
            word(&row["role"]),
            said,
            row["stop_reason"].clone(),
        )
    });
    rows.collect()
}
