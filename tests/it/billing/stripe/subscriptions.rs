//! A subscription decides the tier: once, in order, on every host.

use std::time::Instant;

use bulkhead::billing::tiers::Tiers;
use bulkhead::kit::Secret;
use bulkhead_tests::client::{Answer, send};
use bulkhead_tests::host::eventually;
use bulkhead_tests::{Client, logs};
use reqwest::Method;
use serde_json::{Value, json};

use super::{SECRET, charging, reports, signature, usage};

pub(super) const CREATED: &str = "customer.subscription.created";
pub(super) const UPDATED: &str = "customer.subscription.updated";
const DELETED: &str = "customer.subscription.deleted";

pub(super) async fn post(client: &Client, header: &str, body: String) -> Answer {
    let request = client.anonymous(Method::POST, "/stripe/webhook");
    send(request.header("stripe-signature", header).body(body)).await
}

/// Sent as Stripe sends it, at `at`.
pub(super) async fn tell(client: &Client, at: i64, event: &Value) -> Answer {
    let body = event.to_string();
    post(client, &signature(SECRET, at, &body), body).await
}

/// An event about the subscription `sub_1` of the first customer.
pub(super) fn event(id: &str, created: i64, (kind, status, price): (&str, &str, &str)) -> Value {
    let items = json!({ "object": "list", "data": [{ "price": { "id": price } }] });
    let object = json!({ "id": "sub_1", "customer": "cus_1", "status": status, "items": items });
    json!({ "id": id, "object": "event", "type": kind, "created": created, "data": { "object": object } })
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "how soon it is seen is worth a look")]
async fn a_subscription_decides_the_tier_once_and_in_order() {
    let (host, stripe, client) = charging().await;
    let second = host.join().await;
    let there = client.at(&second.url());
    reports(&host).await;
    assert_eq!(stripe.customers().len(), 1);
    let now = host.clock().now().unix_timestamp();
    let tier = async || usage(&client, "").await["tier"].clone();
    let changed = async |event: Value| {
        let answer = tell(&there, now, &event).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["changed"] == true
    };
    let is = async |wanted: &str| {
        let began = Instant::now();
        for client in [&client, &there] {
            eventually(wanted, async || usage(client, "").await["tier"] == wanted).await;
        }
        println!("both hosts say {wanted} after {:?}", began.elapsed());
    };
    is("enterprise").await;
    let begun = event("evt_1", now, (CREATED, "active", "price_pro"));
    assert!(changed(begun.clone()).await);
    is("pro").await;
    // The end of another subscription is none of this one.
    let mut another = event("evt_2", now + 1, (DELETED, "canceled", "price_pro"));
    another["data"]["object"]["id"] = json!("sub_2");
    assert!(!changed(another).await);
    let ended = event("evt_3", now + 10, (DELETED, "canceled", "price_pro"));
    assert!(changed(ended).await);
    is("enterprise").await;
    // Again, late, unpaid, and about something else: nothing of any.
    assert!(!changed(begun).await);
    assert!(!changed(event("evt_4", now + 5, (UPDATED, "active", "price_pro"))).await);
    assert!(!changed(event("evt_5", now + 20, (UPDATED, "past_due", "price_pro"))).await);
    assert!(
        !changed(event(
            "evt_6",
            now + 20,
            ("invoice.paid", "active", "price_pro")
        ))
        .await
    );
    assert_eq!(tier().await, "enterprise");
    assert!(changed(event("evt_7", now + 20, (UPDATED, "trialing", "price_pro"))).await);
    is("pro").await;
    let log = client
        .get("/audit/actions?action=subscription.changed")
        .await;
    let log = log.json();
    let rows = log["data"].as_array().unwrap();
    let tiers: Vec<_> = rows
        .iter()
        .map(|row| row["detail"]["tier"].clone())
        .collect();
    assert_eq!(tiers, [json!("pro"), json!(null), json!("pro")]);
    let actor = &rows[0]["actor"];
    assert_eq!(
        (&actor["kind"], &actor["id"]),
        (&json!("host"), &json!("stripe"))
    );
    second.stop().await;
    host.stop().await;
}

/// The same event at the same time on two hosts is taken once.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_twice_at_once_is_taken_once() {
    let (host, _stripe, client) = charging().await;
    let second = host.join().await;
    let there = client.at(&second.url());
    reports(&host).await;
    let now = host.clock().now().unix_timestamp();
    let begun = event("evt_1", now, (CREATED, "active", "price_pro"));
    let both = tokio::join!(tell(&client, now, &begun), tell(&there, now, &begun));
    let both = [both.0.json(), both.1.json()];
    let took = both.iter().filter(|answer| answer["changed"] == true);
    assert_eq!(took.count(), 1, "{both:?}");
    second.stop().await;
    host.stop().await;
}

/// Of a subscription that never decided: what the operator gave stays. Of one that did: its end is its end.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_takes_what_its_subscription_gave_and_nothing_else() {
    let (host, _stripe, client) = charging().await;
    reports(&host).await;
    let now = host.clock().now().unix_timestamp();
    let org = super::org_of(&host, "acme").await;
    let tiers = Tiers::new(host.db().clone(), host.clock().clone());
    tiers.give(org, "free").await.unwrap();
    let is = async |wanted: &str| {
        eventually(wanted, async || usage(&client, "").await["tier"] == wanted).await;
    };
    let gone = (DELETED, "canceled", "price_pro");
    let paid = (UPDATED, "active", "price_pro");
    let of = |subscription: &str, mut event: Value| {
        event["data"]["object"]["id"] = json!(subscription);
        event
    };
    let changes = [
        // It never decided, and stays ended when what was before is heard after.
        (event("evt_1", now + 5, gone), false, "free"),
        (event("evt_2", now + 4, paid), false, "free"),
        (event("evt_3", now + 5, paid), false, "free"),
        (of("sub_2", event("evt_4", now + 1, paid)), true, "pro"),
        (
            of("sub_2", event("evt_5", now + 6, gone)),
            true,
            "enterprise",
        ),
        (
            of("sub_2", event("evt_6", now + 6, paid)),
            false,
            "enterprise",
        ),
        // Another of the same second is another.
        (of("sub_3", event("evt_7", now + 6, paid)), true, "pro"),
    ];
    for (event, changed, tier) in changes {
        let answer = tell(&client, now, &event).await;
        assert_eq!(answer.json(), json!({ "changed": changed }), "{event}");
        is(tier).await;
    }
    host.stop().await;
}

/// Thin events have another shape and another secret; what is not counted is somebody's to look at.
#[tokio::test(flavor = "multi_thread")]
async fn usage_that_is_not_counted_is_told() {
    const THIN: &str = "whsec_of_the_thin_ones";
    logs::expect_errors("took usage that it does not count");
    let (host, _stripe, client) = charging().await;
    let other = host
        .join_with(|config| {
            super::charge(config, "http://127.0.0.1:9");
            config.billing.stripe.thin_webhook_secret = Some(Secret::new(THIN));
        })
        .await;
    let client = client.at(&other.url());
    let now = host.clock().now().unix_timestamp();
    for kind in [
        "v1.billing.meter.error_report_triggered",
        "v1.billing.meter.no_meter_found",
        "v2.core.event_destination.ping",
    ] {
        let thin = json!({
            "id": format!("evt_{kind}"), "object": "v2.core.event", "type": kind,
            "created": "2026-11-20T18:00:00.123Z", "related_object": { "id": "mtr_1" },
        });
        let body = thin.to_string();
        for secret in [THIN, SECRET] {
            let answer = post(&client, &signature(secret, now, &body), body.clone()).await;
            assert_eq!(
                answer.json(),
                json!({ "changed": false }),
                "{}",
                answer.text
            );
        }
        let foreign = post(&client, &signature("whsec_another", now, &body), body).await;
        assert_eq!(foreign.refusal(), (400, "bad_signature".to_owned()));
    }
    let metrics = send(client.anonymous(Method::GET, &host.metrics_url())).await;
    for about in ["uncounted", "other"] {
        let line = format!("bulkhead_billing_events_total{{about=\"{about}\"}}");
        assert!(metrics.text.contains(&line), "{}", metrics.text);
    }
    other.stop().await;
    host.stop().await;
}
