//! Every limit has a test that reaches it: the run ends with a stop reason of its own, the fault says which limit it
//! was, the usage row and the receipt are there. Here the limits of computing; the others in files of their own.

mod admission;
mod backstop;
mod calls;
pub(crate) mod compiling;
pub(crate) mod components;
mod given;
mod memory;
mod rows;

use bulkhead_tests::TestHost;
use bulkhead_tests::provider::{Answer, Provider};
use bulkhead_tests::raw::{Import, Raw, assemble};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{guests, replay};

/// A loop without an end.
const SPIN: &str = "(loop $again (br $again)) (i32.const 512)";

/// Runs `agent` of `acme` to its end, which must be this one, and checks what every end leaves behind.
pub(crate) async fn ends(
    host: &TestHost,
    agent: &str,
    body: &Value,
    (reason, blame, message): (&str, &str, &str),
) -> Value {
    let client = host.client("acme").await;
    let mut events = client.stream(agent, body).await;
    let run = events.run();
    let mut last = events.next().await.expect("a run has events");
    while let Some(event) = events.next().await {
        assert_eq!(event.id, last.id + 1, "events have no gap");
        last = event;
    }
    assert_eq!(last.kind, "done", "the last event: {}", last.raw);
    assert_eq!(last.data["stop_reason"], reason, "{}", last.raw);
    let view = client.show(agent, &run).await;
    if blame.is_empty() {
        assert_eq!(view["fault"], Value::Null, "{view}");
    } else {
        let fault = &view["fault"];
        assert_eq!(fault["blame"], blame, "{view}");
        let said = fault["message"].as_str().expect("faults have a message");
        assert!(said.contains(message), "the fault says: {said}");
        assert_eq!(&last.data["fault"], fault);
    }
    assert_eq!(view["stop_reason"], reason);
    assert_eq!(view["receipt"], last.data["receipt"]);
    assert_eq!(view["receipt"]["fuel"], view["usage"]["fuel"]);
    assert_eq!(
        usage_rows(host, &run).await,
        [view["usage"]["fuel"].as_i64().unwrap_or(-1)]
    );
    replay::is_the_same(&client, agent, &run).await;
    view
}

/// The fuel of each usage row of a run.
pub(crate) async fn usage_rows(host: &TestHost, run: &str) -> Vec<i64> {
    let id = run.strip_prefix("run_").expect("runs have a prefix");
    sqlx::query_scalar("select fuel from usage_records where run_id = $1")
        .bind(Uuid::parse_str(id).expect("ids are UUIDs"))
        .fetch_all(host.db())
        .await
        .expect("usage can be read")
}

/// Runs `agent` beyond a short deadline, once it is loaded.
async fn is_late(host: &TestHost, (agent, place): (&str, &str)) -> Value {
    let mut deadline = 60;
    loop {
        let body = json!({ "input": "3600000", "deadline_ms": deadline });
        let late = ("deadline", "limit", "the run's time was up");
        let run = ends(host, agent, &body, late).await;
        if run["receipt"]["where"] == place || deadline > 10_000 {
            return run;
        }
        // A busy machine takes its time until a guest is where it goes.
        deadline *= 4;
    }
}

/// Deploys a raw guest of `acme` under its own name.
pub(crate) async fn deploy(host: &TestHost, agent: &str, raw: Raw<'_>) {
    host.client("acme").await.deploy(agent, &raw.bytes()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fuel_ends_every_kind_of_loop() {
    let host = TestHost::start_with(|config| config.sandbox.limits.fuel = 3_000_000).await;
    let table = "(loop $again (br_table $again $again (local.get 0))) (i32.const 512)";
    let indirect = Raw {
        fields: "(type $f (func)) (table 1 funcref) (elem (i32.const 0) $nothing) (func $nothing)",
        run: "(loop $again (call_indirect (type $f) (i32.const 0)) (br $again)) (i32.const 512)",
        ..Raw::default()
    };
    let fill = "(loop $again (memory.fill (i32.const 131072) (i32.const 1) (i32.const 131072)) (br $again))
        (i32.const 512)";
    let loops = [
        (
            "plain",
            Raw {
                run: SPIN,
                ..Raw::default()
            },
        ),
        (
            "table",
            Raw {
                run: table,
                ..Raw::default()
            },
        ),
        ("indirect", indirect),
        (
            "fill",
            Raw {
                run: fill,
                ..Raw::default()
            },
        ),
    ];
    let out_of_fuel = ("fuel", "limit", "the fuel limit was used up");
    for (agent, raw) in loops {
        deploy(&host, agent, raw).await;
        let asked = ends(
            &host,
            agent,
            &json!({ "input": "x", "max_fuel": 1_000_000 }),
            out_of_fuel,
        )
        .await;
        assert_eq!(asked["usage"]["fuel"], 1_000_000, "{agent}");
        assert_eq!(asked["fuel_max"], 1_000_000);
        let most = ends(&host, agent, &json!({ "input": "x" }), out_of_fuel).await;
        assert_eq!(most["usage"]["fuel"], 3_000_000, "{agent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_ends_a_guest_that_cannot_do_without() {
    let host = TestHost::start_with(|config| config.sandbox.limits.memory_bytes = 2 << 20).await;
    let greedy = "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
    deploy(
        &host,
        "greedy",
        Raw {
            run: greedy,
            ..Raw::default()
        },
    )
    .await;
    let full = ("memory", "limit", "the memory limit was reached");
    let run = ends(&host, "greedy", &json!({ "input": "x" }), full).await;
    assert_eq!(run["usage"]["memory_peak_bytes"], 2 << 20);
    assert_eq!(run["receipt"]["memory_peak_bytes"], 2 << 20);

    // The limit is of the run: what one memory took, another does not get.
    let second = Raw {
        fields: "(memory $second 1)",
        run: "(drop (memory.grow 0 (i32.const 20)))
            (if (i32.ne (memory.grow $second (i32.const 20)) (i32.const -1)) (then (return (i32.const 512))))
            unreachable",
        ..Raw::default()
    };
    deploy(&host, "second", second).await;
    ends(&host, "second", &json!({ "input": "x" }), full).await;

    // A refusal is an answer: a guest that can go on goes on.
    let modest = "(drop (memory.grow (i32.const 10000))) (i32.const 512)";
    deploy(
        &host,
        "modest",
        Raw {
            run: modest,
            ..Raw::default()
        },
    )
    .await;
    ends(
        &host,
        "modest",
        &json!({ "input": "x" }),
        ("end_turn", "", ""),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_ends_a_guest_that_computes_or_waits() {
    let host = TestHost::start().await;
    host.deploy("acme", "spin", &guests::SPIN).await;
    host.deploy("acme", "sleep", &guests::SLEEP).await;
    let nap = Raw {
        imports: &[Import::WasiClock],
        run: "(call $block (call $in (i64.const 3600000000000))) (i32.const 512)",
        ..Raw::default()
    };
    deploy(&host, "nap", nap).await;
    for (agent, place) in [("spin", "guest"), ("sleep", "sleep"), ("nap", "sleep")] {
        let run = is_late(&host, (agent, place)).await;
        let receipt = &run["receipt"];
        assert_eq!(receipt["where"], place, "{agent}: {receipt}");
        assert_eq!(receipt["requested_at"], run["deadline_at"]);
        assert!(receipt["stopped_at"].is_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backstop_ends_a_guest_whose_slices_do_not_end() {
    let host = TestHost::start_with(|config| {
        config.sandbox.slice_fuel = i64::MAX as u64;
        config.sandbox.limits.fuel = i64::MAX as u64;
    })
    .await;
    host.deploy("acme", "spin", &guests::SPIN).await;
    let run = is_late(&host, ("spin", "guest")).await;
    assert_eq!(run["receipt"]["where"], "guest");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stack_ends_a_recursion() {
    let host = TestHost::start().await;
    let deep = Raw {
        fields: "(func $deep (param i32) (result i32)
            (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))",
        run: "(call $deep (i32.const 0))",
        ..Raw::default()
    };
    deploy(&host, "deep", deep).await;
    let exhausted = ("trap", "guest", "call stack exhausted (`stack_bytes`)");
    ends(&host, "deep", &json!({ "input": "x" }), exhausted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_does_not_grow_beyond_its_elements() {
    let host = TestHost::start_with(|config| config.sandbox.limits.table_elements = 1_000).await;
    let giant = Raw {
        fields: "(table $t 10 funcref)",
        run: "(loop $again (br_if $again (i32.ne (table.grow $t (ref.null func) (i32.const 90)) (i32.const -1))))
            (if (i32.ne (table.size $t) (i32.const 1000)) (then unreachable))
            (i32.const 512)",
        ..Raw::default()
    };
    deploy(&host, "giant", giant).await;
    ends(
        &host,
        "giant",
        &json!({ "input": "x" }),
        ("end_turn", "", ""),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn traps_are_named() {
    let host = TestHost::start().await;
    let traps = [
        ("unreachable", "unreachable", "unreachable"),
        (
            "divide",
            "(i32.div_u (i32.const 1) (i32.const 0))",
            "divide by zero",
        ),
        ("outside", "(i32.load (i32.const -4))", "out of bounds"),
        (
            "foreign",
            "(call $block (i32.const 77)) (i32.const 512)",
            "unknown handle index 77",
        ),
        ("liar", "(i32.const -16)", "out of bounds"),
        (
            "invalid",
            "(i32.store8 (i32.const 512) (i32.const 9)) (i32.const 512)",
            "discriminant",
        ),
    ];
    for (agent, run, message) in traps {
        deploy(
            &host,
            agent,
            Raw {
                imports: &[Import::WasiClock],
                run,
                ..Raw::default()
            },
        )
        .await;
        ends(
            &host,
            agent,
            &json!({ "input": "x" }),
            ("trap", "guest", message),
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_fails_is_not_the_guests_fault() {
    let host = TestHost::start().await;
    let provider = Provider::start().await;
    host.deploy("acme", "generate", &guests::GENERATE).await;
    let connection =
        json!({ "kind": "openai", "base_url": provider.base_url(), "default_model": "scripted" });
    let client = host.client("acme").await;
    let put = client.put("/model-connections/default", &connection).await;
    assert!(put.status.is_success(), "{}", put.text);
    provider.script(vec![Answer::status(
        400,
        "{\"error\":{\"message\":\"no such model\"}}",
    )]);
    let failed = ("model_error", "host", "no such model");
    ends(&host, "generate", &json!({ "input": "x" }), failed).await;
}

/// Code that runs because the host calls, not because `run` does, is the guest's all the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_runs_around_a_call_is_metered() {
    let host = TestHost::start().await;
    let spin = "(loop $ever (br $ever))";
    let post = format!("(func (export \"post\") (param i32) {spin})");
    let after = Raw {
        fields: &post,
        ..Raw::default()
    }
    .text()
    .replace(
        "(core func $guest \"run\") (memory $memory)",
        "(core func $guest \"run\") (post-return (core func $guest \"post\")) (memory $memory)",
    );
    let signature = "(param i32 i32) (param $align i32) (param $size i32) (result i32)";
    let before = Raw::default()
        .text()
        .replace(signature, &format!("{signature} {spin}"));
    let lies = Raw::default()
        .text()
        .replace(signature, &format!("{signature} (return (i32.const -8))"));
    let client = host.client("acme").await;
    let body = json!({ "input": "x", "max_fuel": 1_000_000 });
    let fuel = ("fuel", "limit", "the fuel limit was used up");
    let lie = ("trap", "guest", "realloc");
    for (agent, text, end) in [
        ("after", after, fuel),
        ("before", before, fuel),
        ("lies", lies, lie),
    ] {
        client.deploy(agent, &assemble(&text)).await;
        ends(&host, agent, &body, end).await;
    }
}
