//! Replays on another version: what it asks is answered by order and kind, and what differs is told readably.

use bulkhead_tests::TestHost;
use bulkhead_tests::client::stop_reason;
use bulkhead_tests::raw::{Import, Raw};
use serde_json::{Value, json};

use super::{input, replay, told};
use crate::guests;

/// A guest that asks once, says one thing before and one thing after it.
fn asks(question: &str, said: &str) -> Vec<u8> {
    let fields =
        format!("(data (i32.const 4096) \"{said}\") (data (i32.const 8192) \"{question}\")");
    let length = said.replace("\\n", "\n").len();
    let run = format!(
        "(call $text (i32.const 4096) (i32.const {}))
         (call $search (i32.const 8192) (i32.const {}) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 600))
         (call $text (i32.const 4096) (i32.const {}))
         (i32.const 512)",
        length,
        question.len(),
        length
    );
    Raw {
        imports: &[Import::Output, Import::Knowledge],
        fields: &fields,
        run: &run,
        ..Raw::default()
    }
    .bytes()
}

/// A run of one component, and what its replay on another says.
async fn on_another(first: Vec<u8>, second: Vec<u8>) -> Value {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    client.deploy("agent", &first).await;
    let events = client.run("agent", &input("x")).await;
    assert_eq!(stop_reason(&events), "end_turn");
    let run = events[0].data["run"].as_str().unwrap().to_owned();
    client.deploy("agent", &second).await;
    super::is_the_same(&client, "agent", &run).await;
    let answer = replay(&client, "agent", &run, &json!({ "version": 2 })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let report = answer.json();
    assert_eq!(
        (&report["run"], &report["version"]),
        (&json!(run), &json!(2))
    );
    host.stop().await;
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn other_words_are_told() {
    let report = Box::pin(on_another(
        asks("how?", "one\\nold\\n"),
        asks("how?", "one\\nnew\\n"),
    ))
    .await;
    assert_eq!(told(&report), ["text"], "{report}");
    let text = &report["differences"][0];
    assert_eq!(
        text["diff"],
        "  one\n- old\n+ new\n  one\n- old\n+ new\n  \n"
    );
    assert_eq!(text["recorded"], "one\nold\none\nold\n");
    assert_eq!(report["same"], false);
    assert_eq!(report["beyond"], Value::Null);
    assert_eq!(report["replayed"]["stop_reason"], "end_turn");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_question_is_told_and_answered_as_recorded() {
    let report = Box::pin(on_another(asks("how?", "a"), asks("why?", "a"))).await;
    assert_eq!(told(&report), ["request"], "{report}");
    let request = &report["differences"][0];
    assert_eq!(
        (&request["step"], &request["kind"]),
        (&json!(1), &json!("knowledge.search"))
    );
    let diff = request["diff"].as_str().unwrap();
    assert!(
        diff.contains("-   \"text\": \"how?\"\n+   \"text\": \"why?\""),
        "{diff}"
    );
    assert!(request["recorded"].as_str().unwrap().contains("how?"));
    assert!(request["replayed"].as_str().unwrap().contains("why?"));
    assert_eq!(report["replayed"]["steps"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_kind_of_question_ends_it_there() {
    let sleeps = Raw {
        imports: &[Import::Output, Import::Clock],
        run: "(drop (call $sleep (i64.const 5))) (i32.const 512)",
        ..Raw::default()
    };
    let report = Box::pin(on_another(asks("how?", "a"), sleeps.bytes())).await;
    let beyond = &report["beyond"];
    assert_eq!(
        beyond["why"],
        "Step 1 was `knowledge.search`, the guest asked `clock.sleep`."
    );
    assert_eq!(
        (&beyond["step"], &beyond["kind"]),
        (&json!(1), &json!("clock.sleep"))
    );
    assert_eq!(report["same"], false);
    assert_eq!(report["replayed"]["stop_reason"], Value::Null);
    for what in ["journal", "text", "state", "stop_reason", "fuel", "steps"] {
        assert!(told(&report).contains(&what), "{what} in {report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_beyond_the_journal_ends_it_there() {
    let report = Box::pin(on_another(Raw::default().bytes(), asks("how?", "a"))).await;
    assert_eq!(
        report["beyond"],
        json!({ "step": 1, "kind": "knowledge.search", "why": "The journal has no step 1." })
    );
    assert_eq!(report["replayed"]["output"], "a");
    assert_eq!(report["same"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_stopped_is_replayed_on_another_version_to_where_it_waits() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    host.deploy("acme", "agent", &guests::SLEEP).await;
    let mut events = client.stream("agent", &input("3600000")).await;
    let run = events.run();
    events.next_of("text").await;
    client.cancel("agent", &run).await;
    host.deploy("acme", "agent", &guests::LAST_WORDS).await;
    let report = replay(&client, "agent", &run, &json!({ "version": 2 }))
        .await
        .json();
    assert_eq!(report["beyond"]["kind"], "clock.sleep", "{report}");
    assert_eq!(report["replayed"]["stop_reason"], "cancelled");
    assert_eq!(report["replayed"]["output"], "first words, ");
    // One that does not stop where the first was stopped has its own end.
    host.deploy("acme", "agent", &guests::ECHO).await;
    let report = replay(&client, "agent", &run, &json!({ "version": 3 }))
        .await
        .json();
    assert_eq!(report["replayed"]["stop_reason"], "end_turn", "{report}");
    assert!(told(&report).contains(&"stop_reason"));
    host.stop().await;
}
