//! A cancel reaches a run wherever it is, says where that was, and is the same however often it is asked for.

use bulkhead_tests::client::{Event, stop_reason, text};
use bulkhead_tests::host::{eventually, patient};
use bulkhead_tests::provider::{Answer, How, Provider};
use bulkhead_tests::raw::{Import, Raw};
use bulkhead_tests::{Client, TestHost};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::time::Duration;

use crate::guests;
use crate::limits::compiling::bomb;
use crate::limits::{deploy, usage_rows};
use crate::replay;

/// Cancels a run for the first time and checks what every cancel answers; its receipt.
pub(crate) async fn cancel(host: &TestHost, client: &Client, agent: &str, run: &str) -> Value {
    let answer = client.cancel(agent, run).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let view = answer.json();
    assert_eq!(
        (&view["state"], &view["stop_reason"]),
        (&json!("cancelled"), &json!("cancelled"))
    );
    let receipt = view["receipt"].clone();
    for time in ["requested_at", "observed_at", "stopped_at"] {
        assert!(receipt[time].is_string(), "{time} in {receipt}");
    }
    assert_eq!(receipt["requested_at"], view["cancel_requested_at"]);
    assert_eq!(
        usage_rows(host, run).await,
        [receipt["fuel"].as_i64().expect("fuel is counted")]
    );
    let events = client.resume(agent, run, 0).await.rest().await;
    assert_eq!(stop_reason(&events), "cancelled");
    assert_eq!(
        events.iter().filter(|event| event.kind == "done").count(),
        1
    );
    replay::is_the_same(client, agent, run).await;
    receipt
}

/// Asks an OpenAI-compatible provider from now on.
pub(crate) async fn connect(client: &Client, provider: &Provider) {
    let connection = json!({
        "kind": "openai", "base_url": provider.base_url(), "api_key": "sk-test", "default_model": "scripted"
    });
    let put = client.put("/model-connections/default", &connection).await;
    assert!(put.status.is_success(), "{}", put.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_queue() {
    let host = TestHost::start_with(|config| config.runs.concurrent = 1).await;
    host.deploy("acme", "spin", &guests::SPIN).await;
    let client = host.client("acme").await;
    let body = json!({ "input": "x" });
    let (first, second) = (
        client.start("spin", &body).await,
        client.start("spin", &body).await,
    );
    let receipt = cancel(&host, &client, "spin", &second).await;
    assert_eq!(
        (&receipt["where"], &receipt["fuel"]),
        (&json!("queued"), &json!(0))
    );
    assert_eq!(client.show("spin", &first).await["state"], "running");
    cancel(&host, &client, "spin", &first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_compiled() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let uploaded = client.upload("slow", &bomb(1_000)).await;
    assert!(uploaded.status.is_success(), "{}", uploaded.text);
    client.deploy("slow", &bomb(1_000)).await;
    let digest =
        uploaded.json()["digest"].as_str().expect("a digest")["sha256:".len()..].to_owned();
    for file in std::fs::read_dir(host.data().join("artifacts"))
        .expect("the cache is a folder")
        .flatten()
    {
        if file.file_name().to_string_lossy().starts_with(&digest) {
            std::fs::remove_file(file.path()).expect("it is ours");
        }
    }
    let fresh = host.join().await;
    let client = fresh.client("acme").await;
    let run = client.start("slow", &json!({ "input": "x" })).await;
    let receipt = cancel(&fresh, &client, "slow", &run).await;
    assert_eq!(receipt["where"], "compiling");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_computes_or_sleeps() {
    let host = TestHost::start().await;
    host.deploy("acme", "spin", &guests::SPIN).await;
    host.deploy("acme", "sleep", &guests::SLEEP).await;
    let client = host.client("acme").await;
    let warm = client
        .run("spin", &json!({ "input": "x", "max_fuel": 1_000 }))
        .await;
    assert_eq!(stop_reason(&warm), "fuel");
    let run = client.start("spin", &json!({ "input": "x" })).await;
    eventually("it computes", async || {
        host.host().app.scheduler.alive() > 0
    })
    .await;
    let receipt = cancel(&host, &client, "spin", &run).await;
    assert_eq!(
        (&receipt["where"], &receipt["in_flight"]),
        (&json!("guest"), &json!([]))
    );

    let mut events = client.stream("sleep", &json!({ "input": "3600000" })).await;
    let run = events.run();
    events.next_of("text").await;
    host.reaches(&run, "sleep").await;
    let receipt = cancel(&host, &client, "sleep", &run).await;
    assert_eq!(
        (&receipt["where"], &receipt["in_flight"]),
        (&json!("sleep"), &json!(["sleep"]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_searches() {
    let host = TestHost::start().await;
    let search = Raw {
        imports: &[Import::Knowledge],
        fields: "(data (i32.const 4096) \"how do i stop a run??\")",
        run: "(call $search (i32.const 4096) (i32.const 21) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 600))
            (i32.const 512)",
        ..Raw::default()
    };
    deploy(&host, "search", search).await;
    let client = host.client("acme").await;
    let entry = json!({ "title": "Stopping", "content": "A run is stopped by a cancel." });
    let put = client.post("/knowledge/entries", &entry).await;
    assert!(put.status.is_success(), "{}", put.text);
    let answered = client.run("search", &json!({ "input": "x" })).await;
    assert_eq!(stop_reason(&answered), "end_turn");
    // A search reads the index's state from PostgreSQL, which does not answer for now.
    let mut held = host.db().begin().await.expect("a transaction");
    let tables: Vec<String> = sqlx::query_scalar(
        "select tablename::text from pg_tables where tablename like 'knowledge%'",
    )
    .fetch_all(&mut *held)
    .await
    .expect("tables have names");
    for table in tables {
        let lock = sqlx::AssertSqlSafe(format!("lock table {table} in access exclusive mode"));
        sqlx::query(lock)
            .execute(&mut *held)
            .await
            .expect("nobody else holds it");
    }
    let run = client.start("search", &json!({ "input": "x" })).await;
    eventually("it waits for PostgreSQL", async || {
        let waiting: i64 = sqlx::query_scalar("select count(*) from pg_locks where not granted")
            .fetch_one(host.db())
            .await
            .expect("locks can be counted");
        waiting > 0
    })
    .await;
    host.reaches(&run, "search").await;
    let receipt = cancel(&host, &client, "search", &run).await;
    assert_eq!(
        (&receipt["where"], &receipt["in_flight"]),
        (&json!("search"), &json!(["search"]))
    );
    held.rollback().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_model_is_silent() {
    let host = TestHost::start_with(patient).await;
    let provider = Provider::start().await;
    host.deploy("acme", "generate", &guests::GENERATE).await;
    let client = host.client("acme").await;
    connect(&client, &provider).await;
    let silences = [How::HangBeforeHead, How::HangAfterHead];
    for (n, how) in silences.into_iter().enumerate() {
        provider.script(vec![Answer::text("never said").how(how)]);
        let run = client
            .start("generate", &json!({ "input": "are you there?" }))
            .await;
        provider.received(n + 1).await;
        host.reaches(&run, "model").await;
        let receipt = cancel(&host, &client, "generate", &run).await;
        assert_eq!(
            (&receipt["where"], &receipt["in_flight"]),
            (&json!("model"), &json!(["model"]))
        );
        provider.closed(n + 1).await;
        assert_eq!(client.show("generate", &run).await["output"], "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_model_speaks() {
    let host = TestHost::start_with(patient).await;
    let provider = Provider::start().await;
    host.deploy("acme", "generate", &guests::GENERATE).await;
    let client = host.client("acme").await;
    connect(&client, &provider).await;
    provider.script(vec![Answer::text("word").how(How::EndlessText)]);
    let mut events = client
        .stream("generate", &json!({ "input": "go on" }))
        .await;
    let run = events.run();
    events.next_of("text").await;
    events.next_of("text").await;
    let receipt = cancel(&host, &client, "generate", &run).await;
    provider.closed(1).await;
    let usage = &receipt["usage"];
    assert_eq!(usage["estimated"], true, "nobody counted for us: {usage}");
    assert!(
        usage["output_tokens"].as_i64() > Some(0),
        "what was received is billed: {usage}"
    );
    let shown: Vec<Event> = client.resume("generate", &run, 0).await.rest().await;
    assert_eq!(
        client.show("generate", &run).await["output"],
        text(&shown),
        "what was shown is kept"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn twice_and_after_the_end() {
    let host = TestHost::start().await;
    host.deploy("acme", "spin", &guests::SPIN).await;
    host.deploy("acme", "echo", &guests::ECHO).await;
    let client = host.client("acme").await;
    let run = client.start("spin", &json!({ "input": "x" })).await;
    let receipt = cancel(&host, &client, "spin", &run).await;
    host.clock().advance(Duration::from_secs(60));
    let again = client.cancel("spin", &run).await;
    assert_eq!(
        (again.status.as_u16(), &again.json()["receipt"]),
        (200, &receipt)
    );

    let events = client.run("echo", &json!({ "input": "x" })).await;
    let ended = events[0].data["run"].as_str().expect("runs have ids");
    let before = client.show("echo", ended).await;
    for _ in 0..2 {
        let late = client.cancel("echo", ended).await;
        assert_eq!(
            (late.status.as_u16(), late.json()),
            (200, before.clone()),
            "an end is an end"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_by_its_own_organization() {
    let host = TestHost::start().await;
    host.deploy("acme", "spin", &guests::SPIN).await;
    host.deploy("globex", "spin", &guests::SPIN).await;
    let (acme, globex) = (host.client("acme").await, host.client("globex").await);
    let run = acme.start("spin", &json!({ "input": "x" })).await;
    let unknown = format!("run_{}", "0".repeat(32));
    let answers = [
        globex.cancel("spin", &run).await,
        acme.cancel("other", &run).await,
        acme.cancel("spin", &unknown).await,
        acme.cancel("spin", "run_nonsense").await,
    ];
    let mut texts: Vec<Value> = Vec::new();
    for answer in answers {
        assert_eq!(answer.refusal(), (404, "not_found".to_owned()));
        texts.push(answer.json()["detail"].clone());
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "foreign and unknown are one: {texts:?}");
    assert_eq!(acme.show("spin", &run).await["state"], "running");
    cancel(&host, &acme, "spin", &run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn not_by_going_away() {
    let host = TestHost::start().await;
    host.deploy("acme", "sleep", &guests::SLEEP).await;
    let client = host.client("acme").await;
    let mut events = client.stream("sleep", &json!({ "input": "200" })).await;
    let run = events.run();
    events.next_of("text").await;
    drop(events);
    eventually("it ends by itself", async || {
        client.show("sleep", &run).await["state"] == "completed"
    })
    .await;
    assert_eq!(client.show("sleep", &run).await["output"], "beforeafter");
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_hundred_that_spin() {
    let host = TestHost::start_with(|config| {
        config.sandbox.guests = 160;
        config.runs.concurrent = 160;
        config.runs.concurrent_per_org = 120;
    })
    .await;
    host.deploy("acme", "spin", &guests::SPIN).await;
    host.deploy("acme", "echo", &guests::ECHO).await;
    host.deploy("globex", "spin", &guests::SPIN).await;
    let (acme, globex) = (host.client("acme").await, host.client("globex").await);
    let body = json!({ "input": "x" });
    let crowd = join_all((0..100).map(|_| globex.start("spin", &body))).await;
    eventually("all of them spin", async || {
        host.host().app.scheduler.alive() == 100
    })
    .await;
    assert_eq!(stop_reason(&acme.run("echo", &body).await), "end_turn");
    let run = acme.start("spin", &body).await;
    cancel(&host, &acme, "spin", &run).await;
    for answer in join_all(crowd.iter().map(|run| globex.cancel("spin", run))).await {
        assert_eq!(answer.json()["state"], "cancelled", "{}", answer.text);
    }
    eventually("nobody is left", async || {
        host.host().app.scheduler.alive() == 0
    })
    .await;
}

/// At whatever moment it comes, there is one end, and the log agrees with it.
#[tokio::test(flavor = "multi_thread")]
async fn at_any_moment() {
    let host = TestHost::start().await;
    host.deploy("acme", "echo", &guests::ECHO).await;
    let client = host.client("acme").await;
    let attempt = async |pause: u64| {
        let run = client.start("echo", &json!({ "input": "x" })).await;
        tokio::time::sleep(Duration::from_micros(pause)).await;
        let answer = client.cancel("echo", &run).await;
        let view = answer.json();
        let state = view["state"].as_str().expect("a run has a state");
        assert!(["cancelled", "completed"].contains(&state), "{state}");
        let events = client.resume("echo", &run, 0).await.rest().await;
        let ids: Vec<i32> = events.iter().map(|event| event.id).collect();
        let expected: Vec<i32> = (1..).take(ids.len()).collect();
        assert_eq!(ids, expected);
        assert_eq!(events[ids.len() - 1].data["state"], state);
        assert_eq!(usage_rows(&host, &run).await.len(), 1);
    };
    for round in 0..10_u64 {
        join_all((0..6).map(|n| attempt((round * 6 + n) * 150))).await;
    }
}
