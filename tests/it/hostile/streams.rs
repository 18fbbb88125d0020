//! Guests that open streams of a model: never read, read slowly, dropped early, opened again and again. The provider's
//! connection never outlives the guest's interest; how long it did is printed.

use std::time::Instant;

use bulkhead_tests::client::{stop_reason, text};
use bulkhead_tests::host::eventually;
use bulkhead_tests::provider::{Answer, How, Provider};
use bulkhead_tests::{Client, TestHost};
use serde_json::json;

use super::corpus::is_long;
use crate::guests;

async fn scene() -> (TestHost, Client, Provider) {
    let host = TestHost::start().await;
    let provider = Provider::start().await;
    let client = host.client("acme").await;
    client.deploy("streams", &guests::STREAMS.bytes()).await;
    let connection = json!({
        "kind": "openai", "base_url": provider.base_url(), "api_key": "sk-test", "default_model": "scripted"
    });
    let put = client.put("/model-connections/default", &connection).await;
    assert!(put.status.is_success(), "{}", put.text);
    provider.when("go on", Answer::text("word").how(How::EndlessText));
    (host, client, provider)
}

/// Every connection that reached the provider was closed by the host.
async fn let_go(provider: &Provider) {
    eventually("the provider is left alone", async || {
        provider.closed_connections() == provider.requests().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the figures are for a reader")]
async fn streams_that_nobody_reads() {
    let (_host, client, provider) = scene().await;
    let count = if is_long() { 1_000 } else { 100 };
    for what in ["hold", "drop"] {
        let input = format!("{what} {count}");
        let events = client.run("streams", &json!({ "input": input })).await;
        let ended = Instant::now();
        assert_eq!(stop_reason(&events), "end_turn", "{input}");
        let_go(&provider).await;
        println!(
            "{input}: {} requests, the last closed {:.0} ms after the end",
            provider.requests().len(),
            ended.elapsed().as_secs_f64() * 1_000.0
        );
    }
    let used = client.get("/agents/streams/runs").await.json();
    assert_eq!(
        used["data"][1]["usage"]["estimated"], true,
        "nobody counted: {used}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the figures are for a reader")]
async fn a_stream_that_is_dropped_early_or_read_slowly() {
    let (_host, client, provider) = scene().await;
    let mut events = client
        .stream("streams", &json!({ "input": "taste 3" }))
        .await;
    let run = events.run();
    assert_eq!(events.next_of("text").await.data["text"], "dropped");
    let dropped = Instant::now();
    provider.closed(1).await;
    println!(
        "dropped early: closed {:.1} ms after the guest said so",
        dropped.elapsed().as_secs_f64() * 1_000.0
    );
    assert_eq!(client.show("streams", &run).await["state"], "running");
    client.cancel("streams", &run).await;
    assert_eq!(stop_reason(&events.rest().await), "cancelled");

    let slow = client.run("streams", &json!({ "input": "sip 50" })).await;
    assert_eq!((stop_reason(&slow), text(&slow).as_str()), ("end_turn", ""));
    provider.closed(2).await;

    let body = json!({ "input": "gulp 1", "max_fuel": 20_000_000 });
    let busy = client.run("streams", &body).await;
    assert_eq!(stop_reason(&busy), "fuel");
    provider.closed(3).await;
    assert_eq!(provider.requests().len(), 3);
}
