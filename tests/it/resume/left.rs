//! Runs that leave a host's memory without having ended: a host that drains hands them over, a long sleep suspends
//! them. Both come back by replay.

use std::time::Duration;

use bulkhead_tests::provider::{Answer, How, Provider};
use bulkhead_tests::{Client, TestHost};
use serde_json::{Value, json};

use super::{connect, eventually, input, numbered, told};
use crate::guests;

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_drains_hands_its_runs_over() {
    let first = TestHost::start_with(|config| config.shutdown_grace_ms = 200).await;
    let provider = Provider::start().await;
    first.deploy("acme", "journey", &guests::JOURNEY).await;
    let client = first.client("acme").await;
    connect(&client, &provider).await;
    let half = Answer::pieces(&["half ", "more"]).how(How::HangAfter(450));
    provider.script(vec![half, Answer::text("whole ")]);
    let second = first.join().await;
    let mut asking = client
        .stream("journey", &input("say a \nask b?\nsay c"))
        .await;
    asking.next_of("text").await;
    asking.next_of("text").await;
    let sleeping = client
        .start("journey", &input("say a \nsleep 500\nsay c"))
        .await;
    let asking = asking.run();
    first.stop().await;
    second.run_jobs().await;
    let client = client.at(&second.url());
    let events = client.resume("journey", &asking, 0).await.rest().await;
    numbered(&events);
    assert_eq!(
        told(&events),
        [
            "started",
            "text a ",
            "text half ",
            "retract 3",
            "text whole ",
            "text c",
            "done end_turn"
        ]
    );
    let events = client.resume("journey", &sleeping, 0).await.rest().await;
    assert_eq!(
        told(&events),
        ["started", "text a ", "text c", "done end_turn"]
    );
    let deaths: i32 = sqlx::query_scalar("select max(deaths) from runs")
        .fetch_one(second.db())
        .await
        .unwrap();
    assert_eq!(deaths, 0, "nobody died");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_within_the_grace_is_not_handed_over() {
    let host = TestHost::start().await;
    host.deploy("acme", "journey", &guests::JOURNEY).await;
    let client = host.client("acme").await;
    let mut events = client
        .stream("journey", &input("say a\nsleep 300\nsay b"))
        .await;
    events.next_of("text").await;
    let (rest, ()) = tokio::join!(events.rest(), host.stop());
    assert_eq!(told(&rest), ["text b", "done end_turn"]);
}

/// A host whose guests leave memory when they sleep for a second or longer.
async fn sleepy() -> (TestHost, Client) {
    let host = TestHost::start_with(|config| config.runs.suspend_after_ms = 1_000).await;
    host.deploy("acme", "journey", &guests::JOURNEY).await;
    let client = host.client("acme").await;
    (host, client)
}

async fn suspended(client: &Client, instructions: &str) -> String {
    let run = client.start("journey", &input(instructions)).await;
    eventually("it is suspended", async || {
        client.show("journey", &run).await["state"] == "suspended"
    })
    .await;
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_sleep_leaves_memory_and_comes_back() {
    let (host, client) = sleepy().await;
    let run = suspended(&client, "say a \nclock\nsleep 500000\nclock\nsay b").await;
    let app = &host.host().app;
    eventually("nothing of it is in memory", async || {
        app.runs.registry().is_empty() && app.scheduler.alive() == 0
    })
    .await;
    host.run_jobs().await;
    assert_eq!(
        client.show("journey", &run).await["state"],
        "suspended",
        "it is not time yet"
    );
    host.clock().advance(Duration::from_secs(499));
    host.run_jobs().await;
    assert_eq!(client.show("journey", &run).await["state"], "suspended");
    host.clock().advance(Duration::from_secs(2));
    // Any host wakes it.
    let second = host.join().await;
    second.run_jobs().await;
    let client = client.at(&second.url());
    let events = client.resume("journey", &run, 0).await.rest().await;
    numbered(&events);
    let said: Vec<&str> = events
        .iter()
        .filter_map(|event| event.data["text"].as_str())
        .collect();
    let clocks: Vec<i64> = [said[1], said[2]]
        .iter()
        .map(|text| text.trim().parse().unwrap())
        .collect();
    assert_eq!(
        clocks[1] - clocks[0],
        501_000,
        "its clock moved with the sleep"
    );
    assert_eq!((said[0], said[3], events.len()), ("a ", "b", 6));
    second.stop().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_run_is_cancelled_at_once() {
    let (host, client) = sleepy().await;
    let run = suspended(&client, "say a\nspin 100000\nsleep 3600000\nsay b").await;
    let answer = client.cancel("journey", &run).await;
    assert_eq!(answer.status, 202);
    host.run_jobs().await;
    let events = client.resume("journey", &run, 0).await.rest().await;
    assert_eq!(told(&events), ["started", "text a", "done cancelled"]);
    let view = client.show("journey", &run).await;
    assert_eq!(view["receipt"]["where"], "sleep");
    assert_eq!(view["receipt"]["requested_at"], view["cancel_requested_at"]);
    let fuel = view["usage"]["fuel"].as_i64().unwrap();
    assert!(
        fuel > 100_000,
        "what it used before is known to the unit: {fuel}"
    );
    assert_eq!(view["usage"]["estimated"], false);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_run_ends_at_its_deadline() {
    let (host, client) = sleepy().await;
    let started = client
        .post(
            "/agents/journey/runs",
            &json!({ "input": "sleep 3600000", "deadline_ms": 60_000 }),
        )
        .await;
    let run = started.json()["id"].as_str().unwrap().to_owned();
    eventually("it is suspended", async || {
        client.show("journey", &run).await["state"] == "suspended"
    })
    .await;
    host.clock().advance(Duration::from_secs(61));
    host.run_jobs().await;
    let mut view = Value::Null;
    eventually("it has ended", async || {
        view = client.show("journey", &run).await;
        view["state"] == "failed"
    })
    .await;
    assert_eq!(view["stop_reason"], "deadline");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleep_with_a_generation_open_stays() {
    let (host, client) = sleepy().await;
    let provider = Provider::start().await;
    connect(&client, &provider).await;
    provider.script(vec![Answer::text("one two three")]);
    let events = client
        .run("journey", &input("open q?\nsleep 1200\nclose\nsay b"))
        .await;
    assert_eq!(
        told(&events),
        ["started", "text one ", "text b", "done end_turn"]
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_is_not_effective_in_time_drains_the_host() {
    bulkhead_tests::logs::expect_errors("a stop is not effective");
    let host = TestHost::start_with(|config| config.runs.stop_effective_ms = 0).await;
    host.deploy("acme", "spin", &guests::SPIN).await;
    let client = host.client("acme").await;
    let runs = host.host().app.runs.clone();
    let mut escalated = false;
    // A guest that waits for its turn is taken out at once; one that is being polled takes a slice.
    for _ in 0..200 {
        let run = client.start("spin", &input("go")).await;
        eventually("it spins", async || {
            client.show("spin", &run).await["state"] == "running"
        })
        .await;
        let view = client.cancel("spin", &run).await.json();
        assert_eq!(view["state"], "cancelled", "{view}");
        escalated = view["receipt"]["escalated"] == true;
        if escalated {
            break;
        }
    }
    assert!(escalated, "no stop took any time");
    tokio::time::timeout(Duration::from_secs(1), runs.escalated())
        .await
        .unwrap();
    drop(runs);
    host.stop().await;
}
