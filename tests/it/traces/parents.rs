//! Where a trace comes from and where it is told: `traceparent` in and out.

use bulkhead_tests::TestHost;
use bulkhead_tests::client::{Answer, send};
use bulkhead_tests::collector::Collector;
use bulkhead_tests::provider::Provider;
use reqwest::Method;
use serde_json::json;

use super::{START, Traced, connect};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Starts a run under a header and waits for its end.
async fn start(client: &bulkhead_tests::Client, traceparents: &[&str]) -> Answer {
    let path = "/agents/journey/runs?wait=30";
    let mut request = client
        .request(Method::POST, path)
        .json(&json!({ "input": "ask it" }));
    for traceparent in traceparents {
        request = request.header("traceparent", *traceparent);
    }
    let answer = send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

/// The trace an answer says it is in.
fn told(answer: &Answer) -> String {
    let header = answer.headers.get("traceparent").expect("it is told");
    let text = header.to_str().expect("it is ASCII");
    text.split('-')
        .nth(1)
        .expect("it has four parts")
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_goes_on_in_its_callers_trace() {
    let traced = Traced::start(|_| {}).await;
    let answer = start(&traced.client, &[&format!("00-{TRACE}-{PARENT}-01")]).await;
    assert_eq!(told(&answer), TRACE);
    let request = traced.collector.one(START).await;
    assert_eq!(
        (request.trace.as_str(), request.parent.as_str()),
        (TRACE, PARENT)
    );
    for name in ["invoke_agent journey", "chat scripted"] {
        assert_eq!(traced.collector.one(name).await.trace, TRACE, "{name}");
    }
    // A version to come is read as far as it is known.
    let later = start(&traced.client, &[&format!("cc-{TRACE}-{PARENT}-01-more")]).await;
    assert_eq!(told(&later), TRACE);
    traced.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_caller_does_not_record_is_not_recorded() {
    let traced = Traced::start(|_| {}).await;
    let answer = start(&traced.client, &[&format!("00-{TRACE}-{PARENT}-00")]).await;
    assert_eq!(told(&answer), TRACE);
    let told = traced.provider.requests()[0]
        .traceparent
        .clone()
        .unwrap_or_default();
    assert!(
        told.starts_with(&format!("00-{TRACE}-")) && told.ends_with("-00"),
        "{told}"
    );
    // Its end is sent before what ends after it.
    start(&traced.client, &[]).await;
    let last = traced.collector.one("invoke_agent journey").await;
    assert_ne!(last.trace, TRACE);
    assert!(
        traced
            .collector
            .spans()
            .iter()
            .all(|span| span.trace != TRACE)
    );
    traced.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_recorded_at_a_ratio_of_zero() {
    let traced = Traced::start(|config| config.tracing.sample_ratio = 0.0).await;
    start(&traced.client, &[]).await;
    // A caller that records decides for what it asks.
    start(&traced.client, &[&format!("00-{TRACE}-{PARENT}-01")]).await;
    traced.collector.one("invoke_agent journey").await;
    assert!(
        traced
            .collector
            .spans()
            .iter()
            .all(|span| span.trace == TRACE)
    );
    traced.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_header_begins_a_trace() {
    let traced = Traced::start(|_| {}).await;
    let good = format!("00-{TRACE}-{PARENT}-01");
    let upper = TRACE.to_uppercase();
    let malformed = [
        String::new(),
        "x".repeat(4_000),
        format!("ff-{TRACE}-{PARENT}-01"),
        format!("00-{upper}-{PARENT}-01"),
        format!("00-{TRACE}-{PARENT}-01-more"),
        format!("00-{TRACE}-{PARENT}-0"),
        format!("00-{TRACE}-{PARENT}-+1"),
        format!("00-{}-{PARENT}-01", "0".repeat(32)),
        format!("00-{TRACE}-{}-01", "0".repeat(16)),
        format!("00-{}-{PARENT}-01", &TRACE[1..]),
        format!("00_{TRACE}_{PARENT}_01"),
        format!("0-0{TRACE}-{PARENT}-01"),
        format!("{good} "),
    ];
    for (at, header) in malformed.iter().enumerate() {
        // The last of them is trimmed by HTTP itself.
        let request = traced
            .client
            .request(Method::GET, "/agents")
            .header("traceparent", header);
        let answer = send(request).await;
        assert_eq!(answer.status, 200, "{header}");
        let is_read = at + 1 == malformed.len();
        assert_eq!(told(&answer) == TRACE, is_read, "{header}");
    }
    // Twice is malformed, too.
    let twice = start(&traced.client, &[&good, &good]).await;
    assert_ne!(told(&twice), TRACE);
    traced.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_nothing_is_sent() {
    // It is there, and nobody was told of it.
    let collector = Collector::start().await;
    let host = TestHost::start().await;
    assert!(!host.host().app.tracing.is_on());
    let provider = Provider::start().await;
    let client = host.client("acme").await;
    connect(&client, &provider).await;
    client
        .deploy("journey", &crate::guests::JOURNEY.bytes())
        .await;
    let answer = start(&client, &[&format!("00-{TRACE}-{PARENT}-01")]).await;
    assert_eq!(answer.headers.get("traceparent"), None);
    assert_eq!(provider.requests()[0].traceparent, None);
    let kept: Vec<Option<String>> = sqlx::query_scalar("select traceparent from runs")
        .fetch_all(host.db())
        .await
        .expect("runs are there");
    assert_eq!(kept, [None]);
    host.stop().await;
    assert_eq!(collector.exports().len(), 0);
}
