//! Runs that a guardrail ends: each kind hit and just not hit, what is said of it everywhere, and that the run replays
//! and resumes like any other.
#![expect(clippy::too_many_lines, reason = "tables are long")]

use bulkhead_tests::TestHost;
use bulkhead_tests::client::{Event, stop_reason, text};
use bulkhead_tests::provider::{Answer, Provider};
use serde_json::{Value, json};

use super::{connect, guarded, violations};
use crate::{guests, replay};

/// One end: what is declared, what is done, what the models answer, and what ends it.
struct Row {
    agent: &'static str,
    guardrail: &'static str,
    input: &'static str,
    answers: Vec<Answer>,
    /// Where it is ended, if it is, and what is told.
    ended: Option<(&'static str, Value)>,
    /// What was said before.
    said: &'static str,
}

fn rows() -> Vec<Row> {
    let one = || Answer::text("one two three");
    let row = |agent, guardrail, input, answers, ended, said| Row {
        agent,
        guardrail,
        input,
        answers,
        ended,
        said,
    };
    let calls = |name: &'static str| Answer::tool_calls(&[("1", name, "{}")]);
    vec![
        row(
            "journey",
            "max_iterations=2",
            "ask a\nask b",
            vec![one(), one()],
            None,
            "one two threeone two three",
        ),
        row(
            "journey",
            "max_iterations=1",
            "ask a\nask b",
            vec![one()],
            Some(("model", json!({ "limit": 1 }))),
            "one two three",
        ),
        row(
            "journey",
            "max_tokens=6",
            "ask a\nask b",
            vec![one(), one()],
            None,
            "one two threeone two three",
        ),
        row(
            "journey",
            "max_tokens=5",
            "ask a\nask b",
            vec![one(), one()],
            Some(("model", json!({ "limit": 5, "output_tokens": 6 }))),
            "one two threeone two three",
        ),
        row(
            "journey",
            "max_tokens=3",
            "ask a\nask b",
            vec![one()],
            Some(("model", json!({ "limit": 3, "output_tokens": 3 }))),
            "one two three",
        ),
        row(
            "journey",
            "max_tool_calls=2",
            "tool add\ntool add\nsay on",
            vec![],
            None,
            "on",
        ),
        row(
            "journey",
            "max_tool_calls=1",
            "say before\ntool add\ntool add\nsay on",
            vec![],
            Some(("tool", json!({ "limit": 1 }))),
            "before",
        ),
        row(
            "journey",
            "require_tool_allowlist=add",
            "tool add\nsay on",
            vec![],
            None,
            "on",
        ),
        row(
            "journey",
            "require_tool_allowlist=add,sub",
            "tool mul\nsay on",
            vec![],
            Some(("tool", json!({ "allowed": 2 }))),
            "",
        ),
        row(
            "generate",
            "require_tool_allowlist=add",
            "what is it",
            vec![calls("mul")],
            Some(("tool", json!({ "allowed": 1 }))),
            "",
        ),
        row(
            "journey",
            "require_citation",
            "search stop a run\nsay so it is",
            vec![],
            Some(("finish", json!({ "passages": 1, "citations": 0 }))),
            "[Stopping]so it is",
        ),
        row(
            "journey",
            "require_citation",
            "search zebra\nsay nothing is known",
            vec![],
            None,
            "nothing is known",
        ),
        row(
            "journey",
            "require_citation",
            "say without knowledge",
            vec![],
            None,
            "without knowledge",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_hit_and_just_not_hit() {
    let host = TestHost::start().await;
    let provider = Provider::start().await;
    let client = host.client("acme").await;
    connect(&client, &provider).await;
    let entry = json!({ "title": "Stopping", "content": "To stop a run, cancel it." });
    assert!(
        client
            .post("/knowledge/entries", &entry)
            .await
            .status
            .is_success()
    );
    host.run_jobs().await;
    for (n, row) in rows().into_iter().enumerate() {
        let guest = if row.agent == "journey" {
            &guests::JOURNEY
        } else {
            &guests::GENERATE
        };
        let agent = format!("a{n}");
        guarded(&host, &agent, guest, &[row.guardrail]).await;
        provider.forget();
        provider.script(row.answers);
        let events = client.run(&agent, &json!({ "input": row.input })).await;
        assert_eq!(text(&events), row.said, "{}: {}", row.guardrail, row.input);
        let run = events[0].data["run"]
            .as_str()
            .expect("it says which")
            .to_owned();
        match row.ended {
            Some((at, detail)) => {
                is_blocked(&events, (row.guardrail, at), &detail);
                let view = client.show(&agent, &run).await;
                assert_eq!(
                    (&view["state"], &view["stop_reason"]),
                    (
                        &json!("blocked"),
                        &events.last().expect("done").data["stop_reason"]
                    )
                );
                assert_eq!(view["blocked"], events[events.len() - 2].data);
                let rows = violations(&client, &run).await;
                assert_eq!(rows.len(), 1, "{rows:?}");
                assert_eq!(
                    (&rows[0]["action"], &rows[0]["detail"], &rows[0]["at"]),
                    (&json!("blocked"), &detail, &json!(at))
                );
            }
            None => {
                assert_eq!(
                    stop_reason(&events),
                    "end_turn",
                    "{}: {}",
                    row.guardrail,
                    row.input
                );
                assert!(violations(&client, &run).await.is_empty());
            }
        }
        replay::is_the_same(&client, &agent, &run).await;
    }
    host.stop().await;
}

fn is_blocked(events: &[Event], (rule, at): (&str, &str), detail: &Value) {
    let [.., blocked, done] = events else {
        panic!("{} events", events.len());
    };
    let kind = rule.split(['=', ':']).next().expect("a kind");
    assert_eq!(
        (blocked.kind.as_str(), done.kind.as_str()),
        ("blocked", "done")
    );
    assert_eq!(done.data["state"], "blocked");
    assert_eq!(done.data["stop_reason"], format!("blocked:{kind}"));
    assert_eq!(blocked.data["kind"], kind);
    assert_eq!(blocked.data["rule"], rule);
    assert_eq!(blocked.data["at"], at);
    assert_eq!(&blocked.data["detail"], detail);
    let keys: Vec<&String> = blocked
        .data
        .as_object()
        .expect("an object")
        .keys()
        .collect();
    assert_eq!(keys, ["at", "detail", "kind", "message", "rule"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_told_what_is_left_and_not_of_other_tools() {
    let host = TestHost::start().await;
    let provider = Provider::start().await;
    let client = guarded(&host, "journey", &guests::JOURNEY, &["max_tokens=7"]).await;
    connect(&client, &provider).await;
    provider.script(vec![Answer::text("one two three"), Answer::text("four")]);
    client
        .run("journey", &json!({ "input": "ask a\nask b" }))
        .await;
    let asked: Vec<Value> = provider
        .requests()
        .iter()
        .map(|request| request.body.clone())
        .collect();
    let caps: Vec<Option<u64>> = asked
        .iter()
        .map(|body| {
            body["max_completion_tokens"]
                .as_u64()
                .or(body["max_tokens"].as_u64())
        })
        .collect();
    assert_eq!(caps, [Some(7), Some(4)]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_cannot_opt_out_of_what_it_declares() {
    let host = TestHost::start().await;
    host.deploy("acme", "warden", &guests::WARDEN).await;
    let client = host.client("acme").await;
    for (input, reason) in [
        ("add sub", "end_turn"),
        ("add add add", "blocked:max_tool_calls"),
        ("add mul", "blocked:require_tool_allowlist"),
    ] {
        let events = client.run("warden", &json!({ "input": input })).await;
        assert_eq!(stop_reason(&events), reason, "{input}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_of_violations_holds_for_its_pages() {
    let host = TestHost::start().await;
    let client = guarded(&host, "warden", &guests::WARDEN, &["max_tool_calls=0"]).await;
    for _ in 0..5 {
        client.run("warden", &json!({ "input": "add" })).await;
    }
    let mut path = "/guardrails/violations?limit=2&kind=max_tool_calls&agent=warden".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = client.get(&path).await.json();
        seen.extend(page["data"].as_array().cloned().unwrap_or_default());
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        let other = client
            .get(&format!("/guardrails/violations?limit=2&cursor={next}"))
            .await;
        assert_eq!(other.refusal(), (400, "invalid_cursor".to_owned()));
        path = format!(
            "/guardrails/violations?limit=2&kind=max_tool_calls&agent=warden&cursor={next}"
        );
    }
    assert_eq!(seen.len(), 5);
    for path in [
        "?action=lost",
        "?run=x",
        "?from=yesterday",
        "?colour=red",
        "?limit=0",
    ] {
        let refused = client.get(&format!("/guardrails/violations{path}")).await;
        assert_eq!(refused.status, 400, "{path}: {}", refused.text);
    }
    let other = host.client("globex").await;
    let none = other.get("/guardrails/violations").await.json();
    assert_eq!(none["data"], json!([]));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_about_something_else_is_refused_politely() {
    let host = TestHost::start().await;
    let provider = Provider::start().await;
    let client = guarded(
        &host,
        "journey",
        &guests::JOURNEY,
        &["topic=bicycles", "max_iterations=1"],
    )
    .await;
    connect(&client, &provider).await;
    let hello = || Answer::text("hello you");
    let refused = "I am sorry, I cannot help with that here. What I can help with: bicycles.";
    for (classifier, said, reason) in [
        (Answer::text("no"), refused, "blocked:topic"),
        (Answer::pieces(&["N", "o."]), refused, "blocked:topic"),
        (Answer::text("yes"), "hello you", "end_turn"),
        (Answer::text("no idea what to say"), "hello you", "end_turn"),
        (Answer::status(400, "no"), "hello you", "end_turn"),
    ] {
        provider.forget();
        provider.script(vec![classifier, hello()]);
        let before = provider.requests().len();
        let events = client.run("journey", &json!({ "input": "ask how" })).await;
        assert_eq!(
            (text(&events).as_str(), stop_reason(&events)),
            (said, reason)
        );
        let run = events[0].data["run"]
            .as_str()
            .expect("it says which")
            .to_owned();
        let asked = &provider.requests()[before].body;
        assert!(asked.to_string().contains("bicycles"), "{asked}");
        let steps = client
            .get(&format!("/agents/journey/runs/{run}/steps"))
            .await
            .json();
        let steps = steps
            .as_array()
            .or(steps["data"].as_array())
            .map_or(0, Vec::len);
        assert_eq!(
            steps,
            if reason == "end_turn" { 2 } else { 1 },
            "the question is a step"
        );
        let view = client.show("journey", &run).await;
        assert!(
            view["usage"]["input_tokens"].as_i64() > Some(0),
            "and is metered: {view}"
        );
        let report = replay::is_the_same(&client, "journey", &run).await;
        assert_eq!(
            report["recorded"]["usage"]["output_tokens"],
            view["usage"]["output_tokens"]
        );
    }
    host.stop().await;
}
