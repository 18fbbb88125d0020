//! Places for runs: a full host queues, a full queue answers 429, and one organization's backlog is its own.

use bulkhead_tests::Client;
use bulkhead_tests::TestHost;
use bulkhead_tests::client::stop_reason;
use bulkhead_tests::host::eventually;
use serde_json::json;

use crate::guests;

async fn cancel_all(client: &Client, runs: &[String]) {
    // The newest first, so that none leaves the queue meanwhile.
    for run in runs.iter().rev() {
        let cancelled = client.cancel("spin", run).await;
        assert_eq!(cancelled.json()["state"], "cancelled", "{}", cancelled.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_answers_when_to_come_back() {
    let host = TestHost::start_with(|config| {
        config.runs.concurrent = 1;
        config.runs.queued = 2;
        config.runs.queued_per_org = 2;
    })
    .await;
    host.deploy("acme", "spin", &guests::SPIN).await;
    let client = host.client("acme").await;
    let body = json!({ "input": "x" });
    let mut runs = Vec::new();
    for state in ["running", "queued", "queued"] {
        runs.push(client.start("spin", &body).await);
        assert_eq!(
            client.show("spin", &runs[runs.len() - 1]).await["state"],
            state
        );
    }
    let full = client.post("/agents/spin/runs", &body).await;
    assert_eq!(full.refusal(), (429, "queue_full".to_owned()));
    assert_eq!(full.headers["retry-after"], "1");
    let kept: i64 = sqlx::query_scalar("select count(*) from runs")
        .fetch_one(host.db())
        .await
        .expect("a count");
    assert_eq!(kept, 3, "a refused run is not written");

    // A place that is given back goes to the one who waited first.
    client.cancel("spin", &runs[0]).await;
    let next = runs[1].clone();
    eventually("the first in the queue runs", async || {
        client.show("spin", &next).await["state"] == "running"
    })
    .await;
    assert_eq!(client.show("spin", &runs[2]).await["state"], "queued");
    runs.push(client.start("spin", &body).await);
    cancel_all(&client, &runs[1..]).await;
    let seats = client.start("spin", &body).await;
    eventually("every seat came back", async || {
        client.show("spin", &seats).await["state"] == "running"
    })
    .await;
    cancel_all(&client, &[seats]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_delays_its_own_organization_only() {
    let host = TestHost::start_with(|config| {
        config.runs.concurrent = 3;
        config.runs.concurrent_per_org = 2;
        config.runs.queued_per_org = 5;
    })
    .await;
    host.deploy("acme", "spin", &guests::SPIN).await;
    host.deploy("globex", "echo", &guests::ECHO).await;
    let (acme, globex) = (host.client("acme").await, host.client("globex").await);
    let body = json!({ "input": "x" });
    let mut runs = Vec::new();
    loop {
        let answer = acme.post("/agents/spin/runs", &body).await;
        if answer.status == 429 {
            break;
        }
        runs.push(
            answer.json()["id"]
                .as_str()
                .expect("runs have ids")
                .to_owned(),
        );
    }
    assert_eq!(
        runs.len(),
        2 + 5,
        "an organization fills its part of the queue, not all of it"
    );
    for _ in 0..5 {
        assert_eq!(stop_reason(&globex.run("echo", &body).await), "end_turn");
    }
    assert_eq!(acme.show("spin", &runs[2]).await["state"], "queued");
    cancel_all(&acme, &runs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_asked_for_are_within_the_hosts() {
    let host = TestHost::start_with(|config| {
        config.runs.wall_ms = 5_000;
        config.sandbox.limits.fuel = 1_000_000;
    })
    .await;
    host.deploy("acme", "echo", &guests::ECHO).await;
    let client = host.client("acme").await;
    for (field, most) in [("deadline_ms", 5_000_u64), ("max_fuel", 1_000_000)] {
        for wrong in [0, most + 1, u64::MAX] {
            let answer = client
                .post("/agents/echo/runs", &json!({ "input": "x", field: wrong }))
                .await;
            assert_eq!(
                answer.refusal(),
                (422, "input_refused".to_owned()),
                "{field} {wrong}"
            );
            assert!(
                answer.text.contains(&format!("must be 1 to {most}")),
                "{}",
                answer.text
            );
        }
        let events = client
            .run("echo", &json!({ "input": "x", field: most }))
            .await;
        assert_eq!(stop_reason(&events), "end_turn", "{field}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_has_as_many_places_as_it_was_given() {
    let host = TestHost::start().await;
    host.deploy("acme", "spin", &guests::SPIN).await;
    let client = host.client("acme").await;
    let give = async |places: u32| {
        let put = client
            .put("/limits", &json!({ "concurrent_runs": places }))
            .await;
        assert_eq!(put.status, 200, "{}", put.text);
    };
    let body = json!({ "input": "x" });
    let state = async |run: &str| client.show("spin", run).await["state"].clone();
    give(1).await;
    let first = client.start("spin", &body).await;
    let second = client.start("spin", &body).await;
    assert_eq!(
        (state(&first).await, state(&second).await),
        ("running".into(), "queued".into())
    );
    // More are there as soon as a run asks for one.
    give(2).await;
    let third = client.start("spin", &body).await;
    eventually("the second leaves the queue", async || {
        state(&second).await == "running"
    })
    .await;
    assert_eq!(state(&third).await, "queued");
    // Fewer, as they are given back: what comes back first goes to nobody.
    give(1).await;
    let fourth = client.start("spin", &body).await;
    cancel_all(&client, &[first]).await;
    host.deploy("globex", "spin", &guests::SPIN).await;
    let globex = host.client("globex").await;
    let theirs = globex.start("spin", &body).await;
    assert_eq!(globex.show("spin", &theirs).await["state"], "running");
    assert_eq!(
        (state(&second).await, state(&third).await),
        ("running".into(), "queued".into())
    );
    cancel_all(&client, &[second]).await;
    eventually("the third leaves the queue", async || {
        state(&third).await == "running"
    })
    .await;
    assert_eq!(state(&fourth).await, "queued");
    cancel_all(&client, &[third, fourth]).await;
    cancel_all(&globex, &[theirs]).await;
}
