//! What was said is nobody's business: no text, key or header is in a span; and where the operator wants text, it comes
//! without credentials, and cut.

use bulkhead_tests::TestHost;
use bulkhead_tests::client::send;
use bulkhead_tests::provider::Answer;
use reqwest::Method;
use serde_json::json;

use super::{KEY, Traced};
use crate::secrets::{forms, leaks};

const PROMPT: &str = "prompt-canary-0d1f7b3a96";
const ANSWERED: &str = "answer-canary-c94e55a1d2";
const SENT: &str = "header-canary-7fa20b6e13";
/// A credential by its form, that somebody puts into a prompt.
const PASTED: &str = "AKIAQ7XRT2JHWNB5KZ4M";

/// Everything a collector was sent, and the headers it came with.
fn sinks(traced: &Traced) -> Vec<(String, String)> {
    let exports = traced.collector.exports();
    let mut sinks: Vec<(String, String)> = exports
        .iter()
        .map(|got| {
            (
                "body".to_owned(),
                String::from_utf8_lossy(&got.body).into_owned(),
            )
        })
        .collect();
    let spans = traced.collector.spans();
    sinks.extend(
        spans
            .iter()
            .map(|span| (span.name.clone(), format!("{span:?}"))),
    );
    sinks
}

/// A run in which every canary passes the host.
async fn sing(traced: &Traced) {
    traced.provider.script(vec![
        Answer::text(&format!("{ANSWERED} and {KEY}")),
        Answer::tool_calls(&[("call-1", "look", &format!("{{\"x\":\"{ANSWERED}\"}}"))]),
        Answer::status(
            401,
            &format!("{{\"error\":{{\"message\":\"bad key {KEY} {ANSWERED}\"}}}}"),
        ),
    ]);
    let input =
        format!("ask {PROMPT} {PASTED}\nsearch {PROMPT}\nsay {PROMPT}\nask {PROMPT}\nask {PROMPT}");
    let request = traced
        .client
        .request(
            Method::POST,
            &format!("/agents/journey/runs?wait=30&{PROMPT}=x"),
        )
        .json(&json!({ "input": PROMPT }));
    assert_eq!(send(request).await.status, 400, "an unknown parameter");
    let request = traced
        .client
        .request(Method::POST, "/agents/journey/runs?wait=30")
        .header("x-request-id", SENT)
        .header("tracestate", format!("a={SENT}"))
        .header("baggage", format!("a={SENT}"))
        .json(&json!({ "input": input, "metadata": { "note": PROMPT } }));
    let answer = send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    traced.collector.one("invoke_agent journey").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_said_is_in_a_span() {
    let traced = Traced::start(|config| {
        let header = (
            "authorization".to_owned(),
            bulkhead::kit::Secret::new(format!("Bearer {SENT}")),
        );
        config.tracing.headers.extend([header]);
    })
    .await;
    sing(&traced).await;
    let spans = traced.collector.spans();
    assert!(
        spans
            .iter()
            .filter(|span| span.name == "chat scripted")
            .count()
            >= 3,
        "{spans:#?}"
    );
    let sinks = sinks(&traced);
    for canary in [PROMPT, ANSWERED, SENT, PASTED, KEY, &traced.client.key] {
        assert_eq!(leaks(&sinks, canary), Vec::<String>::new(), "{canary}");
    }
    // The search finds what is there.
    assert!(!leaks(&sinks, "journey").is_empty());
    assert_eq!(forms(PROMPT).len(), 6);
    // The collector's own header goes to the collector, and is shown nowhere.
    let got = traced.collector.exports().remove(0);
    assert_eq!(got.header("authorization"), format!("Bearer {SENT}"));
    let shown = format!("{:?}", traced.host.host().app.config.tracing);
    assert!(!shown.contains(SENT), "{shown}");
    let written = serde_json::to_string(&*traced.host.host().app.config).expect("it is plain");
    assert!(!written.contains(SENT), "{written}");
    traced.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_is_there_where_it_is_wanted_and_credentials_are_not() {
    let traced = Traced::start(|config| config.tracing.content = true).await;
    sing(&traced).await;
    let sinks = sinks(&traced);
    for canary in [PASTED, KEY, SENT, &traced.client.key] {
        assert_eq!(leaks(&sinks, canary), Vec::<String>::new(), "{canary}");
    }
    let said = |name: &str, attribute: &str| {
        let spans = traced.collector.named(name);
        spans[0]
            .get(attribute)
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    for (name, attribute, canary) in [
        ("invoke_agent journey", "gen_ai.input.messages", PROMPT),
        ("invoke_agent journey", "gen_ai.output.messages", ANSWERED),
        ("chat scripted", "gen_ai.input.messages", PROMPT),
        ("chat scripted", "gen_ai.output.messages", ANSWERED),
        ("retrieval", "gen_ai.retrieval.query.text", PROMPT),
    ] {
        let text = said(name, attribute);
        assert!(text.contains(canary), "{name} {attribute}: {text}");
    }
    assert!(!said("chat scripted", "gen_ai.output.messages").contains(KEY));
    traced.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_is_cut() {
    let traced = Traced::start(|config| config.tracing.content = true).await;
    // Two bytes for each letter, from an odd place: no cut falls between two of them.
    let long = format!("say x{}", "é".repeat(20_000));
    traced.run(&long).await;
    let agent = traced.collector.one("invoke_agent journey").await;
    for attribute in ["gen_ai.input.messages", "gen_ai.output.messages"] {
        let text = agent.get(attribute).as_str().unwrap_or_default().to_owned();
        let messages: serde_json::Value = serde_json::from_str(&text).expect("it is JSON still");
        let content = messages[0]["parts"][0]["content"].as_str().expect("a text");
        assert!(
            (4_094..=4_096).contains(&content.len()),
            "{attribute}: {}",
            content.len()
        );
    }
    traced.host.stop().await;
}

/// The names of a host's own configuration, for who reads this: a second host without content beside one with it.
#[tokio::test(flavor = "multi_thread")]
async fn content_is_each_hosts_own_choice() {
    let traced = Traced::start(|config| config.tracing.content = true).await;
    let second: TestHost = traced
        .host
        .join_with(|config| config.tracing.content = false)
        .await;
    let client = traced.client.at(&second.url());
    client
        .run("journey", &json!({ "input": format!("say {PROMPT}") }))
        .await;
    let agent = traced.collector.one("invoke_agent journey").await;
    assert_eq!(agent.get("gen_ai.input.messages"), serde_json::Value::Null);
    second.stop().await;
    traced.host.stop().await;
}
