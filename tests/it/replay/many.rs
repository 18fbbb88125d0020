//! The last runs of stable on a candidate: how many differ, in what, which are the worst, what could not be compared; without
//! effects, bounded, stopped with its client, and in nobody's way.

use std::time::Duration;

use bulkhead_tests::TestHost;
use bulkhead_tests::client::{Answer, stop_reason};
use bulkhead_tests::host::eventually;
use bulkhead_tests::provider::{self, Provider};
use bulkhead_tests::raw::{Import, Raw, assemble};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::input;
use crate::guests::{ECHO, JOURNEY, SPIN};

async fn last(client: &bulkhead_tests::Client, agent: &str, body: Value) -> Answer {
    client.post(&format!("/agents/{agent}/replay"), &body).await
}

/// A run that has ended, after all before it; its id.
async fn ended(
    (host, client): (&TestHost, &bulkhead_tests::Client),
    agent: &str,
    instructions: &str,
) -> String {
    host.clock().advance(Duration::from_millis(1));
    let events = client.run(agent, &input(instructions)).await;
    events[0].data["run"].as_str().unwrap().to_owned()
}

/// The same, alike, different, not compared.
fn counts(summary: &Value) -> [i64; 4] {
    let number = |name: &str| summary[name].as_i64().unwrap();
    let not = summary["not_compared"].as_array().unwrap().len();
    [
        number("same"),
        number("alike"),
        number("differ"),
        i64::try_from(not).unwrap(),
    ]
}

/// The same component under another digest.
fn variant(bytes: &[u8]) -> Vec<u8> {
    [bytes, &[0, 5, 4, b'm', b'a', b'n', b'y']].concat()
}

/// Rows of everything that a run writes.
async fn rows(host: &TestHost) -> i64 {
    let counted = sqlx::query_scalar(
        "select (select count(*) from runs) + (select count(*) from run_steps) + (select count(*) from run_events)
           + (select count(*) from run_intents) + (select count(*) from usage_records)",
    );
    counted.fetch_one(host.db()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_candidate_would_change_is_told_and_nothing_is_done() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let provider = Provider::start().await;
    provider.always(|_| provider::Answer::text("an answer"));
    let connection =
        json!({"kind": "openai", "base_url": provider.base_url(), "default_model": "m"});
    let put = client.put("/model-connections/default", &connection).await;
    assert!(put.status.is_success(), "{}", put.text);
    client.deploy("agent", &ECHO.bytes()).await;
    ended((&host, &client), "agent", "of another version").await;
    client.deploy("agent", &JOURNEY.bytes()).await;
    for instructions in ["say oldest", "ask a", "say b\nsleep 1\nsay c", "fail"] {
        ended((&host, &client), "agent", instructions).await;
    }
    client.upload("agent", &variant(&JOURNEY.bytes())).await;
    let (asked, before) = (provider.counted(), rows(&host).await);

    let same = last(&client, "agent", json!({"version": 3, "last": 50})).await;
    assert_eq!(same.status, 200, "{}", same.text);
    let same = same.json();
    assert_eq!(counts(&same), [4, 0, 0, 0], "{same}");
    assert_eq!((&same["stable"], &same["runs"]), (&json!(2), &json!(4)));
    assert_eq!(
        (&same["worst"], &same["differs_in"]),
        (&json!([]), &json!({}))
    );
    assert_eq!(same["recorded"], same["replayed"]);
    assert!(same["recorded"]["fuel"].as_i64().unwrap() > 0);

    let other = last(&client, "agent", json!({"version": 1, "last": 3}))
        .await
        .json();
    assert_eq!(counts(&other), [0, 0, 3, 0], "{other}");
    assert_eq!(other["differs_in"]["text"], 3, "{other}");
    assert_eq!(other["differs_in"]["stop_reason"], 1);
    let worst = other["worst"].as_array().unwrap();
    assert_eq!(worst.len(), 3);
    let first = &worst[0];
    assert!(
        first["differs_in"]
            .as_array()
            .unwrap()
            .contains(&json!("stop_reason")),
        "{other}"
    );
    assert!(
        first["diff"].as_str().unwrap().contains("+ fail"),
        "{other}"
    );

    assert_eq!((provider.counted(), rows(&host).await), (asked, before));
    let row = client
        .get("/audit/actions?action=agent_version.replayed")
        .await
        .json()["data"][0]
        .clone();
    assert_eq!(row["target"]["id"], "agent/1", "{row}");
    assert_eq!(row["detail"]["differ"], 3);
    host.stop().await;
}

/// A guest that says one word, after so many more instructions.
fn says(word: &str, more: usize) -> Vec<u8> {
    let fields = format!("(data (i32.const 4096) \"{word}\")");
    let more = "(drop (i32.add (i32.const 1) (i32.const 2)))".repeat(more);
    let length = word.len();
    let run = format!("{more} (call $text (i32.const 4096) (i32.const {length})) (i32.const 512)");
    Raw {
        imports: &[Import::Output],
        fields: &fields,
        run: &run,
        ..Raw::default()
    }
    .bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_uses_more_is_alike() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    client.deploy("agent", &says("word", 0)).await;
    for _ in 0..3 {
        ended((&host, &client), "agent", "x").await;
    }
    client.upload("agent", &says("word", 50)).await;
    client.upload("agent", &says("other", 50)).await;
    let alike = last(&client, "agent", json!({"version": 2, "last": 3}))
        .await
        .json();
    assert_eq!(counts(&alike), [0, 3, 0, 0], "{alike}");
    assert_eq!(alike["differs_in"], json!({"fuel": 3}));
    let fuel = |side: &str| alike[side]["fuel"].as_i64().unwrap();
    assert!(fuel("replayed") > fuel("recorded"), "{alike}");
    let other = last(&client, "agent", json!({"version": 3, "last": 2}))
        .await
        .json();
    assert_eq!(counts(&other), [0, 0, 2, 0]);
    assert_eq!(other["worst"][0]["diff"], "- word\n+ other\n");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_compared_is_told_with_the_reason() {
    let host = TestHost::start_with(|config| {
        config.sandbox.limits.fuel = 1 << 50;
        config.runs.replays_at_once = 2;
    })
    .await;
    let client = host.client("acme").await;
    client.deploy("agent", &JOURNEY.bytes()).await;
    let first = ended((&host, &client), "agent", "say a\nsleep 1").await;
    let second = ended((&host, &client), "agent", "say b").await;
    client.upload("agent", &variant(&JOURNEY.bytes())).await;
    client.upload("agent", &SPIN.bytes()).await;
    let altered = "update run_steps set response = '{\"ok\":7}' where seq = 1";
    let altered = sqlx::query(altered).execute(host.db()).await.unwrap();
    assert_eq!(altered.rows_affected(), 1);
    let summary = last(&client, "agent", json!({"version": 2, "last": 2}))
        .await
        .json();
    assert_eq!(counts(&summary), [1, 0, 0, 1], "{summary}");
    let not = json!([{"run": first, "why": "Step 1 was altered."}]);
    assert_eq!(summary["not_compared"], not);
    // A candidate that never ends: none ends in the time that there is for all, or for one.
    let hasty = host
        .join_with(|config| config.runs.replays_wall_ms = 600)
        .await;
    let there = client.at(&hasty.url());
    let summary = last(&there, "agent", json!({"version": 3, "last": 2}))
        .await
        .json();
    let not: Vec<Value> = [second, first]
        .map(|run| json!({"run": run, "why": "There was no time left for it."}))
        .into();
    assert_eq!(summary["not_compared"], json!(not), "{summary}");
    eventually("their guests are gone", async || {
        hasty.host().app.scheduler.alive() == 0
    })
    .await;
    let short = host
        .join_with(|config| config.runs.replay_wall_ms = 100)
        .await;
    let there = client.at(&short.url());
    let summary = last(&there, "agent", json!({"version": 3, "last": 1}))
        .await
        .json();
    let why = &summary["not_compared"][0]["why"];
    assert_eq!(
        why, "The replay took longer than a replay may.",
        "{summary}"
    );
    short.stop().await;
    hasty.stop().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_one_clear_error() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    client.upload("bare", &ECHO.bytes()).await;
    client.deploy("agent", &ECHO.bytes()).await;
    let none = last(&client, "agent", json!({"version": 1, "last": 1})).await;
    assert_eq!(none.refusal(), (409, "no_runs_recorded".to_owned()));
    ended((&host, &client), "agent", "x").await;
    for count in [0, -1, 201, 1_000_000] {
        let refused = last(&client, "agent", json!({"version": 1, "last": count})).await;
        assert_eq!(refused.refusal(), (422, "unprocessable".to_owned()));
        let error = refused.json()["errors"][0].clone();
        assert_eq!(
            error,
            json!({"pointer": "/last", "detail": "must be 1 to 200"})
        );
    }
    let one = |version: i64| json!({"version": version, "last": 1});
    let (not_found, no_stable) = ((404, "not_found"), (409, "no_stable_version"));
    let foreign = host.client("globex").await;
    for (answer, (status, code)) in [
        (last(&client, "agent", one(9)).await, not_found),
        (last(&client, "agent", one(0)).await, not_found),
        (last(&client, "nobody", one(1)).await, not_found),
        (last(&foreign, "agent", one(1)).await, not_found),
        (last(&client, "bare", one(1)).await, no_stable),
        (
            last(&client, "agent", json!({"version": 1})).await,
            (400, "invalid_json"),
        ),
        (
            last(
                &client,
                "agent",
                json!({"version": 1, "last": 1, "run": "x"}),
            )
            .await,
            (400, "invalid_json"),
        ),
    ] {
        assert_eq!(answer.refusal(), (status, code.to_owned()));
    }
    // A component of a world this host does not speak, as an older or newer host stored it.
    let raw = Raw {
        imports: &[Import::Output],
        run: "(call $text (i32.const 4096) (i32.const 1)) (i32.const 512)",
        ..Raw::default()
    };
    let bytes = assemble(&raw.text().replace("@0.1.0", "@9.0.0"));
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    for plant in [
        "insert into components (digest, bytes, created_at) values ($1, $2, now())",
        "insert into agent_versions (org_id, agent_id, number, digest, manifest, imports, size_bytes, compile_ms, created_at)
         select v.org_id, v.agent_id, 2, $1, manifest, imports, length($2::bytea), compile_ms, v.created_at
         from agent_versions v join agents a on a.id = v.agent_id where a.name = 'agent'",
    ] {
        let planted = sqlx::query(plant).bind(digest).bind(&bytes);
        assert_eq!(planted.execute(host.db()).await.unwrap().rows_affected(), 1);
    }
    let other = last(&client, "agent", one(2)).await;
    assert_eq!(other.refusal(), (409, "other_contract".to_owned()));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_in_nobodys_way_and_stops_with_its_client() {
    let host = TestHost::start_with(|config| {
        config.runs.concurrent = 3;
        config.runs.replays_at_once = 2;
        config.sandbox.limits.fuel = 1 << 50;
    })
    .await;
    let client = host.client("acme").await;
    client.deploy("agent", &ECHO.bytes()).await;
    for _ in 0..6 {
        ended((&host, &client), "agent", "x").await;
    }
    client.upload("agent", &SPIN.bytes()).await;
    let ask = || {
        let request = client.request(Method::POST, "/agents/agent/replay");
        request.json(&json!({"version": 2, "last": 6})).send()
    };
    // Twelve replays are asked for, of guests that compute without end.
    let mut asking = Box::pin(async { tokio::join!(ask(), ask()) });
    let alive = || host.host().app.scheduler.alive();
    let spins = eventually("two of them spin", async || alive() == 2);
    tokio::select! {
        answers = &mut asking => panic!("they were answered: {answers:?}"),
        () = spins => {}
    }
    let began = std::time::Instant::now();
    for _ in 0..5 {
        let x = input("x");
        let run = client.run("agent", &x);
        tokio::select! {
            answers = &mut asking => panic!("they were answered: {answers:?}"),
            events = run => assert_eq!(stop_reason(&events), "end_turn"),
        }
        assert_eq!(alive(), 2, "no more than may at one time");
    }
    println!(
        "5 runs beside 12 replays of spinning guests: {} ms each (debug build, 2 threads)",
        began.elapsed().as_millis() / 5
    );
    drop(asking);
    eventually("their guests are gone", async || alive() == 0).await;
    eventually("their places are free", async || {
        let again = last(&client, "agent", json!({"version": 1, "last": 6})).await;
        again.status == 200
    })
    .await;
    host.stop().await;
}
