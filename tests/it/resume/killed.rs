//! Hosts in processes of their own, killed without a word.

use std::path::Path;
use std::process::Stdio;

use bulkhead_tests::folder::Folder;
use bulkhead_tests::host::{MASTER_KEY, program};
use bulkhead_tests::provider::{Answer, How, Provider};
use bulkhead_tests::{TestHost, logs};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::{connect, input, numbered, told};
use crate::guests;

fn master_key() -> String {
    MASTER_KEY
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A host in a process of its own, as an operator runs it.
async fn serve(host: &TestHost, data: &Path) -> (Child, String) {
    let mut child = Command::new(program())
        .args(["serve", "--output", "json"])
        .env_clear()
        .env("DATABASE_URL", host.database_url())
        .env("BULKHEAD_MASTER_KEY", master_key())
        .env("BULKHEAD__LISTEN", "127.0.0.1:0")
        .env("BULKHEAD__METRICS_LISTEN", "127.0.0.1:0")
        .env("BULKHEAD__MODELS__ALLOW_HTTP_MODELS", "true")
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
async fn runs_of_a_killed_process_go_on() {
    logs::expect_errors("a run's write failed");
    let host = TestHost::start().await;
    let provider = Provider::start().await;
    host.deploy("acme", "journey", &guests::JOURNEY).await;
    let here = host.client("acme").await;
    connect(&here, &provider).await;
    let folder = Folder::new();
    let (mut process, url) = serve(&host, &folder).await;
    let there = here.at(&url);
    let half = Answer::pieces(&["half ", "more"]).how(How::HangAfter(450));
    let mut streams = Vec::new();
    for n in 0..10 {
        let question = format!("question {n}?");
        provider.when(&question, half.clone());
        let run = format!("say a{n} \nsleep 20\nask {question}\nsay z{n}");
        let mut stream = there.stream("journey", &input(&run)).await;
        stream.next_of("text").await;
        let text = stream.next_of("text").await;
        streams.push((stream.run(), text.id));
    }
    process.kill().await.unwrap();
    provider.forget();
    for n in 0..10 {
        provider.when(&format!("question {n}?"), Answer::text("whole "));
    }
    sqlx::query(
        "update nodes set heartbeat_at = heartbeat_at - interval '1 minute' where id <> $1",
    )
    .bind(host.host().app.runs.node().0)
    .execute(host.db())
    .await
    .unwrap();
    host.run_jobs().await;
    for (n, (run, seen)) in streams.iter().enumerate() {
        // What the client had seen is where it goes on from, on a host that lives.
        let rest = here.resume("journey", run, *seen).await.rest().await;
        assert_eq!(rest[0].id, seen + 1);
        let all = here.resume("journey", run, 0).await.rest().await;
        numbered(&all);
        let last = format!("text z{n}");
        assert_eq!(
            told(&all),
            [
                "started",
                &format!("text a{n} "),
                "text half ",
                "retract 3",
                "text whole ",
                &last,
                "done end_turn"
            ]
        );
        let view = here.show("journey", run).await;
        assert_eq!(view["output"], format!("a{n} whole z{n}"));
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memories_of_a_killed_process_are_written_once() {
    logs::expect_errors("a run's write failed");
    let host = TestHost::start().await;
    let provider = Provider::start().await;
    host.deploy("acme", "journey", &guests::JOURNEY).await;
    let here = host.client("acme").await;
    connect(&here, &provider).await;
    let folder = Folder::new();
    let (mut process, url) = serve(&host, &folder).await;
    let there = here.at(&url);
    let mut runs = Vec::new();
    for n in 0..8 {
        let conversation = here.converse("journey").await;
        let first =
            json!({ "input": "remember turns 1\nremember old x", "conversation_id": conversation });
        there.run("journey", &first).await;
        let question = format!("question {n}?");
        let half = Answer::pieces(&["half ", "more"]).how(How::HangAfter(450));
        provider.when(&question, half);
        // Some have written before the generation that dies with the process, some behind it.
        let told = match n % 2 {
            0 => format!("recall turns\nremember turns 2\nforget old\nask {question}\nkeys "),
            _ => format!(
                "recall turns\nopen {question}\nremember turns 2\nforget old\nask again {question}\nkeys "
            ),
        };
        let body = json!({ "input": told, "conversation_id": conversation });
        let mut stream = there.stream("journey", &body).await;
        // Before it is asked for the last time, what it wrote is durable.
        for _ in 0..2 + n % 2 {
            stream.next_of("text").await;
        }
        runs.push((conversation, stream.run()));
    }
    process.kill().await.unwrap();
    provider.forget();
    for n in 0..8 {
        provider.when(&format!("question {n}?"), Answer::text("whole "));
    }
    sqlx::query(
        "update nodes set heartbeat_at = heartbeat_at - interval '1 minute' where id <> $1",
    )
    .bind(host.host().app.runs.node().0)
    .execute(host.db())
    .await
    .unwrap();
    host.run_jobs().await;
    for (conversation, run) in &runs {
        let events = here.resume("journey", run, 0).await.rest().await;
        numbered(&events);
        assert_eq!(told(&events).last().unwrap(), "done end_turn");
        let output = here.show("journey", run).await["output"].clone();
        let output = output.as_str().unwrap().to_owned();
        assert!(output.starts_with("turns=1 "), "{output}");
        assert!(output.ends_with("[turns] "), "{output}");
        let path = format!("/agents/journey/conversations/{conversation}/memory");
        let memory = here.get(&path).await.json();
        let entries = memory["entries"].as_array().unwrap();
        assert_eq!(entries.len(), 1, "{memory}");
        assert_eq!(
            (&entries[0]["key"], &entries[0]["value"], &entries[0]["run"]),
            (&json!("turns"), &json!("2"), &json!(run))
        );
    }
    let sets: i64 = sqlx::query_scalar("select count(*) from run_steps where kind = 'memory.set'")
        .fetch_one(host.db())
        .await
        .unwrap();
    assert_eq!(sets, 8 * 3, "each is recorded once");
    host.stop().await;
}
