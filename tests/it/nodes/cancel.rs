//! A cancel that is asked of a host that does not run the run: the same answer, with the receipt.

use std::time::Instant;

use bulkhead_tests::Client;
use bulkhead_tests::client::send;
use bulkhead_tests::host::{eventually, patient};
use bulkhead_tests::provider::{Answer, How, Provider};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Two, figures};

/// Cancels a run of the first host at the second; its receipt, and how long it took.
async fn cancel(two: &Two, agent: &str, run: &str) -> (Value, f64) {
    let begun = Instant::now();
    let answer = two.there.cancel(agent, run).await;
    let took = begun.elapsed().as_secs_f64() * 1_000.0;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let view = answer.json();
    assert_eq!(view["state"], "cancelled", "{view}");
    assert_eq!(view["receipt"]["requested_at"], view["cancel_requested_at"]);
    (view["receipt"].clone(), took)
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_the_run_is() {
    let two = Two::with(patient).await;
    let provider = Provider::start().await;
    let connection = json!({
        "kind": "openai", "base_url": provider.base_url(), "api_key": "sk-test", "default_model": "scripted"
    });
    let put = two
        .here
        .put("/model-connections/default", &connection)
        .await;
    assert!(put.status.is_success(), "{}", put.text);
    for (agent, input, expected) in [
        ("sleep", "60000", "sleep"),
        ("spin", "x", "guest"),
        ("generate", "are you there?", "model"),
    ] {
        let mut all = Vec::new();
        for n in 0..20 {
            provider.script(vec![Answer::text("never said").how(How::HangBeforeHead)]);
            let run = two.here.start(agent, &json!({ "input": input })).await;
            if expected == "model" {
                provider.received(n + 1).await;
            }
            eventually("it is in its slot", async || {
                two.first.host().app.scheduler.alive() == 1
            })
            .await;
            two.first.reaches(&run, expected).await;
            let (receipt, took) = cancel(&two, agent, &run).await;
            assert_eq!(receipt["where"], expected);
            all.push(took);
            assert_eq!(two.there.cancel(agent, &run).await.status, 200);
            eventually("the guest is gone", async || {
                two.first.host().app.scheduler.alive() == 0
            })
            .await;
        }
        figures(&format!("cancel across two nodes, in {expected}"), all);
    }
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once() {
    let two = Two::with(|config| {
        config.sandbox.guests = 128;
        config.runs.concurrent = 128;
        config.runs.concurrent_per_org = 128;
        config.runs.cancel_wait_ms = 30_000;
    })
    .await;
    let body = json!({ "input": "60000" });
    let runs = join_all((0..100).map(|_| two.here.start("sleep", &body))).await;
    let cancels = runs.iter().map(|run| cancel(&two, "sleep", run));
    let took = join_all(cancels).await.into_iter().map(|(_, took)| took);
    figures(
        "a hundred cancels at once, across two nodes",
        took.collect(),
    );
    two.stop().await;
}

/// Nothing is told: the node finds the cancel by its poll, and the answer waits for that.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_message() {
    let two = Two::with(|config| {
        config.runs.notifications = false;
        config.runs.cancel_wait_ms = 30_000;
    })
    .await;
    assert_eq!(two.hearing().await, 0);
    let run = two.here.start("sleep", &json!({ "input": "60000" })).await;
    let polls = async {
        eventually("the cancel is a fact", async || {
            two.there.show("sleep", &run).await["cancel_requested_at"].is_string()
        })
        .await;
        assert_eq!(two.there.show("sleep", &run).await["state"], "running");
        two.first.run_jobs().await;
    };
    let ((receipt, _), ()) = tokio::join!(cancel(&two, "sleep", &run), polls);
    assert!(receipt["stopped_at"].is_string());
    two.stop().await;
}

/// The connections that hear are cut, over and over; what was told meanwhile is found when they are back.
#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_hears() {
    let two = Two::with(|config| config.runs.cancel_wait_ms = 30_000).await;
    two.hears_again().await;
    for _ in 0..3 {
        let run = two.here.start("sleep", &json!({ "input": "60000" })).await;
        two.deafen().await;
        let (receipt, _) = cancel(&two, "sleep", &run).await;
        assert!(receipt["stopped_at"].is_string());
        two.hears_again().await;
        let run = two.here.start("sleep", &json!({ "input": "60000" })).await;
        cancel(&two, "sleep", &run).await;
    }
    two.stop().await;
}

/// A repeat of the request that made the run waits for its end, on any node.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_start_waits_elsewhere() {
    let two = Two::new().await;
    let start = async |client: &Client| {
        let request = client.request(Method::POST, "/agents/sleep/runs?wait=30");
        let request = request.header("idempotency-key", "once");
        send(request.json(&json!({ "input": "1000" }))).await
    };
    // The first node is at work; as if it had been for so long that its answer is not waited for any more.
    let again = async {
        eventually("the run is there", async || {
            let list = two.there.get("/agents/sleep/runs?state=running").await;
            list.json()["data"]
                .as_array()
                .is_some_and(|runs| runs.len() == 1)
        })
        .await;
        sqlx::query("update idempotency_keys set claimed_at = claimed_at - interval '1 hour'")
            .execute(two.second.db())
            .await
            .unwrap();
        start(&two.there).await
    };
    let (first, again) = tokio::join!(start(&two.here), again);
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (200, 200));
    assert_eq!(first.json()["state"], "completed");
    assert_eq!(first.json(), again.json());
    two.stop().await;
}
