//! The template as it stands: it answers, streams, remembers, and is cancelled while it waits for the model.

use bulkhead_tests::client::{stop_reason, text};
use bulkhead_tests::provider::{Answer, How, Provider};
use bulkhead_tests::{Client, TestHost};
use serde_json::json;

use crate::cancel::{cancel, connect};
use crate::conversations::ask;
use crate::limits::ends;

pub(super) async fn with_the_offline_model(client: &Client) {
    let question = json!({ "input": "how do i stop a run??" });
    let events = client.run("talker", &question).await;
    assert_eq!(stop_reason(&events), "end_turn", "{events:?}");
    assert!(!text(&events).is_empty());
}

pub(super) async fn with_a_model(host: &TestHost, client: &Client) {
    let provider = Provider::start().await;
    connect(client, &provider).await;
    remembers(client, &provider).await;
    fails_with_the_model(host, &provider).await;
    let (requests, closed) = (provider.requests().len(), provider.closed_connections());
    // What came is shown while the model goes on, and it is stopped while it waits for more.
    let whole = Answer::text("One two three four five six seven eight.");
    let half = whole.body(0).len() / 2;
    provider.script(vec![whole.how(How::HangAfter(half))]);
    let mut events = client.stream("talker", &json!({ "input": "count" })).await;
    let run = events.run();
    let first = events.next_of("text").await.data["text"].to_string();
    assert!(first.starts_with("\"One"), "{first}");
    provider.received(requests + 1).await;
    host.reaches(&run, "model").await;
    let receipt = cancel(host, client, "talker", &run).await;
    assert_eq!(receipt["where"], "model");
    provider.closed(closed + 1).await;
}

async fn remembers(client: &Client, provider: &Provider) {
    provider.script(vec![
        Answer::text("Hello, Ada."),
        Answer::text("You are Ada."),
    ]);
    let conversation = client.converse("talker").await;
    let said = ask(client, "talker", &conversation, "I am Ada.").await;
    assert_eq!(said, "Hello, Ada.");
    let said = ask(client, "talker", &conversation, "Who am I?").await;
    assert_eq!(said, "You are Ada.");
    let asked = &provider.requests()[1].body;
    let messages = asked["messages"].as_array().unwrap();
    let said: Vec<_> = messages[1..]
        .iter()
        .map(|message| &message["content"])
        .collect();
    assert_eq!(said, ["I am Ada.", "Hello, Ada.", "Who am I?"], "{asked}");
    assert_eq!(messages[0]["role"], "system");
}

async fn fails_with_the_model(host: &TestHost, provider: &Provider) {
    provider.script(vec![Answer::status(
        400,
        r#"{"error":{"message":"No such thing."}}"#,
    )]);
    let failed = ("model_error", "host", "No such thing.");
    ends(host, "talker", &json!({ "input": "x" }), failed).await;
}
