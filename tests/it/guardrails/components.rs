//! Guardrail components: what they say is done, at input, output and tools; and whatever else they do ends the run.
#![expect(clippy::print_stdout, reason = "figures are printed")]
#![expect(clippy::too_many_lines, reason = "tables are long")]

use std::time::Instant;

use bulkhead_tests::TestHost;
use bulkhead_tests::client::{stop_reason, text};
use bulkhead_tests::provider::{Answer, Provider};
use bulkhead_tests::raw::assemble;
use bulkhead_tests::raw::judge::{ALLOW, BLOCK, HANG, Judge, REWRITE};
use serde_json::{Value, json};

use super::{connect, guarded, violations};
use crate::{guests, replay};

fn judge(memory: &str, check: &str) -> Vec<u8> {
    let judge = Judge {
        memory,
        check,
        ..Judge::default()
    };
    judge.bytes()
}

/// What one place is answered, and any other allowed.
fn only(place: u32, verdict: &str) -> String {
    format!(
        "(if (result i32) (i32.eq (local.get $place) (i32.const {place})) (then {verdict}) (else {ALLOW}))"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_they_say_is_done_at_every_place() {
    let host = TestHost::start().await;
    let provider = Provider::start().await;
    let client = host.client("acme").await;
    connect(&client, &provider).await;
    let rows = [
        ("allows", ALLOW.to_owned(), "say hello", "hello", "end_turn"),
        (
            "input",
            only(0, REWRITE),
            "say hello",
            "? rewritten",
            "end_turn",
        ),
        (
            "output",
            only(1, REWRITE),
            "say hello",
            "rewritten",
            "end_turn",
        ),
        (
            "stops-input",
            only(0, BLOCK),
            "say hello",
            "",
            "blocked:component",
        ),
        (
            "stops-output",
            only(1, BLOCK),
            "say hello",
            "",
            "blocked:component",
        ),
    ];
    for (name, body, input, said, reason) in rows {
        client.deploy(name, &judge("1", &body)).await;
        let agent = format!("by-{name}");
        guarded(
            &host,
            &agent,
            &guests::JOURNEY,
            &[&format!("component={name}")],
        )
        .await;
        let events = client.run(&agent, &json!({ "input": input })).await;
        assert_eq!(
            (text(&events).as_str(), stop_reason(&events)),
            (said, reason),
            "{name}"
        );
        let run = events[0].data["run"]
            .as_str()
            .expect("it says which")
            .to_owned();
        let actions: Vec<Value> = violations(&client, &run)
            .await
            .iter()
            .map(|row| row["action"].clone())
            .collect();
        let expected: &[&str] = match (reason, name) {
            ("end_turn", "allows") => &[],
            ("end_turn", _) => &["rewritten"],
            _ => &["blocked"],
        };
        assert_eq!(actions, expected, "{name}");
        replay::is_the_same(&client, &agent, &run).await;
    }
    // The arguments of a tool, before the guest has them.
    for (name, body, reason) in [
        ("tools", only(2, BLOCK), "blocked:component"),
        ("no-json", only(2, REWRITE), "blocked:component"),
        (
            "json",
            only(2, "(call $says (i32.const 1) (i32.const 80) (i32.const 2))"),
            "end_turn",
        ),
    ] {
        client.deploy(name, &judge("1", &body)).await;
        let agent = format!("by-{name}");
        guarded(
            &host,
            &agent,
            &guests::GENERATE,
            &[&format!("component={name}")],
        )
        .await;
        provider.forget();
        provider.script(vec![
            Answer::tool_calls(&[("1", "add", r#"{"a":1}"#)]),
            Answer::text("done"),
        ]);
        let events = client.run(&agent, &json!({ "input": "add" })).await;
        assert_eq!(stop_reason(&events), reason, "{name}");
        if reason == "end_turn" {
            let sent = provider
                .requests()
                .last()
                .expect("asked twice")
                .body
                .to_string();
            assert!(
                !sent.contains(r#"\"a\""#),
                "the model hears what the guest had: {sent}"
            );
        }
        let run = events[0].data["run"]
            .as_str()
            .expect("it says which")
            .to_owned();
        replay::is_the_same(&client, &agent, &run).await;
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_else_they_do_ends_the_run() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let rows = [
        ("traps", "1", "unreachable", "trap"),
        ("hangs", "1", HANG, ""),
        (
            "lies",
            "1",
            "(call $says (i32.const 9) (i32.const 64) (i32.const 9))",
            "trap",
        ),
        (
            "points-away",
            "1",
            "(call $says (i32.const 1) (i32.const -8) (i32.const 9))",
            "trap",
        ),
        (
            "says-too-much",
            "20",
            "(call $says (i32.const 1) (i32.const 64) (i32.const 1048577))",
            "a rewrite that cannot be",
        ),
        (
            "hoards",
            "1",
            "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable",
            "memory_bytes",
        ),
        ("answers-nowhere", "1", "(i32.const -4)", "trap"),
    ];
    for (name, memory, body, failed) in rows {
        client.deploy(name, &judge(memory, body)).await;
        let agent = format!("by-{name}");
        guarded(
            &host,
            &agent,
            &guests::ECHO,
            &[&format!("component={name}")],
        )
        .await;
        let began = Instant::now();
        let events = client.run(&agent, &json!({ "input": "hello" })).await;
        println!("{name}: ended in {:?}", began.elapsed());
        assert_eq!(
            (text(&events).as_str(), stop_reason(&events)),
            ("", "blocked:component"),
            "{name}"
        );
        let by = &events[events.len() - 2].data;
        assert_eq!(
            (&by["at"], &by["detail"]["component"]),
            (&json!("input"), &json!(name))
        );
        if failed.is_empty() {
            // Time or fuel, whichever a busy machine comes to first.
            let failed = by["detail"]["failed"].as_str().unwrap_or("");
            assert!(["too slow", "fuel", "wall_ms"].contains(&failed), "{by}");
        } else {
            assert_eq!(by["detail"]["failed"], failed, "{name}");
        }
        let run = events[0].data["run"]
            .as_str()
            .expect("it says which")
            .to_owned();
        replay::is_the_same(&client, &agent, &run).await;
    }
    // Missing: never deployed, an agent, or another organization's.
    host.client("globex")
        .await
        .deploy("foreign", &judge("1", ALLOW))
        .await;
    host.deploy("acme", "agent", &guests::ECHO).await;
    for name in ["never", "agent", "foreign"] {
        let agent = format!("without-{name}");
        guarded(
            &host,
            &agent,
            &guests::ECHO,
            &[&format!("component={name}")],
        )
        .await;
        let events = client.run(&agent, &json!({ "input": "hello" })).await;
        assert_eq!(
            events[events.len() - 2].data["detail"]["failed"],
            "missing",
            "{name}"
        );
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guardrail_is_no_agent_and_has_no_capabilities() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    client.deploy("judge", &judge("1", ALLOW)).await;
    let shown = client.get("/agents/judge/versions/1").await.json();
    assert_eq!(shown["manifest"]["kind"], "guardrail");
    let refused = client
        .post("/agents/judge/runs", &json!({ "input": "hello" }))
        .await;
    assert_eq!(refused.refusal(), (409, "not_an_agent".to_owned()));
    let greedy = assemble(
        r#"(component (import "bulkhead:agent/clock@0.1.0" (instance (export "now" (func (result u64)))))
          (core module $m (func (export "check") (result i32) (i32.const 0)))
          (core instance $i (instantiate $m))
          (func $check (result u32) (canon lift (core func $i "check")))
          (export "check" (func $check)))"#,
    );
    let refused = client.upload("greedy", &greedy).await;
    assert_eq!(
        refused.refusal(),
        (422, "component_refused".to_owned()),
        "{}",
        refused.text
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_cancelled_while_it_is_judged() {
    let host = TestHost::start_with(|config| {
        config.guardrails.component_ms = 3_600_000;
        config.guardrails.component_fuel = u64::MAX / 4;
    })
    .await;
    let client = host.client("acme").await;
    client.deploy("hangs", &judge("1", HANG)).await;
    guarded(&host, "echo", &guests::ECHO, &["component=hangs"]).await;
    let run = client.start("echo", &json!({ "input": "hello" })).await;
    bulkhead_tests::host::eventually("the component spins", async || {
        host.host().app.scheduler.alive() >= 2
    })
    .await;
    host.reaches(&run, "guardrail").await;
    let cancelled = client.cancel("echo", &run).await;
    assert!(cancelled.status.is_success(), "{}", cancelled.text);
    let view = client.show("echo", &run).await;
    assert_eq!(
        (&view["state"], &view["receipt"]["where"]),
        (&json!("cancelled"), &json!("guardrail"))
    );
    assert!(violations(&client, &run).await.is_empty());
    host.stop().await;
}
