//! A run that goes on elsewhere is bound by what it was started with, whatever it would be given now.

use bulkhead_tests::TestHost;
use serde_json::{Value, json};

use super::{dies, eventually, input};
use crate::guests;

async fn give(host: &TestHost, limits: Value) {
    let put = host.client("acme").await.put("/limits", &limits).await;
    assert_eq!(put.status, 200, "{}", put.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_under_the_limits_it_was_started_with() {
    let first = TestHost::start().await;
    first.deploy("acme", "journey", &guests::JOURNEY).await;
    let second = Box::new(first.join().await);
    give(&first, json!({ "output_bytes": 20, "handles": 100 })).await;
    let client = first.client("acme").await;
    let instructions = input("say twelve bytes\nsleep 1000\nsay eleven more");
    let mut events = client.stream("journey", &instructions).await;
    while events.next().await.unwrap().kind != "text" {}
    let run = events.run();
    // By now there would be plenty.
    give(&first, json!({})).await;
    dies(&second, first.host().app.runs.node().0).await;
    second.run_jobs().await;
    let there = client.at(&second.url());
    let events = there.resume("journey", &run, 0).await.rest().await;
    assert_eq!(events.last().unwrap().data["stop_reason"], "output");
    let view = there.show("journey", &run).await;
    assert_eq!(view["output"], "twelve bytes");
    for (limit, value) in [("output_bytes", 20), ("handles", 100)] {
        let bound = json!({ "value": value, "source": "org" });
        assert_eq!(view["limits"][limit], bound);
    }
    // A new run has what there is now.
    let plenty = there.run("journey", &instructions).await;
    assert_eq!(plenty.last().unwrap().data["stop_reason"], "end_turn");
    let registry = first.host().app.runs.registry();
    eventually("the first host is done with the run", async || {
        registry.is_empty()
    })
    .await;
    second.stop().await;
    first.stop().await;
}
