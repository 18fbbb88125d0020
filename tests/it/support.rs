//! The main job: a question about Bulkhead's own handbook, answered by the support template from the handbook, with
//! the built-in offline model and with an OpenAI-compatible one, through the same guest and the same contract.

use bulkhead_tests::client::{Event, stop_reason, text};
use bulkhead_tests::provider::{Answer, Provider};
use bulkhead_tests::{Client, TestHost, guests};
use serde_json::json;

/// A host with the handbook in its knowledge and the support template deployed.
async fn support() -> (TestHost, Client) {
    let host = TestHost::start_with(|config| {
        config.knowledge = bulkhead::knowledge::Config::default();
    })
    .await;
    let client = host.client("acme").await;
    client.deploy("support", &guests::template("support")).await;
    let docs = guests::root().join("templates/support/knowledge");
    let files =
        bulkhead::knowledge::ingest::collect(&docs, &host.host().app.knowledge.config().ingest)
            .unwrap_or_else(|error| panic!("the handbook: {error:?}"));
    assert!(files.len() > 10, "the handbook has pages");
    for file in files {
        let entry = file.read().unwrap_or_else(|error| panic!("{error:?}"));
        let put = client
            .post(
                "/knowledge/entries",
                &serde_json::to_value(&entry).expect("an entry is JSON"),
            )
            .await;
        assert_eq!(put.status, 201, "{}", put.text);
    }
    (host, client)
}

fn sources(events: &[Event]) -> Vec<&str> {
    let citations = events.iter().filter(|event| event.kind == "citation");
    citations
        .filter_map(|event| event.data["source"].as_str())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_ask_and_the_handbook_answers_with_citations() {
    let (_host, client) = support().await;
    let questions = [
        ("how do i stop a run??", "cancelling-runs.md"),
        (
            "what happens when a guest uses too much memory",
            "limits.md",
        ),
        (
            "How can I deploy a new version of my agent?",
            "deploying-versions.md",
        ),
        ("where do i get an API key", "api-keys.md"),
        ("PostgreSQL was not found, what now?", "troubleshooting.md"),
        ("add documents to the knowledge", "knowledge.md"),
    ];
    for (question, page) in questions {
        let events = client.run("support", &json!({ "input": question })).await;
        assert_eq!(stop_reason(&events), "end_turn", "{question}");
        let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(kinds.first(), Some(&"started"));
        let text = text(&events);
        let cited = sources(&events);
        assert!(
            cited.contains(&page),
            "{question}: cited {cited:?}, said {text}"
        );
        assert!(
            (1..=6).any(|n| text.contains(&format!("[{n}]"))),
            "{question}: {text}"
        );
        // A citation follows the text that makes it.
        let first_text = kinds.iter().position(|kind| *kind == "text");
        let first_citation = kinds.iter().position(|kind| *kind == "citation");
        assert!(first_text < first_citation, "{kinds:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_citation_stands_in_the_entry_it_names() {
    let (host, client) = support().await;
    let events = client
        .run("support", &json!({ "input": "how do i stop a run??" }))
        .await;
    let mut checked = 0;
    for event in events.iter().filter(|event| event.kind == "citation") {
        let entry = event.data["entry"]
            .as_str()
            .expect("citations name their entry");
        let content = client
            .get(&format!("/knowledge/entries/{entry}"))
            .await
            .json();
        let content = content["content"]
            .as_str()
            .expect("entries have content")
            .to_owned();
        let at = |name: &str| {
            usize::try_from(event.data[name].as_u64().expect("offsets")).expect("small")
        };
        let span = &content[at("start_byte")..at("end_byte")];
        assert_eq!(span, event.data["quote"].as_str().expect("citations quote"));
        checked += 1;
    }
    assert!(checked > 0, "something was cited");
    drop(host);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_connection_generates_from_the_same_passages() {
    let (_host, client) = support().await;
    let provider = Provider::start().await;
    let connection = json!({
        "kind": "openai", "base_url": provider.base_url(), "api_key": "sk-support", "default_model": "m-1",
    });
    let put = client.put("/model-connections/default", &connection).await;
    assert!(put.status.is_success(), "{}", put.text);
    provider.script(vec![Answer::pieces(&[
        "Send a ",
        "cancel request [",
        "1] and ",
        "it stops.",
    ])]);
    let events = client
        .run("support", &json!({ "input": "how do i stop a run??" }))
        .await;
    assert_eq!(text(&events), "Send a cancel request [1] and it stops.");
    assert_eq!(
        sources(&events).len(),
        1,
        "the one marker, split over two pieces, is one citation"
    );
    assert_eq!(stop_reason(&events), "end_turn");
    let request = provider
        .requests()
        .pop()
        .expect("the provider was asked")
        .body;
    let asked = request.to_string();
    assert!(
        asked.contains("how do i stop a run??") && asked.contains("[1]"),
        "{asked}"
    );
    let done = events.last().expect("runs end");
    let counted = provider.counted();
    assert_eq!(done.data["usage"]["input_tokens"], counted.input);
    assert_eq!(done.data["usage"]["output_tokens"], counted.output);
    assert_eq!(done.data["usage"]["estimated"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_the_handbook_does_not_answer_is_not_made_up() {
    let (_host, client) = support().await;
    let events = client
        .run("support", &json!({ "input": "zebra quagga okapi?" }))
        .await;
    assert_eq!(stop_reason(&events), "end_turn");
    assert!(
        sources(&events).is_empty(),
        "nothing fits, nothing is cited: {}",
        text(&events)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_holds_every_outside_answer() {
    let (_host, client) = support().await;
    let mut events = client
        .stream("support", &json!({ "input": "how do i stop a run??" }))
        .await;
    let run = events.run();
    events.next_of("done").await;
    let steps = client
        .get(&format!("/agents/support/runs/{run}/steps"))
        .await
        .json();
    let kinds: Vec<&str> = steps["data"]
        .as_array()
        .expect("steps")
        .iter()
        .filter_map(|step| step["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["knowledge.search", "model.generate"]);
    assert!(steps["data"][0]["response"]["ok"].is_array(), "{steps}");
}
