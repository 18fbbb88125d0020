//! What is told wrongly, or configured wrongly, has one clear answer and changes nothing.

use bulkhead::billing::Billing;
use bulkhead::billing::charge::Charging;
use bulkhead::billing::charge::stripe::signature::check;
use bulkhead::config::Config;
use bulkhead::kit::egress::Egress;
use bulkhead::kit::{Base, Random, Secret};
use bulkhead_tests::TestHost;
use bulkhead_tests::client::send;
use reqwest::Method;
use serde_json::json;

use super::subscriptions::{UPDATED, event, post, tell};
use super::{SECRET, charge, charging, count, reports, signature, usage};

fn bad() -> (u16, String) {
    (400, "bad_signature".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_signed_lately_is_one_clear_error() {
    let (host, _stripe, client) = charging().await;
    reports(&host).await;
    let now = host.clock().now().unix_timestamp();
    let event = event("evt_1", now, (UPDATED, "active", "price_pro"));
    let body = event.to_string();
    let good = signature(SECRET, now, &body);
    let of_another = signature("whsec_another", now, &body);
    for header in [
        "",
        "garbage",
        "t=,v1=",
        &of_another,
        &good.replace("v1=", "v0="),
        &good.replace(",v1=", "0,v1="),
        &good[..good.len() - 2],
    ] {
        let answer = post(&client, header, body.clone()).await;
        assert_eq!(answer.refusal(), bad(), "{header}");
    }
    let none = client.anonymous(Method::POST, "/stripe/webhook");
    assert_eq!(send(none.body(body.clone())).await.refusal(), bad());
    let spaced = format!("{body} ");
    assert_eq!(
        post(&client, &good, spaced).await.refusal(),
        bad(),
        "the raw body"
    );
    for at in [now - 301, now + 301] {
        assert_eq!(tell(&client, at, &event).await.refusal(), bad(), "{at}");
    }
    assert_eq!(usage(&client, "").await["tier"], "enterprise");
    assert_eq!(count(&host, "billing_events").await, 0);
    // With two secrets while one is rotated, and at the edge of the tolerance.
    let edge = signature(SECRET, now - 300, &body);
    let both = format!(
        "{},{}",
        of_another.replace(&format!("t={now}"), &format!("t={}", now - 300)),
        &edge[edge.find("v1=").unwrap()..]
    );
    let answer = post(&client, &both, body).await;
    assert_eq!(answer.json(), json!({ "changed": true }), "{}", answer.text);
    host.stop().await;
}

/// What is refused stands in the log once, and is taken when what was wrong is put right.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_carried_out_says_why() {
    let (host, _stripe, client) = charging().await;
    reports(&host).await;
    let now = host.clock().now().unix_timestamp();
    for (id, price, code, says) in [
        (
            "evt_1",
            "price_new",
            "unknown_price",
            "`billing.stripe.tiers` names none of `price_new`",
        ),
        (
            "evt_2",
            "price_gone",
            "unknown_tier",
            "There is no tier `no-such-tier`",
        ),
    ] {
        let event = event(id, now, (UPDATED, "active", price));
        for _ in 0..2 {
            let answer = tell(&client, now, &event).await;
            assert_eq!(answer.refusal(), (422, code.to_owned()));
            assert!(answer.text.contains(says), "{}", answer.text);
        }
        let log = client
            .get("/audit/actions?action=subscription.changed")
            .await;
        let log = log.json();
        let row = &log["data"][0];
        let facts = (&row["status"], &row["code"], &row["target"]["id"]);
        assert_eq!(facts, (&json!("refused"), &json!(code), &json!("sub_1")));
    }
    let log = client
        .get("/audit/actions?action=subscription.changed")
        .await;
    assert_eq!(log.json()["data"].as_array().unwrap().len(), 2, "once each");
    let mut foreign = event("evt_3", now, (UPDATED, "active", "price_pro"));
    foreign["data"]["object"]["customer"] = json!("cus_99");
    let answer = tell(&client, now, &foreign).await;
    assert_eq!(answer.refusal(), (422, "unknown_customer".to_owned()));
    assert!(answer.text.contains("cus_99"), "{}", answer.text);
    assert_eq!(usage(&client, "").await["tier"], "enterprise");
    // The operator names the price; Stripe tells it again.
    let named = host
        .join_with(|config| {
            let tiers = &mut config.billing.stripe.tiers;
            tiers.insert("price_new".to_owned(), "pro".to_owned());
        })
        .await;
    let again = event("evt_1", now, (UPDATED, "active", "price_new"));
    let answer = tell(&client.at(&named.url()), now, &again).await;
    assert_eq!(answer.json(), json!({ "changed": true }));
    named.stop().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_is_refused() {
    let (host, _stripe, client) = charging().await;
    let now = host.clock().now().unix_timestamp();
    for body in [
        "",
        "null",
        "{}",
        "\0",
        &format!("\"{}\"", "x".repeat(100_000)),
    ] {
        let answer = post(&client, &signature(SECRET, now, body), body.to_owned()).await;
        assert_eq!(
            answer.refusal(),
            (400, "invalid_request".to_owned()),
            "{body:.20}"
        );
    }
    for size in [600 << 10, 6 << 20] {
        let large = " ".repeat(size);
        let answer = post(&client, &signature(SECRET, now, &large), large).await;
        assert_eq!(answer.refusal(), (413, "too_large".to_owned()));
    }
    let got = client.anonymous(Method::GET, "/stripe/webhook");
    assert_eq!(send(got).await.status, 405);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_charges_nobody_hears_nobody() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let now = host.clock().now().unix_timestamp();
    let answer = tell(
        &client,
        now,
        &event("evt_1", now, (UPDATED, "active", "price_pro")),
    )
    .await;
    assert_eq!(answer.refusal(), (404, "not_found".to_owned()));
    assert!(
        answer.text.contains("`billing.provider` is `none`"),
        "{}",
        answer.text
    );
    host.stop().await;
}

type Change = fn(&mut Config);

/// Each change, made to a configuration that works, keeps the host from starting, with these words.
async fn does_not_start(cases: &[(Change, &str)]) {
    let host = TestHost::start().await;
    let app = &host.host().app;
    let base = Base::new(app.db.clone(), app.clock.clone(), Random::system())
        .await
        .unwrap();
    let egress = || Egress::new().unwrap();
    for (change, says) in cases {
        let mut config = bulkhead_tests::host::config();
        charge(&mut config, "https://api.stripe.com");
        assert_eq!(config.billing.provider, Charging::Stripe);
        Billing::new(&base, egress(), config.billing.clone()).unwrap();
        change(&mut config);
        let error = Billing::new(&base, egress(), config.billing).unwrap_err();
        assert!(error.contains(says), "{error}");
        assert!(!error.contains("foreign"), "{error}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_stops_the_host_from_starting() {
    let api = "`billing.stripe.api_base`";
    Box::pin(does_not_start(&[
        (
            |c| c.billing.stripe.secret_key = None,
            "BULKHEAD__BILLING__STRIPE__SECRET_KEY",
        ),
        (
            |c| c.billing.stripe.api_base = "http://api.stripe.com".to_owned(),
            api,
        ),
        (
            |c| c.billing.stripe.api_base = "https://u:p@api.stripe.com".to_owned(),
            api,
        ),
        (|c| c.billing.stripe.api_base = "stripe".to_owned(), api),
        (
            |c| name_meter(c, "fuel", "x"),
            "there is `runs`, `input_tokens`",
        ),
        (
            |c| name_meter(c, "runs", ""),
            "`billing.stripe.meters.runs`",
        ),
        (
            |c| c.billing.stripe.timeout_ms = 60_000,
            "`billing.stripe.timeout_ms` is 60000",
        ),
        (
            |c| c.billing.export_lease_ms = 0,
            "`billing.export_lease_ms`",
        ),
    ]))
    .await;
}

fn name_meter(config: &mut Config, meter: &str, event: &str) {
    let meters = &mut config.billing.stripe.meters;
    meters.insert(meter.to_owned(), event.to_owned());
}

/// What a compose file makes of a variable that is not set: with an empty secret anybody could sign.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_or_foreign_secret_stops_the_host_from_starting() {
    let key = "`billing.stripe.secret_key`";
    let signing = "`billing.stripe.webhook_secret`";
    let thin = "`billing.stripe.thin_webhook_secret`";
    Box::pin(does_not_start(&[
        (|c| c.billing.stripe.secret_key = Some(Secret::new("")), key),
        (
            |c| c.billing.stripe.secret_key = Some(Secret::new(" \n")),
            key,
        ),
        (
            |c| c.billing.stripe.webhook_secret = Some(Secret::new("")),
            signing,
        ),
        (
            |c| c.billing.stripe.webhook_secret = Some(Secret::new("whsec_foreign15")),
            signing,
        ),
        (
            |c| c.billing.stripe.webhook_secret = Some(Secret::new("foreign_and_long_enough")),
            signing,
        ),
        (
            |c| c.billing.stripe.thin_webhook_secret = Some(Secret::new("")),
            thin,
        ),
    ]))
    .await;
}

/// What the test signs with is what `openssl dgst -sha256 -hmac whsec_test` says of the same text.
#[test]
fn the_tests_sign_as_stripe_does() {
    let body = r#"{"id":"evt_1"}"#;
    let header = signature("whsec_test", 1_700_000_000, body);
    let wanted = "t=1700000000,v1=c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925";
    assert_eq!(header, wanted);
    let secret = Secret::new("whsec_test");
    check(&secret, (&header, body.as_bytes()), (1_700_000_000, 300)).unwrap();
}
