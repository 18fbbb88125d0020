//! The OpenAI-compatible client where its provider behaves, and where it asks to wait: the request on the wire, text,
//! tool calls, the count, retries, the breaker.

use std::time::Duration;

use bulkhead::models::chat::{
    FinishReason, Message, Part, Passage, Role, Tool, ToolCall, ToolResult,
};
use bulkhead::models::{Chunk, Config, GenerateError, Request};
use bulkhead_tests::provider::{Answer, How};
use serde_json::json;

use super::{KEY, Room, message, request};

#[tokio::test]
async fn an_answer_streams_with_the_providers_count() {
    let room = Room::connected().await;
    room.provider
        .when("greet", Answer::pieces(&["Grüß ", "Gott, ", "🦀!"]));
    let outcome = room.ask("greet me").await;
    assert_eq!(outcome.text(), "Grüß Gott, 🦀!");
    assert_eq!(outcome.chunks.len(), 4);
    let (finish, counted) = (outcome.finish(), room.provider.counted());
    assert_eq!(finish.reason, FinishReason::Stop);
    assert_eq!(
        (finish.input_tokens, finish.output_tokens),
        (counted.input, counted.output)
    );
    let total = outcome.meter.total();
    assert_eq!(
        (total.input, total.output, total.estimated),
        (counted.input, counted.output, false)
    );
    let received = &room.provider.requests()[0];
    assert_eq!(received.path, "/v1/chat/completions");
    assert_eq!(
        received.authorization.as_deref(),
        Some(format!("Bearer {KEY}").as_str())
    );
    assert_eq!(room.provider.closed_connections(), 0);
}

#[tokio::test]
async fn a_request_says_everything_it_was_given() {
    let room = Room::connected().await;
    let passage = |number, title: &str, text: &str| Passage {
        number,
        title: title.to_owned(),
        text: text.to_owned(),
    };
    let call = ToolCall {
        id: "c1".into(),
        name: "look".into(),
        arguments: "{\"a\":1}".into(),
    };
    let result = |failed| {
        Part::ToolResult(ToolResult {
            id: "c1".into(),
            content: "gone".into(),
            failed,
        })
    };
    let found = vec![
        passage(1, "One\nline", "First."),
        passage(2, "Two", "Second."),
    ];
    let with = |role, parts| Message { role, parts };
    let asked = Request {
        messages: vec![
            message(Role::System, "Be brief."),
            with(
                Role::User,
                vec![Part::Passages(found), Part::Text("Why?".into())],
            ),
            with(Role::Assistant, vec![Part::ToolCall(call)]),
            with(Role::Tool, vec![result(false), result(true)]),
        ],
        tools: vec![Tool {
            name: "look".into(),
            description: "Looks.".into(),
            input_schema: "{\"type\":\"object\"}".into(),
        }],
        max_tokens: Some(5),
    };
    room.generate("default/large", asked).await.finish();
    let mut body = room.provider.requests()[0].body.clone();
    let user = body["messages"][1]["content"].take();
    let user = user.as_str().unwrap();
    assert!(
        user.ends_with("\n\n[1] One line\nFirst.\n\n[2] Two\nSecond.\n\nWhy?"),
        "{user}"
    );
    assert!(user.contains("such as [1]"));
    let call = json!({ "id": "c1", "type": "function", "function": { "name": "look", "arguments": "{\"a\":1}" } });
    let expected = json!({
        "model": "large", "stream": true, "stream_options": { "include_usage": true }, "max_tokens": 5,
        "tools": [{ "type": "function", "function": {
            "name": "look", "description": "Looks.", "parameters": { "type": "object" } } }],
        "messages": [
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": null },
            { "role": "assistant", "content": null, "tool_calls": [call] },
            { "role": "tool", "tool_call_id": "c1", "content": "gone" },
            { "role": "tool", "tool_call_id": "c1", "content": "The tool failed: gone" },
        ],
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn tool_calls_come_whole_and_in_order() {
    let room = Room::connected().await;
    let calls = [
        ("a", "first", "{\"x\":\"é🦀\"}"),
        ("b", "second", "{}"),
        ("c", "third", "[1,2,3]"),
    ];
    let whole: Vec<Chunk> = calls
        .iter()
        .map(|(id, name, arguments)| {
            Chunk::ToolCall(ToolCall {
                id: (*id).to_owned(),
                name: (*name).to_owned(),
                arguments: (*arguments).to_owned(),
            })
        })
        .collect();
    room.provider.script(vec![
        Answer::tool_calls(&calls),
        Answer::tool_calls(&calls).how(How::SplitEveryByte),
    ]);
    for _ in 0..2 {
        let outcome = room.ask("go").await;
        assert_eq!(outcome.chunks[..3], whole);
        assert_eq!(outcome.finish().reason, FinishReason::ToolCalls);
    }
}

#[tokio::test]
async fn dialects_of_tool_calls_are_understood() {
    let room = Room::connected().await;
    let call =
        |fields: serde_json::Value| json!({ "choices": [{ "delta": { "tool_calls": [fields] } }] });
    let end = |reason: &str| json!({ "choices": [{ "delta": {}, "finish_reason": reason }] });
    let ask = async |events: Vec<serde_json::Value>| {
        room.provider.script(vec![Answer::events(events)]);
        let outcome = room.ask("go").await;
        let finish = outcome.finish().reason;
        let calls = outcome.chunks.into_iter().filter_map(|chunk| match chunk {
            Chunk::ToolCall(call) => Some(format!("{} {} {}", call.id, call.name, call.arguments)),
            _ => None,
        });
        (calls.collect::<Vec<_>>(), finish)
    };
    let f = |name: &str, arguments: &str| json!({ "name": name, "arguments": arguments });
    // No index, no id, `stop` at the end, no arguments.
    let got = ask(vec![call(json!({ "function": f("now", "") })), end("stop")]).await;
    assert_eq!(
        got,
        (vec!["call_1 now {}".to_owned()], FinishReason::ToolCalls)
    );
    // The same index for different calls; the id repeated with each piece.
    let events = vec![
        call(json!({ "index": 0, "id": "a", "function": f("one", "{") })),
        call(json!({ "index": 0, "id": "a", "function": { "arguments": "}" } })),
        call(json!({ "index": 0, "id": "b", "function": f("two", "{}") })),
        end("tool_calls"),
    ];
    assert_eq!(ask(events).await.0, ["a one {}", "b two {}"]);
    // A call the token limit cut is none.
    let events = vec![
        call(json!({ "index": 0, "id": "a", "function": f("one", "{}") })),
        call(json!({ "index": 1, "id": "b", "function": f("two", "{\"x\":") })),
        end("length"),
    ];
    assert_eq!(
        ask(events).await,
        (vec!["a one {}".to_owned()], FinishReason::MaxTokens)
    );
    assert_eq!(
        ask(vec![end("content_filter")]).await.1,
        FinishReason::Refused
    );
    // Thoughts in a form of their own, another choice, nulls: passed over.
    let odd = json!({ "choices": [{ "index": 1, "delta": { "content": "no" } },
        { "index": 0, "delta": { "role": null, "content": [{ "type": "thinking" }] }, "finish_reason": null }] });
    assert_eq!(
        ask(vec![odd, json!({ "choices": null }), end("stop")]).await,
        (vec![], FinishReason::Stop)
    );
}

#[tokio::test]
async fn a_missing_count_is_estimated_and_flagged() {
    let room = Room::connected().await;
    room.provider
        .script(vec![Answer::text("12345678 9").without_usage()]);
    let outcome = room.ask("12345").await;
    let finish = outcome.finish();
    assert_eq!(
        (finish.input_tokens, finish.output_tokens, finish.estimated),
        (2, 3, true)
    );
    assert!(outcome.meter.total().estimated);
}

#[tokio::test]
async fn a_request_is_tried_again_before_the_first_byte() {
    let room = Room::connected().await;
    room.provider.script(vec![
        Answer::status(503, "busy"),
        Answer::text("").how(How::Refuse),
        Answer::text("third time"),
    ]);
    let outcome = room.ask("go").await;
    assert_eq!(outcome.text(), "third time");
    assert_eq!(room.provider.requests().len(), 3);
    assert_eq!(outcome.meter.total().output, 2);

    room.provider.script(vec![
        Answer::rate_limited("0"),
        Answer::text("after the wait"),
    ]);
    assert_eq!(room.ask("go").await.text(), "after the wait");
    assert_eq!(room.provider.requests().len(), 5);
}

#[tokio::test]
async fn a_failure_that_stays_is_told() {
    let room = Room::connected().await;
    room.provider.script(vec![Answer::rate_limited("30")]);
    let outcome = room.ask("go").await;
    let GenerateError::RateLimited(wait) = outcome.error() else {
        panic!("{outcome:?}")
    };
    assert_eq!(*wait, Some(Duration::from_secs(30)));
    assert_eq!(
        outcome.meter.total(),
        Default::default(),
        "nothing was generated"
    );
    room.provider
        .script(vec![Answer::rate_limited("Fri, 02 Jan 2026 03:05:05 GMT")]);
    let outcome = room.ask("go").await;
    assert!(
        matches!(outcome.error(), GenerateError::RateLimited(Some(wait)) if wait.as_secs() == 60),
        "{outcome:?}"
    );
    assert_eq!(room.provider.requests().len(), 2);

    let body = format!(
        "{{\"error\":{{\"message\":\"Bad key {KEY}\\n{}\"}}}}",
        "x".repeat(5_000)
    );
    room.provider.script(vec![Answer::status(401, &body)]);
    let outcome = room.ask("go").await;
    let text = outcome.refused();
    assert!(
        text.starts_with("The provider answered 401: Bad key [secret] xxx"),
        "{text}"
    );
    assert!(text.len() <= 1_024);
    room.provider.script(vec![Answer::status(307, "")]);
    assert!(
        room.ask("go")
            .await
            .refused()
            .contains("redirects are not followed")
    );
    room.provider
        .script(vec![Answer::status(200, r#"{"choices":[]}"#)]);
    assert!(room.ask("go").await.broken().contains("did not stream"));
    assert_eq!(
        room.provider.requests().len(),
        5,
        "none of these is tried again"
    );

    room.provider.script(vec![
        Answer::status(500, "a"),
        Answer::status(500, "b"),
        Answer::status(500, "c"),
    ]);
    let outcome = room.ask("go").await;
    assert_eq!(outcome.refused(), "The provider answered 500: c");
    assert_eq!(outcome.meter.total(), Default::default());
}

#[tokio::test]
async fn a_connection_that_keeps_failing_rests() {
    let config = Config {
        tries: 1,
        breaker_failures: 3,
        breaker_rest_ms: 5_000,
        ..Config::for_test()
    };
    let room = Room::connected_with(config).await;
    let down = || Answer::status(500, "down");
    room.provider.script(vec![down(), down(), down()]);
    for _ in 0..3 {
        assert!(room.ask("go").await.refused().contains("500"));
    }
    let outcome = room.ask("go").await;
    assert!(
        outcome
            .refused()
            .contains("failed 3 times in a row and rests"),
        "{outcome:?}"
    );
    assert_eq!(outcome.meter.total(), Default::default());
    assert_eq!(room.provider.requests().len(), 3);
    // One may try after the rest; its failure begins another, its answer ends it.
    room.clock.advance(Duration::from_secs(5));
    room.provider.script(vec![down()]);
    assert!(room.ask("go").await.refused().contains("500"));
    assert!(room.ask("go").await.refused().contains("rests"));
    room.clock.advance(Duration::from_secs(5));
    room.ask("go").await.finish();
    room.ask("go").await.finish();
}

#[tokio::test]
async fn what_the_contract_forbids_never_reaches_the_wire() {
    let room = Room::connected().await;
    let message_of = |role, part| Request {
        messages: vec![Message {
            role,
            parts: vec![part],
        }],
        ..Request::default()
    };
    let tool = |name: &str, schema: &str| Request {
        tools: vec![Tool {
            name: name.to_owned(),
            description: String::new(),
            input_schema: schema.to_owned(),
        }],
        ..request("go")
    };
    let call = ToolCall {
        id: "x".repeat(257),
        name: String::new(),
        arguments: String::new(),
    };
    for odd in [
        Request::default(),
        Request {
            max_tokens: Some(0),
            ..request("go")
        },
        Request {
            messages: vec![message(Role::User, "go"); 1_001],
            ..Request::default()
        },
        Request {
            tools: vec![tool("a", "{}").tools.remove(0); 65],
            ..request("go")
        },
        tool("a b", "{}"),
        tool("a", "[]"),
        tool("a", &"[".repeat(100_000)),
        message_of(Role::Tool, Part::Text("x".into())),
        message_of(Role::User, Part::ToolCall(call.clone())),
        message_of(Role::Assistant, Part::ToolCall(call)),
    ] {
        let outcome = room.generate("default", odd).await;
        assert!(
            matches!(outcome.error(), GenerateError::Invalid(_)),
            "{outcome:?}"
        );
    }
    assert!(room.provider.requests().is_empty());
}
