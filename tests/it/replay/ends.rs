//! Runs of every kind and end, replayed on their own version. The ends by limits and cancels are replayed where those
//! are tested; here is what has no place there.

use bulkhead_tests::TestHost;
use bulkhead_tests::client::stop_reason;
use bulkhead_tests::provider::{Answer, How, Provider};
use bulkhead_tests::raw::{Import, Raw};
use serde_json::{Value, json};

use super::{input, is_the_same};
use crate::guests;
use crate::limits::deploy;

async fn connect(client: &bulkhead_tests::Client, provider: &Provider) {
    let connection = json!({
        "kind": "openai", "base_url": provider.base_url(), "api_key": "sk-test", "default_model": "scripted"
    });
    let put = client.put("/model-connections/default", &connection).await;
    assert!(put.status.is_success(), "{}", put.text);
}

/// Everything the database says.
async fn written(host: &TestHost) -> Value {
    sqlx::query_scalar::<_, sqlx::types::JsonValue>(
        "select json_build_object('runs', (select json_agg(r) from runs r),
           'events', (select count(*) from run_events), 'steps', (select count(*) from run_steps),
           'intents', (select count(*) from run_intents), 'usage', (select json_agg(u) from usage_records u))",
    )
    .fetch_one(host.db())
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_does_everything() {
    let host = TestHost::start().await;
    let provider = Provider::start().await;
    host.deploy("acme", "journey", &guests::JOURNEY).await;
    let client = host.client("acme").await;
    connect(&client, &provider).await;
    let entry = json!({ "title": "Stopping", "content": "A run is stopped by a cancel." });
    assert!(
        client
            .post("/knowledge/entries", &entry)
            .await
            .status
            .is_success()
    );
    let answers = ["one", "two", "three"].map(Answer::text);
    provider.script(answers.into());
    let instructions = "say a\nstatus at work\ndice\nclock\nask x?\nsearch stop a run\ntool hammer\nsleep 20\nclock\n\
        dice\nspin 200000\nask y?\nsleep 0\nask z?\nsay b";
    let events = client.run("journey", &input(instructions)).await;
    assert_eq!(stop_reason(&events), "end_turn");
    let run = events[0].data["run"].as_str().unwrap();
    // The world has changed since: nobody asks it.
    drop(provider);
    host.clock().advance(std::time::Duration::from_secs(86_400));
    let before = written(&host).await;
    let report = is_the_same(&client, "journey", run).await;
    assert_eq!(written(&host).await, before, "a replay writes nothing");
    assert_eq!(report["replayed"]["steps"], 6);
    let usage = |side: &str, what: &str| report[side]["usage"][what].clone();
    for what in [
        "fuel",
        "input_tokens",
        "output_tokens",
        "host_calls",
        "memory_peak_bytes",
    ] {
        assert_eq!(usage("recorded", what), usage("replayed", what), "{what}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn generations_that_were_dropped_broken_or_cut() {
    let host = TestHost::start().await;
    let provider = Provider::start().await;
    host.deploy("acme", "journey", &guests::JOURNEY).await;
    host.deploy("acme", "generate", &guests::GENERATE).await;
    let client = host.client("acme").await;
    connect(&client, &provider).await;
    let pieces = || Answer::pieces(&["one ", "two ", "three ", "four"]);
    let runs = [
        (
            "journey",
            "open x?\nclose\nclock\nsay on",
            pieces(),
            "end_turn",
        ),
        ("journey", "open x?\nsay kept", pieces(), "end_turn"),
        ("journey", "open x?\nfail now", pieces(), "trap"),
        (
            "journey",
            "ask x?\nsay on",
            pieces().how(How::Truncate(450)),
            "model_error",
        ),
        (
            "generate",
            "x?",
            Answer::status(400, "{\"error\":{\"message\":\"no\"}}"),
            "model_error",
        ),
        ("generate", "x?", pieces().without_usage(), "end_turn"),
    ];
    for (agent, instructions, answer, reason) in runs {
        provider.script(vec![answer]);
        let events = client.run(agent, &input(instructions)).await;
        assert_eq!(stop_reason(&events), reason, "{instructions}");
        is_the_same(&client, agent, events[0].data["run"].as_str().unwrap()).await;
        provider.forget();
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_of_the_guests_own() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let guests = [
        ("mutter", &guests::MUTTER, "my own", "guest_error"),
        ("clocks", &guests::CLOCKS, "x", "end_turn"),
        ("dice", &guests::DICE, "x", "end_turn"),
        ("exit", &guests::EXIT, "3", "trap"),
        ("panic", &guests::PANIC, "x", "trap"),
        ("surroundings", &guests::SURROUNDINGS, "x", "end_turn"),
    ];
    for (agent, guest, text, reason) in guests {
        host.deploy("acme", agent, guest).await;
        let events = client.run(agent, &input(text)).await;
        assert_eq!(stop_reason(&events), reason, "{agent}");
        is_the_same(&client, agent, events[0].data["run"].as_str().unwrap()).await;
    }
    // Waiting on WASI's own timer is no step: its replay does not wait.
    let nap = Raw {
        imports: &[Import::WasiClock],
        run: "(call $block (call $in (i64.const 200000000))) (i32.const 512)",
        ..Raw::default()
    };
    deploy(&host, "nap", nap).await;
    let events = client.run("nap", &input("x")).await;
    is_the_same(&client, "nap", events[0].data["run"].as_str().unwrap()).await;
    host.stop().await;
}

/// Stopped wherever it was, in every phase of a journey that computes, says, waits and asks.
#[tokio::test(flavor = "multi_thread")]
async fn stopped_at_any_moment() {
    let host = TestHost::start().await;
    Box::pin(stopped(host)).await;
}

/// The same where every write waits for the one before it: what was answered and metered waits too.
#[tokio::test(flavor = "multi_thread")]
async fn stopped_at_any_moment_while_writes_wait() {
    let host = TestHost::start_with(|config| config.runs.commit_bytes = 1).await;
    Box::pin(stopped(host)).await;
}

async fn stopped(host: TestHost) {
    host.deploy("acme", "journey", &guests::JOURNEY).await;
    let client = host.client("acme").await;
    let legs = "say word\nspin 30000\nask what is it?\nsleep 1\nstatus on\ndice\ntool hammer\n";
    let instructions = legs.repeat(40);
    for round in 0..16_u64 {
        let mut events = client.stream("journey", &input(&instructions)).await;
        let run = events.run();
        for _ in 0..round * 3 {
            events.next().await;
        }
        tokio::time::sleep(std::time::Duration::from_micros(round * 333)).await;
        client.cancel("journey", &run).await;
        drop(events.rest().await);
        is_the_same(&client, "journey", &run).await;
    }
    host.stop().await;
}

/// Stopped while it says more than the database takes: its last words wait for room, and were not said.
#[tokio::test(flavor = "multi_thread")]
async fn stopped_while_its_words_wait() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let words = Raw {
        imports: &[Import::Output],
        run: "(loop $again
            (call $text (i32.const 4096) (i32.const 3)) (call $text (i32.const 4096) (i32.const 7))
            (br $again)) (i32.const 512)",
        ..Raw::default()
    };
    deploy(&host, "talks", words).await;
    for _ in 0..3 {
        let mut events = client.stream("talks", &input("x")).await;
        let run = events.run();
        events.next_of("text").await;
        // The database does not let the run write.
        let mut held = host.db().begin().await.unwrap();
        sqlx::query("select * from runs where id = $1 for update")
            .bind(uuid::Uuid::parse_str(&run["run_".len()..]).unwrap())
            .execute(&mut *held)
            .await
            .unwrap();
        let live = host.host().app.runs.registry().all().pop().unwrap();
        bulkhead_tests::host::eventually("its writes wait", async || {
            let sql = "select count(*) from pg_locks where not granted";
            let waiting: i64 = sqlx::query_scalar(sql).fetch_one(host.db()).await.unwrap();
            waiting > 0
        })
        .await;
        // Nothing tells when it has said as much as may be on its way.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        live.stop(
            bulkhead::runs::log::StopCause::Cancelled,
            host.clock().now(),
        );
        bulkhead_tests::host::eventually("its guest is gone", async || {
            host.host().app.scheduler.alive() == 0
        })
        .await;
        held.rollback().await.unwrap();
        drop(events.rest().await);
        is_the_same(&client, "talks", &run).await;
    }
    host.stop().await;
}
