//! The hostile twin: what a Rust guest cannot do, one in another language cannot either, and it is told by the same
//! names.

use bulkhead_tests::client::{stop_reason, text};
use bulkhead_tests::host::eventually;
use bulkhead_tests::{Client, TestHost};
use serde_json::json;

use super::Language;
use crate::cancel::cancel;
use crate::limits::ends;

pub(super) async fn meets_every_limit(host: &TestHost, client: &Client, language: &Language) {
    let fuel = ("fuel", "limit", "the fuel limit was used up");
    let spun = ends(
        host,
        "hostile",
        &json!({ "input": "spin", "max_fuel": 200_000_000 }),
        fuel,
    )
    .await;
    assert_eq!(spun["usage"]["fuel"], 200_000_000);
    let hoarded = ends(
        host,
        "hostile",
        &json!({ "input": "hoard" }),
        language.hoards,
    )
    .await;
    let peak = hoarded["usage"]["memory_peak_bytes"].as_u64().unwrap();
    assert!((60 << 20..=64 << 20).contains(&peak), "{hoarded}");
    let log = hoarded["guest_log"].to_string();
    assert!(
        language.hoards.0 == "memory" || log.contains("out of memory"),
        "{log}"
    );
    let output = ("output", "limit", "the output limit was reached");
    ends(host, "hostile", &json!({ "input": "flood" }), output).await;
    let thrown = ends(
        host,
        "hostile",
        &json!({ "input": "throw" }),
        ("trap", "guest", "unreachable"),
    )
    .await;
    let log = thrown["guest_log"].to_string();
    assert!(log.contains("it was me"), "its author reads why: {log}");
    let run = client.start("hostile", &json!({ "input": "spin" })).await;
    eventually("it computes", async || {
        host.host().app.scheduler.alive() > 0
    })
    .await;
    cancel(host, client, "hostile", &run).await;

    // Its replay rolls the same dice at the same time.
    let rolled = ends(
        host,
        "hostile",
        &json!({ "input": "dice" }),
        ("end_turn", "", ""),
    )
    .await;
    let again = client.run("hostile", &json!({ "input": "dice" })).await;
    assert_ne!(rolled["output"], text(&again), "a seed for each run");
    assert_eq!(stop_reason(&again), "end_turn");
}
