//! Recorded runs as tests: an agent that does what it did passes, another one is told what it does differently, and a
//! file that is no recording is refused with what to do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bulkhead_sdk::mock::{Difference, Recording};
use bulkhead_sdk::{Agent, Outcome, Result, Turn, agent, clock, memory, output, settings, tool};
use serde_json::{Value, json};

/// Tells the time.
#[tool]
fn time() -> Result<String> {
    Ok(clock::now().to_string())
}

/// Answers from knowledge, and tells the time.
#[agent(tools(time))]
fn clerk(turn: Turn) -> Result<Outcome> {
    Agent::new("Be brief.")
        .knowledge(2)
        .max_tokens(50)
        .run(&turn)
}

fn generated(chunks: &Value) -> Value {
    json!({ "ok": { "chunks": chunks, "error": null } })
}

fn finish(reason: &str) -> Value {
    let usage = json!({ "input_tokens": 9, "output_tokens": 2, "estimated": false });
    json!({ "Finish": { "reason": reason, "usage": usage } })
}

/// What the host recorded of a run of the clerk.
fn recorded() -> Value {
    let system = "Be brief.\n\nPassages from the organization's knowledge come with the question. Cite each \
                  statement you take from one by the passage's number in brackets, as in [1].";
    let passage = json!({ "number": 1, "title": "Hours > Weekdays", "text": "Open until 18:00." });
    let opening = json!([
        { "role": "System", "parts": [{ "Text": system }] },
        { "role": "User", "parts": [{ "Passages": [passage] }, { "Text": "open?" }] },
    ]);
    let call = json!({ "ToolCall": { "id": "c1", "name": "time", "arguments": "{}" } });
    let schema = (time::TOOL.input_schema)();
    let tools =
        json!([{ "name": "time", "description": "Tells the time.", "input_schema": schema }]);
    let mut more = opening.as_array().expect("it is a list").clone();
    more.push(json!({ "role": "Assistant", "parts": [call] }));
    let result = json!({ "id": "c1", "content": "1970-01-01T00:00:02.000Z", "failed": false });
    more.push(json!({ "role": "Tool", "parts": [{ "ToolResult": result }] }));
    let asked = |messages: &Value| {
        // A guardrail lowered it from 50.
        let request =
            json!({ "model": null, "messages": messages, "tools": tools, "max_tokens": 40 });
        json!({ "alias": "default", "request": request })
    };
    let found = json!({ "chunk": "chunk_1", "entry": "entry_1", "title": "Hours", "heading": "Weekdays",
        "source": null, "start_byte": 0, "text": "Open until 18:00.", "score": 1.5 });
    json!({
        "bulkhead_recording": 1, "run": "run_1", "agent": "clerk", "version": 3, "started_at_ms": 0,
        "messages": [{ "role": "user", "text": "open?" }],
        "steps": [
            { "kind": "guardrail.check", "ended_at_ms": 500, "request": {}, "response": { "ok": "allow" } },
            { "kind": "knowledge.search", "ended_at_ms": 1000, "request": { "text": "open?", "limit": 2, "tags": [] },
              "response": { "ok": [found] } },
            { "kind": "model.generate", "ended_at_ms": 2000, "request": asked(&opening),
              "response": generated(&json!([call, finish("ToolCalls")])) },
            { "kind": "model.generate", "ended_at_ms": 3000, "request": asked(&Value::Array(more)),
              "response": generated(&json!([{ "Text": "Until six " }, { "Text": "[1]." }, finish("Stop")])) },
        ],
        "said": [
            { "kind": "tool_call", "data": { "call": 1, "name": "time", "arguments": {} } },
            { "kind": "tool_result", "data": { "call": 1, "failed": false, "content": "1970-01-01T00:00:02.000Z" } },
            { "kind": "text", "data": { "text": "Until six " } },
            { "kind": "text", "data": { "text": "[1]." } },
            { "kind": "citation", "data": { "number": 1, "title": "Hours" } },
        ],
        "rewritten": false,
        "stop_reason": "end_turn",
    })
}

fn recording(file: &Value) -> Recording {
    Recording::parse(&file.to_string()).expect("it is one")
}

fn panics(work: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(work)).expect_err("it panics");
    panic
        .downcast_ref::<String>()
        .cloned()
        .expect("it says why")
}

#[test]
fn an_agent_that_does_what_it_did_passes() {
    let recording = recording(&recorded());
    assert_eq!(
        (recording.question(), recording.text().as_str()),
        ("open?", "Until six [1].")
    );
    let transcript = recording.replay(clerk);
    assert_eq!(transcript.text(), "Until six [1].");
    // The clock is the recorded one: the tool ran after the first generation had ended.
    let answer = &transcript.tool_calls()[0].answer;
    assert_eq!(answer.as_deref(), Ok("1970-01-01T00:00:02.000Z"));
    assert_eq!(transcript.citations()[0].title, "Hours");
    assert_eq!(transcript.outcome, Ok(Outcome::EndTurn));
}

#[test]
fn another_question_is_told_line_by_line_and_answered_as_recorded() {
    let wordy = |turn: Turn| {
        let turn = turn.offering(&[time::TOOL]);
        Agent::new("Be wordy.")
            .knowledge(3)
            .max_tokens(50)
            .run(&turn)
    };
    let (transcript, differences) = recording(&recorded()).compare(wordy);
    assert_eq!(transcript.text(), "Until six [1].");
    let whats: Vec<_> = differences
        .iter()
        .map(|difference| difference.what.as_str())
        .collect();
    assert_eq!(
        whats,
        [
            "call 1 (`knowledge.search`)",
            "call 2 (`model.generate`)",
            "call 3 (`model.generate`)"
        ]
    );
    assert_eq!(
        differences[0].diff,
        "  text: open?\n- limit: 2\n+ limit: 3\n  tags: \n"
    );
    assert!(
        differences[1]
            .diff
            .contains("- system: Be brief.\n+ system: Be wordy.\n"),
        "{}",
        differences[1]
    );
    let told = panics(|| drop(recording(&recorded()).replay(wordy)));
    assert!(
        told.starts_with("the agent does not do what the recording recorded"),
        "{told}"
    );
    assert!(
        told.contains("+ system: Be wordy.") && told.contains("bulkhead runs export"),
        "{told}"
    );
}

#[test]
fn what_it_says_and_how_it_ends_is_compared() {
    let late = |turn: Turn| {
        clerk(turn)?;
        output::text("!");
        Ok::<_, bulkhead_sdk::Error>(Outcome::MaxIterations)
    };
    let (_, differences) = recording(&recorded()).compare(late);
    let expected = [
        ("the answer", "- Until six [1].\n+ Until six [1].!\n"),
        ("its end", "- end_turn\n+ max_iterations\n"),
    ];
    let expected = expected.map(|(what, diff)| Difference {
        what: what.to_owned(),
        diff: diff.to_owned(),
    });
    assert_eq!(differences, expected);
    // What a guardrail changed is not what the agent said.
    let mut rewritten = recorded();
    rewritten["rewritten"] = json!(true);
    let (_, differences) = recording(&rewritten).compare(late);
    assert_eq!(differences, expected[1..]);
}

#[test]
fn what_is_not_recorded_ends_the_test_with_why() {
    let asleep = |turn: Turn| {
        clock::sleep(Duration::from_secs(1));
        clerk(turn)
    };
    let told = panics(|| drop(recording(&recorded()).compare(asleep)));
    assert!(
        told.contains("was `knowledge.search`, and now it asks `clock.sleep`"),
        "{told}"
    );
    let greedy = |turn: Turn| {
        clerk(turn.clone())?;
        clerk(turn)
    };
    let told = panics(|| drop(recording(&recorded()).compare(greedy)));
    assert!(
        told.contains("asks `knowledge.search` as its call 4, and there were only 3"),
        "{told}"
    );
    let idle = |_: Turn| Ok::<_, bulkhead_sdk::Error>(Outcome::EndTurn);
    let (_, differences) = recording(&recorded()).compare(idle);
    assert_eq!(differences[0].what, "calls that were not made");
}

#[test]
fn a_failed_generation_fails_again() {
    let mut broken = recorded();
    broken["steps"][3]["response"] = generated(&json!([{ "Text": "Until " }]));
    broken["steps"][3]["response"]["ok"]["error"] = json!({ "Broken": "cut" });
    broken["said"] = json!([broken["said"][0], broken["said"][1], { "kind": "text", "data": { "text": "Until " } }]);
    broken["stop_reason"] = json!("model_error");
    let transcript = recording(&broken).replay(clerk);
    assert!(transcript.outcome.is_err_and(|error| error.is_from_model()));
    let mut refused = recorded();
    refused["steps"][1]["response"] = json!({ "err": { "Unavailable": "no index" } });
    refused["steps"]
        .as_array_mut()
        .expect("it is a list")
        .truncate(2);
    refused["said"] = json!([]);
    refused["stop_reason"] = json!("guest_error");
    recording(&refused).replay(clerk);
}

#[test]
fn a_file_that_is_no_recording_says_what_to_do() {
    let mut stopped = recorded();
    stopped["stop_reason"] = json!("cancelled");
    let mut lacking = recorded();
    lacking
        .as_object_mut()
        .expect("it is an object")
        .remove("steps");
    for (text, why) in [
        ("{".to_owned(), "is no JSON"),
        ("{}".to_owned(), "`bulkhead runs export` makes one"),
        (
            json!({ "bulkhead_recording": 2 }).to_string(),
            "this SDK reads 1",
        ),
        (
            stopped.to_string(),
            "ended as `cancelled`, not by its agent",
        ),
        (lacking.to_string(), "missing field `steps`"),
        (" ".repeat((4 << 20) + 1), "at most 4194304"),
    ] {
        let refused = Recording::parse(&text).expect_err(why);
        assert!(refused.contains(why), "{refused}");
    }
    let told = panics(|| drop(Recording::read("tests/fixtures/none.json")));
    assert!(
        told.contains("bulkhead runs export AGENT RUN --to tests/fixtures/none.json"),
        "{told}"
    );
}

/// Counts its runs.
#[agent]
fn counter(turn: Turn) -> Result<Outcome> {
    let seen = memory::get("seen")?.unwrap_or_default();
    memory::set("seen", &format!("{seen}{}", turn.text()))?;
    let tone = settings::get("tone").unwrap_or_default();
    output::text(&format!("{tone} {}", memory::keys("")?.join(",")));
    Ok(Outcome::EndTurn)
}

#[test]
fn the_memory_and_the_settings_are_those_of_the_run() {
    let step = |kind: &str, request: Value, ok: Value| json!({ "kind": kind, "ended_at_ms": 1, "request": request, "response": { "ok": ok } });
    let mut file = recorded();
    file["settings"] = json!({ "tone": "dry" });
    file["steps"] = json!([
        step("memory.get", json!({ "key": "seen" }), json!("I")),
        step(
            "memory.set",
            json!({ "key": "seen", "value": "Iopen?" }),
            Value::Null
        ),
        step(
            "memory.keys",
            json!({ "prefix": "", "after": null, "limit": 1000 }),
            json!(["name", "seen"])
        ),
    ]);
    file["said"] = json!([{ "kind": "text", "data": { "text": "dry name,seen" } }]);
    let transcript = recording(&file).replay(counter);
    assert_eq!(transcript.memory["seen"], "Iopen?");
    file["steps"][0]["response"] = json!({ "ok": null });
    let (_, differences) = recording(&file).compare(counter);
    assert_eq!(differences[0].what, "call 2 (`memory.set`)");
    assert!(
        differences[0]
            .diff
            .contains(r#"+ {"key":"seen","value":"open?"}"#),
        "{}",
        differences[0]
    );
}
