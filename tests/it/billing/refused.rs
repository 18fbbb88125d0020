//! What is asked wrongly is told in one clear answer, and changes nothing.

use bulkhead::billing::tiers::{Dimension, Tiers};
use bulkhead_tests::TestHost;
use serde_json::json;

use super::{cap, count, org_of};

#[tokio::test(flavor = "multi_thread")]
async fn bad_questions_have_one_clear_answer() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    for (query, says) in [
        ("?period=2026-13", "`period` is a month of UTC"),
        ("?period=November", "`period` is a month of UTC"),
        ("?group=colour", "colour"),
        ("?month=2026-11", "month"),
    ] {
        let answer = client.get(&format!("/usage{query}")).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.text);
        assert!(answer.text.contains(says), "{query}: {}", answer.text);
    }
    let tiers = Tiers::new(host.db().clone(), host.clock().clone());
    let before = count(&host, "usage_tier_caps").await;
    for (name, caps, says) in [
        (
            "t",
            vec![cap(Dimension::Runs, 0, true)],
            "A cap of 0 runs would admit nothing",
        ),
        ("T", vec![], "A tier's name begins"),
        (
            "t",
            vec![cap(Dimension::Spend, 1, true)],
            "bulkhead usage spend-cap",
        ),
        (
            "t",
            vec![cap(Dimension::Runs, 1, true), cap(Dimension::Runs, 2, true)],
            "named twice",
        ),
    ] {
        let error = tiers.put(name, &caps).await.unwrap_err();
        assert_eq!(error.code.code, "cap_refused");
        assert!(error.detail.contains(says), "{error}");
    }
    assert_eq!(count(&host, "usage_tier_caps").await, before);
    let org = org_of(&host, "acme").await;
    let unknown = tiers.give(org, "platinum").await.unwrap_err();
    assert_eq!(unknown.code.code, "unknown_tier");
    assert!(unknown.detail.contains("`platinum`"), "{unknown}");
    let zero = tiers
        .cap_spending(org, Some("0".parse().unwrap()))
        .await
        .unwrap_err();
    assert_eq!(zero.code.code, "cap_refused");
    assert_eq!(count(&host, "usage_plans").await, 0);
    host.stop().await;
}

/// A host does not start with a price that it cannot read, or a tier that is not there.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_price_or_tier_stops_the_host_from_starting() {
    use bulkhead::billing::{Config, Prices};
    for (row, says) in [
        (
            json!({ "input_per_million": "abc", "output_per_million": "1" }),
            "billing.prices.\"m\".input_per_million",
        ),
        (
            json!({ "input_per_million": "1", "output_per_million": "-1" }),
            "billing.prices.\"m\".output_per_million",
        ),
        (
            json!({ "input_per_million": "1", "output_per_million": "1", "cached_per_million": "0.1234567" }),
            "cached_per_million",
        ),
    ] {
        let mut config = Config::default();
        config
            .prices
            .insert("m".to_owned(), serde_json::from_value(row).unwrap());
        let error = Prices::read(&config).unwrap_err();
        assert!(
            error.contains(says) && error.contains("such as \"0.25\""),
            "{error}"
        );
    }
    let host = TestHost::start().await;
    let config = Config {
        default_tier: "platinum".to_owned(),
        ..Config::default()
    };
    let app = &host.host().app;
    let random = bulkhead::kit::Random::system();
    let base = bulkhead::kit::Base::new(app.db.clone(), app.clock.clone(), random)
        .await
        .unwrap();
    let billing = bulkhead::billing::Billing::new(
        &base,
        bulkhead::kit::egress::Egress::new().unwrap(),
        config,
    )
    .unwrap();
    let error = billing.check_tiers().await.unwrap_err();
    assert_eq!(error.code.code, "unknown_tier");
    assert!(error.detail.contains("billing.default_tier"), "{error}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_gives_is_in_the_log() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let org = org_of(&host, "acme").await;
    let tiers = Tiers::new(host.db().clone(), host.clock().clone());
    tiers.give(org, "pro").await.unwrap();
    tiers
        .cap_spending(org, Some("12.5".parse().unwrap()))
        .await
        .unwrap();
    tiers.cap_spending(org, None).await.unwrap();
    // What is refused was not given.
    tiers.give(org, "golden").await.unwrap_err();
    let acts = async |action: &str| -> Vec<(String, String)> {
        let answer = client.get(&format!("/audit/actions?action={action}")).await;
        let page = answer.json();
        let rows = page["data"].as_array().expect("a page").iter();
        rows.map(|row| {
            let text = |pointer: &str| row.pointer(pointer).and_then(|v| v.as_str());
            let said = |pointer| text(pointer).unwrap_or_default().to_owned();
            (said("/actor/kind"), said("/target/id"))
        })
        .collect()
    };
    let by_operator = |what: &str| ("operator".to_owned(), what.to_owned());
    assert_eq!(acts("tier.assigned").await, [by_operator("pro")]);
    assert_eq!(
        acts("spend_cap.set").await,
        [by_operator("none"), by_operator("12.50")],
        "newest first"
    );
    host.stop().await;
}
