//! Who is there: readiness and its reasons, the heartbeat, the list an operator sees, and who is forgotten.

use std::process::Stdio;
use std::time::Duration;

use bulkhead_tests::client::stop_reason;
use bulkhead_tests::host::program;
use bulkhead_tests::{Client, TestHost};
use reqwest::header::RETRY_AFTER;
use serde_json::{Value, json};
use tokio::process::Command;

use super::Two;
use crate::guests;

async fn execute(host: &TestHost, statement: &'static str) {
    sqlx::query(statement).execute(host.db()).await.unwrap();
}

/// Whether it is ready, else why not.
async fn ready(client: &Client) -> Result<(), String> {
    assert_eq!(client.get("/livez").await.status, 200);
    let answer = client.get("/readyz").await;
    if answer.status == 200 {
        return Ok(());
    }
    assert_eq!(answer.refusal(), (503, "unavailable".to_owned()));
    Err(answer.json()["detail"].as_str().unwrap().to_owned())
}

const SILENT: &str = "The host's heartbeat was not written: others take it for dead.";

#[tokio::test(flavor = "multi_thread")]
async fn readiness_names_its_reasons() {
    let host = TestHost::start().await;
    let client = host.client("acme").await.with_key("");
    assert_eq!(ready(&client).await, Ok(()));
    host.clock().advance(Duration::from_secs(14));
    assert_eq!(ready(&client).await, Ok(()));
    host.clock().advance(Duration::from_secs(2));
    assert_eq!(ready(&client).await, Err(SILENT.to_owned()));

    // Every reason is named.
    host.host().app.draining.send_replace(true);
    let both = format!("The host is draining. {SILENT}");
    assert_eq!(ready(&client).await, Err(both));
    host.host().app.draining.send_replace(false);
    host.run_jobs().await;
    assert_eq!(ready(&client).await, Ok(()));

    // A newer host has migrated the database: this one goes on, since migrations only add.
    execute(
        &host,
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (9999, 'newer', true, 'x', 1)",
    )
    .await;
    assert_eq!(ready(&client).await, Ok(()));
    // Another build has the same number for other statements.
    execute(
        &host,
        "update _sqlx_migrations set checksum = 'x' where version = 3",
    )
    .await;
    let foreign = "Migration 3 of the database differs from this host's.";
    assert_eq!(ready(&client).await, Err(foreign.to_owned()));
    execute(
        &host,
        "update _sqlx_migrations set success = false where version = 2",
    )
    .await;
    let behind = "The database lacks migrations of this host.";
    assert_eq!(ready(&client).await, Err(behind.to_owned()));
    host.stop().await;
}

/// A host the others take for dead takes no runs, until it can say again that it lives.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_host_takes_no_runs() {
    let host = TestHost::start().await;
    host.deploy("acme", "echo", &guests::ECHO).await;
    let client = host.client("acme").await;
    let body = json!({ "input": "x" });
    // Its heartbeat cannot be written, everything else can.
    execute(&host, "alter table nodes rename to nodes_away").await;
    assert_eq!(stop_reason(&client.run("echo", &body).await), "end_turn");
    host.clock().advance(Duration::from_secs(16));
    let refused = client.post("/agents/echo/runs", &body).await;
    assert_eq!(refused.refusal(), (503, "unavailable".to_owned()));
    assert_eq!(refused.headers[RETRY_AFTER], "1");
    assert_eq!(ready(&client).await, Err(SILENT.to_owned()));
    let runs = client.get("/agents/echo/runs").await.json();
    assert_eq!(
        runs["data"].as_array().unwrap().len(),
        1,
        "nothing was made"
    );

    execute(&host, "alter table nodes_away rename to nodes").await;
    assert_eq!(stop_reason(&client.run("echo", &body).await), "end_turn");
    assert_eq!(ready(&client).await, Ok(()));
    host.stop().await;
}

/// What `bulkhead nodes` answers in the database of this host.
async fn nodes(host: &TestHost, format: &str) -> String {
    let output = Command::new(program())
        .args(["nodes", "--output", format])
        .env_clear()
        .env("DATABASE_URL", host.database_url())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn listed(host: &TestHost) -> Vec<Value> {
    let document: Value = serde_json::from_str(&nodes(host, "json").await).unwrap();
    document["data"].as_array().unwrap().clone()
}

fn states(nodes: &[Value]) -> Vec<&str> {
    let states = nodes.iter().map(|node| node["state"].as_str().unwrap());
    states.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_the_nodes() {
    let two = Two::new().await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(two.here.start("sleep", &json!({ "input": "60000" })).await);
    }
    two.first.run_jobs().await;
    let list = listed(&two.first).await;
    assert_eq!(states(&list), ["ready", "ready"]);
    let (first, second) = (&list[0], &list[1]);
    assert_eq!(first["id"], two.first.host().app.runs.node().to_string());
    assert_eq!(first["address"], two.first.host().address.to_string());
    assert_eq!(first["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(first["contract"], "0.1.1");
    assert_eq!(first["runs"], json!({ "running": 3 }));
    assert_eq!((&first["places"], &first["free"]), (&json!(64), &json!(61)));
    assert_eq!(second["runs"], json!({}));
    assert_eq!(
        (&second["places"], &second["free"]),
        (&json!(64), &json!(64))
    );
    assert!(first["heartbeat_age_ms"].as_i64().unwrap() >= 0);
    let table = nodes(&two.first, "text").await;
    assert!(
        table.contains("3 running") && table.contains("61 of 64") && table.contains(" s ago"),
        "{table}"
    );

    let second_id = two.second.host().app.runs.node();
    sqlx::query("update nodes set heartbeat_at = heartbeat_at - interval '1 minute' where id = $1")
        .bind(second_id.0)
        .execute(two.first.db())
        .await
        .unwrap();
    let list = listed(&two.first).await;
    assert_eq!(states(&list), ["ready", "dead"]);
    assert_eq!(list[1]["free"], Value::Null, "nothing is free on the dead");

    // One that was only silent is there again with its next heartbeat.
    two.second.run_jobs().await;
    assert_eq!(states(&listed(&two.first).await), ["ready", "ready"]);
    for run in runs {
        two.there.cancel("sleep", &run).await;
    }
    let Two { first, second, .. } = two;
    Box::pin(second.stop()).await;
    assert_eq!(states(&listed(&first).await), ["ready", "stopped"]);
    Box::pin(first.stop()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_are_long_gone_are_forgotten() {
    let host = TestHost::start().await;
    host.deploy("acme", "echo", &guests::ECHO).await;
    let client = host.client("acme").await;
    client.run("echo", &json!({ "input": "x" })).await;
    let rows = [
        (
            "00000000-0000-7000-8000-000000000001",
            "dead",
            "25 hours",
            None,
        ),
        (
            "00000000-0000-7000-8000-000000000002",
            "dead a little",
            "23 hours",
            None,
        ),
        (
            "00000000-0000-7000-8000-000000000003",
            "stopped",
            "1 hour",
            Some("25 hours"),
        ),
        (
            "00000000-0000-7000-8000-000000000004",
            "just stopped",
            "25 hours",
            Some("1 hour"),
        ),
    ];
    for (id, name, silent, stopped) in rows {
        sqlx::query(
            "insert into nodes (id, name, started_at, heartbeat_at, stopped_at) values ($1::uuid, $2, now(),
             now() - $3::interval, now() - $4::interval)",
        )
        .bind(id)
        .bind(name)
        .bind(silent)
        .bind(stopped)
        .execute(host.db())
        .await
        .unwrap();
    }
    host.run_jobs().await;
    let mut names: Vec<String> = listed(&host)
        .await
        .iter()
        .map(|node| node["name"].as_str().unwrap().to_owned())
        .collect();
    names.retain(|name| name.contains("dead") || name.contains("stopped"));
    names.sort();
    assert_eq!(names, ["dead a little", "just stopped"]);
    // What a host of before this version wrote is listed too.
    let list = listed(&host).await;
    let old = list.iter().find(|node| node["name"] == "just stopped");
    assert_eq!(old.unwrap()["version"], Value::Null);
    host.stop().await;
}
