//! Runs whose host died: found by another node, ended once, with everything they had shown kept. Written over by nobody.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::Stdio;

use bulkhead_tests::client::{masked, stop_reason};
use bulkhead_tests::folder::Folder;
use bulkhead_tests::host::{eventually, program};
use bulkhead_tests::{Client, TestHost, logs};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::guests;

/// Two hosts on one database; a run sleeps on the first.
struct Pair {
    first: TestHost,
    second: TestHost,
    client: Client,
    run: String,
}

impl Pair {
    async fn new() -> Self {
        // What is told here is told by the polls, when the test says so.
        let first = TestHost::start_with(|config| {
            config.runs.notifications = false;
            config.runs.cancel_wait_ms = 100;
        })
        .await;
        first.deploy("acme", "sleep", &guests::SLEEP).await;
        let second = first.join().await;
        let client = first.client("acme").await;
        let mut events = client.stream("sleep", &json!({ "input": "60000" })).await;
        events.next_of("text").await;
        let run = events.run();
        let client = client.at(&second.url());
        Self {
            first,
            second,
            client,
            run,
        }
    }

    /// As if the first host had said nothing for a minute.
    async fn first_dies(&self) {
        sqlx::query(
            "update nodes set heartbeat_at = heartbeat_at - interval '1 minute' where id = $1",
        )
        .bind(self.first.host().app.runs.node().0)
        .execute(self.second.db())
        .await
        .unwrap();
    }

    /// The first host, which was only slow, goes on: its guest ends and the host writes what it can.
    async fn first_wakes(&self) {
        let registry = self.first.host().app.runs.registry();
        for live in registry.all() {
            live.stop(
                bulkhead::runs::log::StopCause::Shutdown,
                self.first.clock().now(),
            );
        }
        eventually("the first host is done with the run", async || {
            registry.is_empty()
        })
        .await;
    }

    /// Everything that is written of the run.
    async fn written(&self) -> Value {
        sqlx::query_scalar::<_, sqlx::types::JsonValue>(
            "select json_build_object('run', (select to_jsonb(r) from runs r), 'events', (select json_agg(e order by seq) from
             run_events e), 'steps', (select json_agg(s) from run_steps s), 'usage', (select json_agg(u) from usage_records u))",
        )
        .fetch_one(self.second.db())
        .await
        .unwrap()
    }
}

fn expect_fencing() {
    logs::expect_errors("a run's write failed");
    logs::expect_errors("a run's end was not written");
    logs::expect_errors("a run's log is incomplete");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_host_died_is_ended_once() {
    expect_fencing();
    let pair = Pair::new().await;
    pair.first_dies().await;
    pair.second.run_jobs().await;
    let view = pair.client.show("sleep", &pair.run).await;
    insta::assert_json_snapshot!(masked(view), @r#"
    {
      "agent": "sleep",
      "channel": "stable",
      "created_at": "[time]",
      "deadline_at": "[time]",
      "ended_at": "[time]",
      "fault": {
        "blame": "host",
        "message": "the host that ran it died"
      },
      "fuel_max": 5000000000,
      "id": "[run]",
      "output": "before",
      "receipt": {
        "fuel": "[measure]",
        "in_flight": [],
        "memory_peak_bytes": "[measure]",
        "observed_at": "[time]",
        "usage": {
          "estimated": true,
          "fuel": "[measure]",
          "host_calls": 0,
          "input_tokens": 0,
          "memory_peak_bytes": "[measure]",
          "output_tokens": 0,
          "wall_ms": "[measure]"
        },
        "where": "host"
      },
      "state": "failed",
      "stop_reason": "host_error",
      "usage": {
        "estimated": true,
        "fuel": "[measure]",
        "host_calls": 0,
        "input_tokens": 0,
        "memory_peak_bytes": "[measure]",
        "output_tokens": 0,
        "wall_ms": "[measure]"
      },
      "version": 1
    }
    "#);
    let events = pair.client.resume("sleep", &pair.run, 0).await.rest().await;
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["started", "text", "done"]);
    assert_eq!(stop_reason(&events), "host_error");

    pair.first_wakes().await;
    pair.second.stop().await;
    pair.first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_only_slow_writes_nothing_more() {
    expect_fencing();
    let pair = Pair::new().await;
    pair.first_dies().await;
    pair.second.run_jobs().await;
    let written = pair.written().await;
    assert_eq!(written["run"]["term"], 2);
    assert_eq!(written["usage"].as_array().unwrap().len(), 1);
    pair.second.run_jobs().await;
    assert_eq!(
        pair.written().await,
        written,
        "a second round finds nothing to do"
    );
    pair.first_wakes().await;
    assert_eq!(
        pair.written().await,
        written,
        "an older term writes nothing"
    );
    assert_eq!(
        pair.client.cancel("sleep", &pair.run).await.status,
        200,
        "the end stands"
    );
    pair.second.stop().await;
    pair.first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_outlives_the_host_that_should_have_seen_it() {
    expect_fencing();
    let pair = Pair::new().await;
    let asked = pair.client.cancel("sleep", &pair.run).await;
    assert_eq!(
        (asked.status.as_u16(), asked.json()["state"].clone()),
        (202, json!("running"))
    );
    pair.first_dies().await;
    pair.second.run_jobs().await;
    let view = pair.client.show("sleep", &pair.run).await;
    assert_eq!(
        (&view["state"], &view["stop_reason"]),
        (&json!("cancelled"), &json!("cancelled"))
    );
    assert_eq!(
        view["receipt"]["requested_at"],
        asked.json()["cancel_requested_at"]
    );
    assert_eq!(view.get("fault"), None);
    assert_eq!(view["output"], "before");
    pair.first_wakes().await;
    pair.second.stop().await;
    pair.first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_a_living_node_are_left_alone() {
    let pair = Pair::new().await;
    let written = pair.written().await;
    pair.second.run_jobs().await;
    pair.first.run_jobs().await;
    assert_eq!(pair.written().await, written);
    assert_eq!(
        pair.client.show("sleep", &pair.run).await["state"],
        "running"
    );

    // Its own node hears of a cancel that only the database was told.
    assert_eq!(pair.client.cancel("sleep", &pair.run).await.status, 202);
    assert_eq!(
        pair.client.show("sleep", &pair.run).await["state"],
        "running"
    );
    pair.first.run_jobs().await;
    let mut view = Value::Null;
    eventually("the run is cancelled", async || {
        view = pair.client.show("sleep", &pair.run).await;
        view["state"] == "cancelled"
    })
    .await;
    assert_eq!(view["receipt"]["where"], "sleep");
    assert_eq!(view["receipt"]["requested_at"], view["cancel_requested_at"]);
    assert_eq!(pair.client.cancel("sleep", &pair.run).await.status, 200);
    pair.second.stop().await;
    pair.first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_ends_what_it_lost_itself() {
    let host = TestHost::start().await;
    host.deploy("acme", "sleep", &guests::SLEEP).await;
    let client = host.client("acme").await;
    let done = client.run("sleep", &json!({ "input": "0" })).await;
    let run = done[0].data["run"].as_str().unwrap().to_owned();
    // As if the end had not been written: the node lives, the row is open, and nothing here runs it.
    for sql in [
        "delete from run_events where kind = 'done'",
        "delete from usage_records",
        "update runs set state = 'running', stop_reason = null, ended_at = null, output = null, receipt = null",
    ] {
        sqlx::query(sql).execute(host.db()).await.unwrap();
    }
    let alive = client.stream("sleep", &json!({ "input": "60000" })).await;
    host.run_jobs().await;
    let view = client.show("sleep", &run).await;
    assert_eq!(
        (&view["stop_reason"], &view["output"]),
        (&json!("host_error"), &json!("beforeafter"))
    );
    let other = alive.run();
    assert_eq!(
        client.show("sleep", &other).await["state"],
        "running",
        "what runs here is left alone"
    );
    client.cancel("sleep", &other).await;
    assert_eq!(stop_reason(&alive.rest().await), "cancelled");
    host.stop().await;
}

/// A host in a process of its own, as an operator runs it.
async fn serve(host: &TestHost, data: &Path) -> (Child, String) {
    let mut child = Command::new(program())
        .args(["serve", "--output", "json"])
        .env_clear()
        .env("DATABASE_URL", host.database_url())
        .env("BULKHEAD_MASTER_KEY", "0123456789abcdef".repeat(4))
        .env("BULKHEAD__LISTEN", "127.0.0.1:0")
        .env("BULKHEAD__METRICS_LISTEN", "127.0.0.1:0")
        .env("BULKHEAD__DATA", data)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    (child, ready["url"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_a_killed_process_are_found() {
    let host = TestHost::start().await;
    host.deploy("acme", "sleep", &guests::SLEEP).await;
    let folder = Folder::new();
    let (mut process, url) = serve(&host, &folder).await;
    let here = host.client("acme").await;
    let there = here.at(&url);
    let mut streams = Vec::new();
    for _ in 0..10 {
        let mut stream = there.stream("sleep", &json!({ "input": "60000" })).await;
        stream.next_of("text").await;
        streams.push(stream);
    }
    let asked = here.cancel("sleep", &streams[0].run()).await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    process.kill().await.unwrap();
    sqlx::query(
        "update nodes set heartbeat_at = heartbeat_at - interval '1 minute' where id <> $1",
    )
    .bind(host.host().app.runs.node().0)
    .execute(host.db())
    .await
    .unwrap();
    host.run_jobs().await;
    for (n, stream) in streams.iter().enumerate() {
        // What the client had seen is where it goes on from, on a host that lives.
        let rest = here.resume("sleep", &stream.run(), 2).await.rest().await;
        let seen: Vec<(i32, &str)> = rest
            .iter()
            .map(|event| (event.id, event.kind.as_str()))
            .collect();
        assert_eq!(seen, [(3, "done")], "run {n}");
        // Its own host may have seen the cancel before it died.
        let expected = if n == 0 { "cancelled" } else { "host_error" };
        assert_eq!(stop_reason(&rest), expected, "run {n}");
        assert_eq!(here.show("sleep", &stream.run()).await["output"], "before");
    }
    host.stop().await;
}
