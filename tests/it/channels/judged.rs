//! A canary that judges itself: each figure ends it once it is passed, nothing does before, and what is ended gets no further
//! run.

use std::time::Duration;

use bulkhead_tests::host::eventually;
use bulkhead_tests::provider::{Answer, Provider};
use bulkhead_tests::receiver::Receiver;
use bulkhead_tests::{Client, TestHost};
use serde_json::{Value, json};

use super::{answers, channels, taken, variant, verb, versions};
use crate::cli::program::{Ended, ended};
use crate::cli::verbs::{as_client, document};
use crate::guests::{ECHO, JOURNEY, PANIC, SLEEP};
use crate::signed::behind_the_agents_lock;

/// As often as a canary is looked at.
const ROUND: Duration = Duration::from_secs(5);
/// More runs than chance needs to give a half its part.
const RUNS_MAX: usize = 300;

/// Makes version 2 the canary with half of the runs, whatever it asks for.
async fn canary(client: &Client, agent: &str, judge: Value) {
    let more = client
        .get(&format!("/agents/{agent}/versions/2/diff"))
        .await
        .json()["more"]
        .clone();
    let body = json!({"version": 2, "weight": 0.5, "approve_capabilities": more, "judge": judge});
    let made = verb(client, agent, "canary", body).await;
    assert_eq!(made.status, 200, "{}", made.text);
    assert_eq!(
        made.json()["canary"]["judge"]["min_runs"],
        judge["min_runs"]
    );
}

/// So many runs by a channel, whatever comes of them.
async fn runs(client: &Client, agent: &str, (channel, input): (&str, &str), count: usize) {
    for _ in 0..count {
        let body = json!({"input": input, "channel": channel});
        client.run(agent, &body).await;
    }
}

/// The next round, on this host.
async fn look(host: &TestHost) {
    host.clock().advance(ROUND);
    host.run_jobs().await;
}

/// How the canary stands.
async fn judged(client: &Client, agent: &str) -> Value {
    let shown = client.get(&format!("/agents/{agent}/channels")).await;
    shown.json()["canary"]["judged"].clone()
}

async fn count(host: &TestHost, what: &'static str) -> i64 {
    let counted = sqlx::query_scalar(what).fetch_one(host.db()).await;
    counted.unwrap()
}

/// The newest move of the agent's channels.
async fn last_move(client: &Client, agent: &str) -> Value {
    let path = format!("/agents/{agent}/channels/history?limit=1");
    client.get(&path).await.json()["data"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_fails_is_ended_and_gets_no_further_run() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    client.deploy("echo", &ECHO.bytes()).await;
    client.upload("echo", &PANIC.bytes()).await;
    let receiver = Receiver::start().await;
    let endpoint = json!({"url": receiver.url("/"), "events": ["agent_channel.rolled_back"]});
    let made = client.post("/webhook-endpoints", &endpoint).await;
    assert_eq!(made.status, 201, "{}", made.text);
    canary(
        &client,
        "echo",
        json!({"min_runs": 5, "failure_rate_above": 0.2}),
    )
    .await;
    runs(&client, "echo", ("canary", "x"), 4).await;
    runs(&client, "echo", ("stable", "x"), 5).await;
    look(&host).await;
    let standing = judged(&client, "echo").await;
    assert_eq!(standing["verdict"], "waiting", "{standing}");
    assert_eq!(standing["canary"]["failed"], 4);
    assert_eq!(channels(&client, "echo").await.1, json!(2), "too few runs");

    // A conversation that the lot gave to it.
    let mut conversation = client.converse("echo").await;
    for _ in 0..RUNS_MAX {
        if answers(&client, "echo", &conversation).await.0 == 2 {
            break;
        }
        conversation = client.converse("echo").await;
    }
    let standing = judged(&client, "echo").await;
    assert_eq!(standing["verdict"], "beyond", "{standing}");
    look(&host).await;
    let null = Value::Null;
    assert_eq!(
        channels(&client, "echo").await,
        (json!(1), null.clone(), null.clone(), null.clone())
    );
    let before = count(&host, "select count(*) from runs where version = 2").await;
    for _ in 0..40 {
        let run = taken(&client, "echo", json!({"input": "x"})).await;
        assert_eq!(run, (1, json!("stable")));
    }
    assert_eq!(
        answers(&client, "echo", &conversation).await,
        (1, json!("stable"))
    );
    let after = count(&host, "select count(*) from runs where version = 2").await;
    assert_eq!(after, before, "it got a run");
    println!(
        "a version that always fails had {before} runs, and none of the 41 after it was ended"
    );

    let moved = last_move(&client, "echo").await;
    assert_eq!(
        (&moved["action"], &moved["channel"], &moved["previous"]),
        (&json!("rolled_back"), &json!("canary"), &json!(2))
    );
    assert_eq!(moved["by"], null, "{moved}");
    let why = moved["reason"].as_str().unwrap();
    assert!(
        why.starts_with("the failure rate is 1.000, stable's 0.000, and 0.2 above"),
        "{why}"
    );
    let row = client
        .get("/audit/actions?action=agent_channel.rolled_back")
        .await
        .json()["data"][0]
        .clone();
    assert_eq!(row["actor"]["kind"], "host", "{row}");
    assert_eq!(row["target"]["id"], "echo/canary");
    assert_eq!(row["detail"]["reason"], json!(why));
    host.run_jobs().await;
    receiver.arrived(1).await;
    let told = receiver.got()[0].json();
    assert_eq!(told["type"], "agent_channel.rolled_back");
    let figures = &told["data"]["figures"]["judged"];
    assert_eq!(told["data"]["reason"], json!(why), "{told}");
    assert_eq!(figures["canary"]["failure_rate"], 1.0, "{told}");
    assert_eq!(figures["stable"]["failed"], 0);
    host.stop().await;
}

/// Version 2 is ended for this, having been within what is allowed as long as it did as stable does.
async fn is_ended_for(
    (host, client): (&TestHost, &Client),
    (judge, same, other): (Value, &str, impl AsyncFnOnce()),
    why: &str,
) {
    canary(client, "agent", judge).await;
    runs(client, "agent", ("stable", same), 4).await;
    runs(client, "agent", ("canary", same), 4).await;
    look(host).await;
    let standing = judged(client, "agent").await;
    assert_eq!(standing["verdict"], "within", "{standing}");
    other().await;
    let standing = judged(client, "agent").await;
    assert_eq!(standing["verdict"], "beyond", "{standing}");
    look(host).await;
    assert_eq!(channels(client, "agent").await.1, Value::Null);
    let reason = last_move(client, "agent").await["reason"].clone();
    assert!(reason.as_str().unwrap().contains(why), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_version_is_ended() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    client.deploy("agent", &SLEEP.bytes()).await;
    client.upload("agent", &variant(&SLEEP.bytes(), 2)).await;
    let judge = json!({"min_runs": 4, "p95_times": 2});
    let slow = async || {
        let body = json!({"input": "1500", "channel": "canary"});
        let mut events = client.stream("agent", &body).await;
        events.next_of("text").await;
        host.clock().advance(Duration::from_millis(50));
        events.rest().await;
    };
    is_ended_for(
        (&host, &client),
        (judge, "0", slow),
        "the 95th percentile is 50 ms, stable's 0 ms, and 2 times",
    )
    .await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_blocked_is_ended() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    client.deploy("agent", &JOURNEY.bytes()).await;
    client.upload("agent", &variant(&JOURNEY.bytes(), 2)).await;
    // As if the component declared it.
    let declared = sqlx::query(
        "update agent_versions set manifest = jsonb_set(manifest, '{guardrails}', '[\"max_tool_calls=1\"]')
         where number = 2",
    );
    declared.execute(host.db()).await.unwrap();
    let judge = json!({"min_runs": 4, "block_rate_above": 0.25});
    let blocked = async || {
        runs(&client, "agent", ("stable", "tool a\ntool b"), 2).await;
        runs(&client, "agent", ("canary", "tool a\ntool b"), 2).await;
    };
    is_ended_for(
        (&host, &client),
        (judge, "tool a", blocked),
        "the block rate is 0.333, stable's 0.000",
    )
    .await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_costly_version_is_ended() {
    let host = TestHost::start_with(|config| {
        let row = json!({"input_per_million": "0", "output_per_million": "100"});
        let row = serde_json::from_value(row).unwrap();
        config.billing.prices.insert("m".to_owned(), row);
    })
    .await;
    let client = host.client("acme").await;
    let provider = Provider::start().await;
    provider.always(|_| Answer::text("two words"));
    let connection =
        json!({"kind": "openai", "base_url": provider.base_url(), "default_model": "m"});
    let put = client.put("/model-connections/default", &connection).await;
    assert!(put.status.is_success(), "{}", put.text);
    client.deploy("agent", &JOURNEY.bytes()).await;
    client.upload("agent", &variant(&JOURNEY.bytes(), 2)).await;
    let judge = json!({"min_runs": 4, "cost_times": 1.5});
    let costly = async || runs(&client, "agent", ("canary", "ask a\nask b\nask c"), 2).await;
    // Four of two words and two of six: 20 words of 100 a million in six runs.
    is_ended_for(
        (&host, &client),
        (judge, "ask a", costly),
        "a run costs 0.000333333333, stable's 0.0002, and 1.5 times",
    )
    .await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stables_runs_of_before_count_where_it_has_none_since() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    client.deploy("agent", &JOURNEY.bytes()).await;
    client.upload("agent", &variant(&JOURNEY.bytes(), 2)).await;
    runs(&client, "agent", ("stable", "say a"), 3).await;
    host.clock().advance(Duration::from_secs(3_600));
    canary(
        &client,
        "agent",
        json!({"min_runs": 3, "failure_rate_above": 0}),
    )
    .await;
    let cancelled = client
        .start(
            "agent",
            &json!({"input": "sleep 600000", "channel": "canary"}),
        )
        .await;
    client.cancel("agent", &cancelled).await;
    eventually("it is cancelled", async || {
        client.show("agent", &cancelled).await["state"] == "cancelled"
    })
    .await;
    runs(&client, "agent", ("canary", "say a"), 2).await;
    let standing = judged(&client, "agent").await;
    assert_eq!(standing["canary"]["runs"], 2, "a cancelled one is none");
    assert_eq!(standing["stable"]["runs"], 3, "{standing}");
    assert_eq!(standing["verdict"], "waiting");
    // The same one with another share goes on from where it is; without thresholds nobody judges it.
    canary(
        &client,
        "agent",
        json!({"min_runs": 2, "failure_rate_above": 0}),
    )
    .await;
    assert_eq!(judged(&client, "agent").await["verdict"], "within");
    runs(&client, "agent", ("canary", "fail"), 1).await;
    let unjudged = json!({"version": 2, "weight": 1});
    assert_eq!(verb(&client, "agent", "canary", unjudged).await.status, 200);
    look(&host).await;
    assert_eq!(channels(&client, "agent").await.1, json!(2), "it stays");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_that_judge_at_once_move_once_and_nothing_that_moved_meanwhile() {
    let host = TestHost::start().await;
    let other = host.join().await;
    let client = host.client("acme").await;
    versions(&client, "agent", 3).await;
    let journey = JOURNEY.bytes();
    client.deploy("journey", &journey).await;
    client.upload("journey", &variant(&journey, 2)).await;
    client.upload("journey", &variant(&journey, 3)).await;
    let judge = json!({"min_runs": 1, "failure_rate_above": 0});
    for moved_meanwhile in [false, true] {
        canary(&client, "journey", judge.clone()).await;
        runs(&client, "journey", ("stable", "say a"), 1).await;
        runs(&client, "journey", ("canary", "fail"), 1).await;
        host.clock().advance(ROUND);
        // Both have seen the same, and wait for the agent: the second one a round later.
        let waits = async |waiting: i64| {
            eventually("it waits", async || {
                count(
                    &host,
                    "select count(*) from pg_stat_activity where datname = current_database()
                     and wait_event_type = 'Lock' and query like '%from agents%for no key update%'",
                )
                .await
                    == waiting
            })
            .await;
        };
        let both = async {
            let elsewhere = json!({"version": 3, "weight": 0.1});
            let first = async {
                if moved_meanwhile {
                    let moved = verb(&client, "journey", "canary", elsewhere).await;
                    assert_eq!(moved.status, 200, "{}", moved.text);
                } else {
                    host.host().app.agents.judge().await.unwrap();
                }
            };
            let second = async {
                waits(1).await;
                host.clock().advance(ROUND);
                other.host().app.agents.judge().await.unwrap();
            };
            tokio::join!(first, second)
        };
        Box::pin(behind_the_agents_lock(&host, 2, both)).await;
        let ended = "select count(*) from agent_channel_moves where action = 'rolled_back'";
        assert_eq!(count(&host, ended).await, 1);
        let actions =
            "select count(*) from audit_entries where action = 'agent_channel.rolled_back'";
        assert_eq!(count(&host, actions).await, 1);
        let stays = if moved_meanwhile {
            json!(3)
        } else {
            Value::Null
        };
        assert_eq!(channels(&client, "journey").await.1, stays);
    }
    // The other host follows.
    let elsewhere = client.at(&other.url());
    eventually("no run there takes it", async || {
        let wanted = json!({"input": "say a", "channel": "canary"});
        taken(&elsewhere, "journey", wanted).await.0 == 3
    })
    .await;
    other.stop().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_meant_is_one_clear_error_and_moves_nothing() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    versions(&client, "echo", 2).await;
    let before = channels(&client, "echo").await;
    for (judge, pointer, says) in [
        (json!({}), "/judge", "at least one of failure_rate_above"),
        (json!({"min_runs": 5}), "/judge", "at least one of"),
        (
            json!({"min_runs": 0, "p95_times": 2}),
            "/judge/min_runs",
            "1 to 1000",
        ),
        (
            json!({"min_runs": 1001, "p95_times": 2}),
            "/judge/min_runs",
            "1 to 1000",
        ),
        (
            json!({"failure_rate_above": -0.1}),
            "/judge/failure_rate_above",
            "0 to 1",
        ),
        (
            json!({"block_rate_above": 1.1}),
            "/judge/block_rate_above",
            "0 to 1",
        ),
        (json!({"p95_times": 0.5}), "/judge/p95_times", "1 to 1000"),
        (
            json!({"cost_times": 1001}),
            "/judge/cost_times",
            "1 to 1000",
        ),
    ] {
        let body = json!({"version": 2, "weight": 0.5, "judge": judge});
        let refused = verb(&client, "echo", "canary", body).await;
        assert_eq!(refused.refusal(), (422, "unprocessable".to_owned()));
        let errors = refused.json()["errors"].clone();
        assert_eq!(errors.as_array().unwrap().len(), 1, "{judge}: {errors}");
        assert_eq!(errors[0]["pointer"], pointer, "{judge}");
        assert!(errors[0]["detail"].as_str().unwrap().contains(says));
    }
    for judge in [
        json!({"failures": 0.1}),
        json!({"min_runs": 1.5, "p95_times": 2}),
        json!({"p95_times": "2"}),
        json!(5),
    ] {
        let body = json!({"version": 2, "weight": 0.5, "judge": judge});
        let refused = verb(&client, "echo", "canary", body).await;
        assert_eq!(
            refused.refusal(),
            (400, "invalid_json".to_owned()),
            "{judge}"
        );
    }
    assert_eq!(channels(&client, "echo").await, before);
    let promoted = json!({"version": 2, "judge": {"p95_times": 2}});
    let refused = verb(&client, "echo", "promote", promoted).await;
    assert_eq!(refused.refusal(), (400, "invalid_json".to_owned()));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_sets_and_shows_it() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    client.deploy("agent", &JOURNEY.bytes()).await;
    client.upload("agent", &variant(&JOURNEY.bytes(), 2)).await;
    let words = "canary agent 2 --weight 0.5 --failure-rate-above 0.4 --p95-times 2 --min-runs 2";
    let words: Vec<&str> = words.split(' ').collect();
    let made = document(&host, &client, &words).await;
    let judge = json!({"min_runs": 2, "failure_rate_above": 0.4, "p95_times": 2.0});
    assert_eq!(made["canary"]["judge"], judge);
    runs(&client, "agent", ("stable", "say a"), 2).await;
    runs(&client, "agent", ("canary", "fail"), 1).await;
    let show = || as_client(&client, &host.url(), &["channels", "agent"]);
    let words = |ended: Ended| {
        let words: Vec<&str> = ended.stdout.split_whitespace().collect();
        words.join(" ")
    };
    let shown = words(ended(show()).await);
    assert!(shown.contains("one of the two had too few runs"), "{shown}");
    runs(&client, "agent", ("canary", "fail"), 1).await;
    let shown = words(ended(show()).await);
    for line in [
        "it is ended in a moment: the failure rate is 1.000, stable's 0.000",
        "figure canary stable allowed",
        "runs 2 2 at least 2",
        "failure rate 1.0 0.0 0.4 above stable's",
        "p95 ms 0 0 2.0 times stable's",
    ] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
    look(&host).await;
    let shown = ended(show()).await.stdout;
    assert_eq!(shown, "agent: v1 is stable\n");
    let refused = [
        ("--failure-rate-above", "-0.1"),
        ("--p95-times", "0"),
        ("--min-runs", "0"),
        ("--min-runs", "9"),
    ];
    for (flag, value) in refused {
        let words = ["canary", "agent", "2", "--weight", "0.5", flag, value];
        let refused = ended(as_client(&client, &host.url(), &words)).await;
        let line = refused.refusal(1);
        assert!(line.contains("[unprocessable, request "), "{line}");
    }
    host.stop().await;
}
