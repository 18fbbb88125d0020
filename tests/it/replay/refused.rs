//! What cannot be replayed is refused with one clear answer, and a replay takes a place, a time and nothing else.

use bulkhead_tests::host::eventually;
use bulkhead_tests::provider::Answer;
use bulkhead_tests::raw::{Import, Raw, assemble};
use bulkhead_tests::{Client, TestHost, logs};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{input, is_the_same, replay, told};
use crate::guests;

async fn ended(client: &Client, agent: &str, text: &str) -> String {
    let events = client.run(agent, &input(text)).await;
    events[0].data["run"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_ended_is_foreign_or_unknown() {
    let host = TestHost::start_with(|config| config.runs.suspend_after_ms = 1_000).await;
    host.deploy("acme", "journey", &guests::JOURNEY).await;
    host.deploy("acme", "spin", &guests::SPIN).await;
    host.deploy("globex", "journey", &guests::JOURNEY).await;
    let (acme, globex) = (host.client("acme").await, host.client("globex").await);
    let not_ended = (409, "run_not_ended".to_owned());
    let running = acme.start("spin", &input("x")).await;
    assert_eq!(
        replay(&acme, "spin", &running, &json!({})).await.refusal(),
        not_ended
    );
    acme.cancel("spin", &running).await;
    is_the_same(&acme, "spin", &running).await;

    let suspended = acme.start("journey", &input("say a\nsleep 5000")).await;
    eventually("it is suspended", async || {
        acme.show("journey", &suspended).await["state"] == "suspended"
    })
    .await;
    let refused = replay(&acme, "journey", &suspended, &json!({})).await;
    assert_eq!(refused.refusal(), not_ended);
    let detail = refused.json()["detail"].clone();
    assert!(detail.as_str().unwrap().contains("suspended"), "{detail}");
    acme.cancel("journey", &suspended).await;
    host.run_jobs().await;
    eventually("it is cancelled", async || {
        acme.show("journey", &suspended).await["state"] == "cancelled"
    })
    .await;
    is_the_same(&acme, "journey", &suspended).await;

    let run = ended(&acme, "journey", "say a").await;
    let unknown = format!("run_{}", "0".repeat(32));
    let answers = [
        replay(&globex, "journey", &run, &json!({})).await,
        replay(&acme, "other", &run, &json!({})).await,
        replay(&acme, "journey", &unknown, &json!({})).await,
        replay(&acme, "journey", "run_nonsense", &json!({})).await,
        replay(&acme, "journey", &run, &json!({ "version": 9 })).await,
        replay(&acme, "journey", &run, &json!({ "version": -1 })).await,
    ];
    for answer in answers {
        assert_eq!(answer.refusal(), (404, "not_found".to_owned()));
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_of_another_contract() {
    let host = TestHost::start().await;
    host.deploy("acme", "echo", &guests::ECHO).await;
    let client = host.client("acme").await;
    let run = ended(&client, "echo", "x").await;
    // A component of a world this host does not speak, as an older or newer host stored it.
    let raw = Raw {
        imports: &[Import::Output],
        run: "(call $text (i32.const 4096) (i32.const 1)) (i32.const 512)",
        ..Raw::default()
    };
    let text = raw.text().replace("@0.1.0", "@9.0.0");
    let bytes = assemble(&text);
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    sqlx::query("insert into components (digest, bytes, created_at) values ($1, $2, now())")
        .bind(digest)
        .bind(&bytes)
        .execute(host.db())
        .await
        .unwrap();
    sqlx::query(
        "insert into agent_versions (org_id, agent_id, number, digest, manifest, imports, size_bytes, compile_ms, created_at)
         select org_id, agent_id, 2, $1, manifest, imports, size_bytes, compile_ms, created_at from agent_versions",
    )
    .bind(digest)
    .execute(host.db())
    .await
    .unwrap();
    let answer = replay(&client, "echo", &run, &json!({ "version": 2 })).await;
    assert_eq!(answer.refusal(), (409, "other_contract".to_owned()));
    is_the_same(&client, "echo", &run).await;

    // Its own component is gone, from the disk and from the database.
    let fresh = host.join().await;
    let there = client.at(&fresh.url());
    sqlx::raw_sql(
        "begin; set local session_replication_role = replica; delete from components; commit",
    )
    .execute(host.db())
    .await
    .unwrap();
    for file in std::fs::read_dir(fresh.data().join("artifacts"))
        .unwrap()
        .flatten()
    {
        std::fs::remove_file(file.path()).unwrap();
    }
    let answer = replay(&there, "echo", &run, &json!({})).await;
    assert_eq!(answer.refusal(), (409, "component_missing".to_owned()));
    fresh.stop().await;
    host.stop().await;
}

/// A replay of a run whose journal or log was altered: what it tells first, and why it ended.
async fn altered(sql: &str) -> (String, Value) {
    let host = TestHost::start().await;
    host.deploy("acme", "journey", &guests::JOURNEY).await;
    let client = host.client("acme").await;
    let run = ended(&client, "journey", "say a\nsleep 1\nsleep 2\nsay b").await;
    is_the_same(&client, "journey", &run).await;
    let changed = sqlx::query(sqlx::AssertSqlSafe(sql))
        .execute(host.db())
        .await
        .unwrap();
    assert_eq!(changed.rows_affected(), 1, "{sql}");
    let answer = replay(&client, "journey", &run, &json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let report = answer.json();
    assert_eq!(report["same"], false, "{sql}: {report}");
    let first = told(&report)[0].to_owned();
    // What was altered would be found when the host stops.
    sqlx::query("update usage_records set fuel = fuel - 1 where $1 = 'fuel'")
        .bind(&first)
        .execute(host.db())
        .await
        .unwrap();
    host.stop().await;
    (first, report["beyond"]["why"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_row_is_told() {
    let journal = |why: &str| ("journal".to_owned(), json!(why));
    let first = "where seq = 1";
    let cases = [
        (
            format!("update run_steps set response = '{{\"ok\":7}}' {first}"),
            "diverged: Step 1 was altered.",
        ),
        (
            format!("update run_steps set request = '{{\"milliseconds\":7}}' {first}"),
            "diverged: Step 1 was altered.",
        ),
        (
            format!("update run_steps set response = '7', response_digest = null {first}"),
            "diverged: Step 1 cannot be read.",
        ),
        (
            format!("delete from run_steps {first}"),
            "diverged: There is no step 1, but a step 2.",
        ),
    ];
    for (sql, why) in cases {
        assert_eq!(Box::pin(altered(&sql)).await, journal(why), "{sql}");
    }
    let said = r#"update run_events set data = '{"text":"z"}' where kind = 'text' and seq = 2"#;
    assert_eq!(
        Box::pin(altered(said)).await,
        ("text".to_owned(), Value::Null)
    );
    let used = "update usage_records set fuel = fuel + 1";
    assert_eq!(
        Box::pin(altered(used)).await,
        ("fuel".to_owned(), Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_has_a_time_of_its_own() {
    let host = TestHost::start_with(|config| {
        config.runs.replay_wall_ms = 300;
        config.sandbox.limits.fuel = 1 << 50;
    })
    .await;
    let client = host.client("acme").await;
    host.deploy("acme", "agent", &guests::ECHO).await;
    let run = ended(&client, "agent", "x").await;
    host.deploy("acme", "agent", &guests::SPIN).await;
    let report = replay(&client, "agent", &run, &json!({ "version": 2 }))
        .await
        .json();
    assert_eq!(
        report["beyond"],
        json!({ "why": "The replay took longer than a replay may." })
    );
    assert_eq!(host.host().app.scheduler.alive(), 0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_takes_a_place_and_stops_with_its_client() {
    let host = TestHost::start_with(|config| {
        config.runs.concurrent = 1;
        config.runs.queued = 0;
        config.sandbox.limits.fuel = 1 << 50;
    })
    .await;
    let client = host.client("acme").await;
    host.deploy("acme", "agent", &guests::ECHO).await;
    let run = ended(&client, "agent", "x").await;
    host.deploy("acme", "agent", &guests::SPIN).await;
    let path = format!("/agents/agent/runs/{run}/replay");
    let request = client.request(Method::POST, &path);
    let mut asking = Box::pin(request.json(&json!({ "version": 2 })).send());
    let spins = eventually("it spins", async || host.host().app.scheduler.alive() == 1);
    tokio::select! {
        answer = &mut asking => panic!("it was answered: {answer:?}"),
        () = spins => {}
    }
    let busy = replay(&client, "agent", &run, &json!({})).await;
    assert_eq!(busy.refusal(), (429, "queue_full".to_owned()));
    drop(asking);
    eventually("its guest is gone", async || {
        host.host().app.scheduler.alive() == 0
    })
    .await;
    eventually("its place is free", async || {
        replay(&client, "agent", &run, &json!({})).await.status == 200
    })
    .await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_answered_as_the_first_was() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    host.deploy("acme", "echo", &guests::ECHO).await;
    let run = ended(&client, "echo", "x").await;
    let ask = async || {
        let path = format!("/agents/echo/runs/{run}/replay");
        let request = client
            .request(Method::POST, &path)
            .header("idempotency-key", "once")
            .json(&json!({}));
        bulkhead_tests::client::send(request).await
    };
    let (first, second) = (ask().await, ask().await);
    assert_eq!((first.status.as_u16(), &first.text), (200, &second.text));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_the_host_failed_is_replayed_as_far_as_it_came() {
    logs::expect_errors("a host call failed");
    let host = TestHost::start().await;
    let provider = bulkhead_tests::provider::Provider::start().await;
    provider.script(vec![Answer::text("never")]);
    let client = host.client("acme").await;
    host.deploy("acme", "journey", &guests::JOURNEY).await;
    // The sealed key cannot be opened: the host's own failure ends the run.
    let connection = json!({
        "kind": "openai", "base_url": provider.base_url(), "api_key": "sk-test", "default_model": "scripted"
    });
    client.put("/model-connections/default", &connection).await;
    sqlx::query("update model_connections set api_key_sealed = 'x'")
        .execute(host.db())
        .await
        .unwrap();
    let events = client.run("journey", &input("say a\nask b?\nsay c")).await;
    let run = events[0].data["run"].as_str().unwrap();
    assert_eq!(
        bulkhead_tests::client::stop_reason(&events),
        "host_error",
        "{events:?}"
    );
    is_the_same(&client, "journey", run).await;
    // That a run was lost would be found when the host stops.
    sqlx::query("update runs set fault = '{}'")
        .execute(host.db())
        .await
        .unwrap();
    host.stop().await;
}
