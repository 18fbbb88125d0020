//! Around the verdicts of guardrail components: what they are shown and what is kept of what they say, and that a host
//! without a place or a database is waited for: neither is a component's doing.

use bulkhead_tests::TestHost;
use bulkhead_tests::client::{stop_reason, text};
use bulkhead_tests::host::eventually;
use bulkhead_tests::provider::{Answer, How, Provider};
use bulkhead_tests::raw::judge::{ALLOW, Judge, judging};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::time::Duration;

use super::shown::stored;
use super::{connect, guarded, violations};
use crate::{guests, replay};

const SECRET: &str = "sk-canary0123456789canary0123456789";
const MAIL: &str = "jane@canary.example.com";

/// A judge whose verdict on output is this, with the text it holds at 2048.
fn says(verdict: u32, text: &str) -> Vec<u8> {
    let fields = format!("(data (i32.const 2048) \"{text}\")");
    let bytes = text.len();
    let check = format!(
        "(if (result i32) (i32.eq (local.get $place) (i32.const 1))
          (then (call $says (i32.const {verdict}) (i32.const 2048) (i32.const {bytes})))
          (else {ALLOW}))"
    );
    let judge = Judge {
        fields: &fields,
        check: &check,
        ..Judge::default()
    };
    judge.bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_questions_nor_verdicts_keep_what_may_not_be_kept() {
    let host = TestHost::start().await;
    let provider = Provider::start().await;
    let client = host.client("acme").await;
    connect(&client, &provider).await;
    let secret = format!("the key is {SECRET} of {MAIL}");
    let rows = [
        ("allows", says(0, ""), "end_turn"),
        ("rewrites", says(1, &secret), "end_turn"),
        ("blocks", says(2, &secret), "blocked:component"),
    ];
    for (name, judge, reason) in rows {
        client.deploy(name, &judge).await;
        let agent = format!("by-{name}");
        let rules = [format!("component={name}"), "pii.redact".to_owned()];
        guarded(&host, &agent, &guests::JOURNEY, &[&rules[0], &rules[1]]).await;
        // A piece ends in the middle of the secret, and of the address.
        for before in [0, 8_180] {
            provider.forget();
            let words = format!("{} key {SECRET} for {MAIL} ok", "x".repeat(before));
            let half = words.len() - 30;
            provider.script(vec![Answer::pieces(&[&words[..half], &words[half..]])]);
            let events = client.run(&agent, &json!({ "input": "ask x" })).await;
            assert_eq!(stop_reason(&events), reason, "{name}");
            let run = events[0].data["run"].as_str().expect("it says which");
            for secret in [SECRET, "0123456789canary", MAIL] {
                let seen = events.iter().any(|event| event.raw.contains(secret));
                assert!(!seen, "{name}: {secret} is shown");
            }
            let all = stored(&host, run).await;
            assert!(
                !all.contains("0123456789canary"),
                "{name}: it is stored: {all}"
            );
            // The model's answer is kept as it was; what was judged is not.
            let judged: Vec<String> = sqlx::query_scalar(
                "select concat(request, response) from run_steps where run_id = $1 and kind = 'guardrail.check'",
            )
            .bind(super::id(run))
            .fetch_all(host.db())
            .await
            .expect("steps can be read");
            assert!(judged.len() >= 2, "{name}: {judged:?}");
            for step in &judged {
                assert!(!step.contains(MAIL), "{name}: {step}");
            }
            let rows = violations(&client, run).await;
            let listed = Value::from(rows.clone()).to_string();
            assert!(
                !listed.contains("0123456789canary") && !listed.contains(MAIL),
                "{listed}"
            );
            // A piece that is blocked ends the run before the address was said.
            let redacted = rows.iter().find(|row| row["kind"] == "pii.redact");
            match redacted {
                Some(redacted) => assert_eq!(redacted["detail"], json!({ "email": 1 }), "{name}"),
                None => assert_eq!((name, before), ("blocks", 8_180), "{listed}"),
            }
            if name == "rewrites" {
                assert!(
                    text(&events).contains("the key is [secret] of [email]"),
                    "{name}"
                );
            }
            replay::is_the_same(&client, &agent, run).await;
        }
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_are_at_least_a_character() {
    let host = TestHost::start_with(|config| config.guardrails.component_piece_bytes = 0).await;
    let client = guarded(&host, "echo", &guests::ECHO, &["component=allows"]).await;
    client.deploy("allows", &judging(ALLOW)).await;
    let events = client.run("echo", &json!({ "input": "日本 é" })).await;
    assert_eq!(
        (text(&events).as_str(), stop_reason(&events)),
        ("日本 é", "end_turn")
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_waited_for() {
    let host = TestHost::start_with(|config| {
        config.sandbox.guests = 1;
        config.runs.concurrent = 100;
        config.runs.concurrent_per_org = 100;
        config.guardrails.component_wait_ms = 3_600_000;
    })
    .await;
    let client = guarded(&host, "echo", &guests::ECHO, &["component=allows"]).await;
    client.deploy("allows", &judging(ALLOW)).await;
    client.deploy("sleep", &guests::SLEEP.bytes()).await;
    // The engine has 65 places: these take all but the one of the run that is judged.
    let body = json!({ "input": "3600000" });
    let asleep = join_all((0..64).map(|_| client.start("sleep", &body))).await;
    let alive = || host.host().app.scheduler.alive();
    eventually("they sleep", async || alive() == 64).await;
    let run = client.start("echo", &json!({ "input": "hello" })).await;
    eventually("it is there", async || alive() >= 65).await;
    for _ in 0..30 {
        let view = client.show("echo", &run).await;
        assert_eq!(view["state"], "running", "{view}");
        tokio::task::yield_now().await;
    }
    client.cancel("sleep", &asleep[0]).await;
    let events = client.resume("echo", &run, 0).await.rest().await;
    assert_eq!(
        (text(&events).as_str(), stop_reason(&events)),
        ("hello", "end_turn")
    );
    for run in &asleep[1..] {
        client.cancel("sleep", run).await;
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_asked_again() {
    let host = TestHost::start().await;
    let provider = Provider::start().await;
    let client = guarded(&host, "journey", &guests::JOURNEY, &["component=allows"]).await;
    connect(&client, &provider).await;
    client.deploy("allows", &judging(ALLOW)).await;
    let slowly = How::Drip(Duration::from_millis(50));
    provider.script(vec![
        Answer::text("it waits a little for its end").how(slowly),
    ]);
    let run = client.start("journey", &json!({ "input": "ask x" })).await;
    provider.received(1).await;
    // Whoever looks for the component waits, and then loses its connection.
    let mut locked = host.db().begin().await.expect("a transaction");
    sqlx::query("lock table agent_channels in access exclusive mode")
        .execute(&mut *locked)
        .await
        .expect("the table is there");
    let waiting = "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock' and query like '%agent_channels%'";
    for _ in 0..2 {
        eventually("somebody waits for the component", async || {
            let ended: Vec<bool> = sqlx::query_scalar(waiting)
                .fetch_all(host.db())
                .await
                .expect("activity can be read");
            !ended.is_empty()
        })
        .await;
    }
    locked.rollback().await.expect("the lock is given back");
    let events = client.resume("journey", &run, 0).await.rest().await;
    assert_eq!(
        (text(&events).as_str(), stop_reason(&events)),
        ("it waits a little for its end", "end_turn")
    );
    host.stop().await;
}
