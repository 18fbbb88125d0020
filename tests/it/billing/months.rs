//! The edges of months, on a clock that the test moves.

use std::time::Duration;

use bulkhead::billing::tiers::Dimension;
use bulkhead_tests::TestHost;
use serde_json::json;
use time::macros::datetime;

use super::{cap, capped, input, journey, usage};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_counts_in_the_month_it_ends_in() {
    let host = TestHost::start_with(|config| {
        config.runs.wall_ms = 40 * 24 * 3_600_000;
        config.runs.dead_after_ms = 40 * 24 * 3_600_000;
    })
    .await;
    let client = journey(&host).await;
    capped(&[&host], "acme", &[cap(Dimension::Runs, 3, true)]).await;
    let to = |at: time::OffsetDateTime| {
        let by: Duration = (at - host.clock().now()).try_into().unwrap();
        host.clock().advance(by);
    };
    to(datetime!(2026-11-30 23:59:59.999999 UTC));
    client.run("journey", &input("say a")).await;
    let mut over = client
        .stream("journey", &input("say a\nopen x\nsay b"))
        .await;
    let left = client.stream("journey", &input("sleep 600000")).await;
    over.next_of("text").await;
    let full = client.post("/agents/journey/runs", &input("say a")).await;
    assert_eq!(full.refusal(), (402, "cap_reached".to_owned()));
    assert_eq!(full.json()["period_end"], "2026-12-01T00:00:00Z");
    over.rest().await;
    host.clock().advance(Duration::from_micros(1));
    let spanning = left.run();
    client.cancel("journey", &spanning).await;
    left.rest().await;
    // A new month has its caps whole, and none of the old one's runs.
    client.run("journey", &input("say a")).await;
    let runs = async |period: &str| usage(&client, &format!("?period={period}")).await;
    for _ in 0..2 {
        let (november, december) = (runs("2026-11").await, runs("2026-12").await);
        assert_eq!(november["total"]["runs"], 2);
        assert_eq!(
            december["total"]["runs"], 2,
            "one that began in November, and one of its own"
        );
        assert_eq!(december["data"][0]["day"], "2026-12-01");
        assert_eq!(november["caps"][0]["used"], 3, "admitted in November");
        assert_eq!(december["caps"][0]["used"], 1, "admitted in December");
        assert_eq!(runs("2026-10").await["data"], json!([]));
        host.run_jobs().await;
    }
    host.stop().await;
}
