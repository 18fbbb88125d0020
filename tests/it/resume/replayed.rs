//! Runs that had several lives, replayed after their end: what stands of them is one run's.

use std::time::Duration;

use bulkhead_tests::provider::{Answer, How};
use serde_json::json;

use super::{Pair, eventually, input};
use crate::guests;
use crate::replay::is_the_same;
use bulkhead_tests::TestHost;

impl Pair {
    async fn is_the_same(&self) -> serde_json::Value {
        is_the_same(&self.client, "journey", &self.run).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_went_on_after_its_host() {
    let long = "say one \ndice\nclock\nask what?\ntool hammer\nsleep 1000\nclock\ndice\nsay last";
    let pair = Pair::new(long, vec![Answer::text("two words ")], 8).await;
    pair.goes_on().await;
    assert_eq!(pair.show().await["stop_reason"], "end_turn");
    let report = pair.is_the_same().await;
    assert_eq!(report["beyond"], json!(null));
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_withdrew_what_it_had_said() {
    let broken = Answer::pieces(&["it ", "breaks ", "off"]).how(How::HangAfter(600));
    let script = vec![Answer::text("first "), broken, Answer::text("whole again")];
    let pair = Pair::new("ask a?\nask b?\nsay !", script, 3).await;
    pair.provider.received(2).await;
    eventually("something of the second is shown", async || {
        pair.written().await["events"].as_array().unwrap().len() >= 3
    })
    .await;
    pair.goes_on().await;
    let report = pair.is_the_same().await;
    assert_eq!(report["replayed"]["output"], "first whole again!");
    pair.stop().await;
}

/// Cancelled by the host that took it over, before it came as far as the one that died.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_stopped_in_its_second_life() {
    let pair = Pair::new(
        // What may begin a credential, as a `c` may, is said with what follows it.
        "say a\nask b?\nspin 5000\nsay f\nspin 5000\nsay d\nsleep 60000\nsay e",
        vec![Answer::text("b ")],
        5,
    )
    .await;
    let now = pair.first.clock().now();
    sqlx::query("update runs set cancel_requested_at = $1")
        .bind(now)
        .execute(pair.second.db())
        .await
        .unwrap();
    pair.goes_on().await;
    let view = pair.show().await;
    assert_eq!(
        (&view["stop_reason"], &view["output"]),
        (&json!("cancelled"), &json!("ab fd"))
    );
    let answer = crate::replay::replay(&pair.client, "journey", &pair.run, &json!({})).await;
    let report = answer.json();
    assert_eq!(report["differences"], json!([]), "{report}");
    assert_eq!(
        report["beyond"]["why"],
        "An earlier life of the run went further than is counted."
    );
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_slept_for_long() {
    let host = TestHost::start_with(|config| config.runs.suspend_after_ms = 1_000).await;
    host.deploy("acme", "journey", &guests::JOURNEY).await;
    let client = host.client("acme").await;
    let asleep = async |instructions: &str| {
        let run = client.start("journey", &input(instructions)).await;
        eventually("it is suspended", async || {
            client.show("journey", &run).await["state"] == "suspended"
        })
        .await;
        run
    };
    let run = asleep("say a \nclock\nsleep 500000\nclock\nsay b").await;
    host.clock().advance(Duration::from_secs(501));
    host.run_jobs().await;
    eventually("it has ended", async || {
        client.show("journey", &run).await["state"] == "completed"
    })
    .await;
    is_the_same(&client, "journey", &run).await;
    let run = asleep("say a \nsleep 50000\nsay b").await;
    client.cancel("journey", &run).await;
    host.run_jobs().await;
    eventually("it is cancelled", async || {
        client.show("journey", &run).await["state"] == "cancelled"
    })
    .await;
    is_the_same(&client, "journey", &run).await;
    host.stop().await;
}
