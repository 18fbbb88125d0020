//! Each row arrives once, whatever becomes of the requests and their answers.

use std::collections::BTreeSet;
use std::time::Duration;

use bulkhead_tests::TestHost;
use bulkhead_tests::stripe::{How, KEY, Stripe};
use serde_json::json;

use super::{charging, count, input, provider, reports, to_reconcile, told, usage, uses};
use crate::guests;

const NOT_EXPORTED: &str = "billing_rows where state <> 'exported'";

fn identifiers(stripe: &Stripe) -> BTreeSet<String> {
    let metered = stripe.metered().into_iter();
    metered.map(|event| event.identifier).collect()
}

/// What is charged is what was used, through every disorder and over two hosts.
#[tokio::test(flavor = "multi_thread")]
async fn each_row_is_exported_once() {
    let (host, stripe, client) = charging().await;
    let _model = provider(&client).await;
    let second = host.join().await;
    let disorders: [&[How]; 8] = [
        &[],
        &[How::Fail],
        &[How::DoAndFail, How::Fail],
        &[How::Reset, How::DoAndReset],
        &[How::DoAndHang, How::DoAndFail],
        &[How::Slow(1), How::Fail, How::DoAndReset],
        &[How::DoAndBreakOff, How::Hang],
        &[How::Unauthorized],
    ];
    for disorder in disorders {
        client.run("journey", &input("ask a")).await;
        stripe.order(disorder);
        for _ in 0..8 {
            reports(&host).await;
            reports(&second).await;
        }
        let month = usage(&client, "").await;
        let charged = json!([told(&stripe, "runs"), told(&stripe, "input_tokens")]);
        let used = json!([month["total"]["runs"], month["total"]["input_tokens"]]);
        assert_eq!(charged, used, "{disorder:?}");
    }
    let identifiers = identifiers(&stripe);
    assert_eq!(identifiers.len(), stripe.metered().len(), "charged once");
    assert!(
        stripe.asked().len() > identifiers.len(),
        "some were asked again"
    );
    assert_eq!(count(&host, NOT_EXPORTED).await, 0);
    assert_eq!(
        stripe.customers().len(),
        1,
        "one organization, one customer"
    );
    assert!(to_reconcile(&host).await.is_empty());
    stripe.assert_well_used();
    second.stop().await;
    host.stop().await;
}

/// A host that used what it used before anybody charged for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_used_before_is_not_charged() {
    let stripe = Stripe::start().await;
    let url = stripe.url.clone();
    let host = TestHost::start().await;
    stripe.at(host.clock());
    let client = super::journey(&host).await;
    uses(&client).await;
    reports(&host).await;
    assert_eq!(
        stripe.asked().len(),
        0,
        "`none` is the default, and asks nobody"
    );
    host.clock().advance(Duration::from_secs(24 * 3_600));
    let charging = host
        .join_with(move |config| super::charge(config, &url))
        .await;
    reports(&charging).await;
    uses(&client).await;
    reports(&charging).await;
    assert_eq!(told(&stripe, "runs"), 1, "of two runs, the second");
    charging.stop().await;
    host.stop().await;
}

/// Several hosts, many organizations, all at one time: no identifier is sent twice, not even at different times.
#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_at_once_send_each_row_once() {
    let (host, stripe, _) = charging().await;
    let second = host.join().await;
    for org in 0..12 {
        let org = format!("org-{org}");
        host.deploy(&org, "journey", &guests::JOURNEY).await;
        let client = host.client(&org).await;
        uses(&client).await;
        uses(&client).await;
    }
    for _ in 0..3 {
        let (one, other) = (&host.host().app.billing, &second.host().app.billing);
        one.fold().await.unwrap();
        let both = tokio::join!(one.export(), other.export(), one.export(), other.export());
        both.0.and(both.1).and(both.2).and(both.3).unwrap();
        host.clock().advance(Duration::from_secs(60));
    }
    assert_eq!(stripe.asked().len(), 12);
    assert_eq!(identifiers(&stripe).len(), 12);
    assert_eq!(told(&stripe, "runs"), 24);
    assert_eq!(stripe.customers().len(), 13);
    stripe.assert_well_used();
    second.stop().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_fails_holds_up_nobody() {
    let (host, stripe, client) = charging().await;
    reports(&host).await;
    stripe.breaks(Some("cus_1"));
    uses(&client).await;
    uses_of_others(&host).await;
    reports(&host).await;
    assert_eq!(told(&stripe, "runs"), 3, "of the others");
    assert_eq!(count(&host, NOT_EXPORTED).await, 1);
    // It is asked for less and less often, and at last goes.
    let before = stripe.asked().len();
    for _ in 0..30 {
        reports(&host).await;
    }
    let asked = stripe.asked().len() - before;
    assert!((2..=7).contains(&asked), "{asked} times in half an hour");
    stripe.breaks(None);
    for _ in 0..16 {
        reports(&host).await;
    }
    assert_eq!(told(&stripe, "runs"), 4);
    stripe.assert_well_used();
    host.stop().await;
}

async fn uses_of_others(host: &TestHost) {
    for org in ["globex", "initech", "umbrella"] {
        host.deploy(org, "journey", &guests::JOURNEY).await;
        uses(&host.client(org).await).await;
    }
}

/// Nothing was done, so nothing is unknown; and the provider says when to come again.
#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_patience_gets_it() {
    let (host, stripe, client) = charging().await;
    reports(&host).await;
    uses(&client).await;
    stripe.order(&[How::Slow(600)]);
    reports(&host).await;
    assert_eq!(stripe.asked().len(), 1);
    let waiting = "billing_rows where state = 'waiting' and first_attempt_at is null";
    assert_eq!(count(&host, waiting).await, 1);
    for _ in 0..9 {
        reports(&host).await;
    }
    assert_eq!(stripe.asked().len(), 1, "ten minutes are not over");
    reports(&host).await;
    reports(&host).await;
    assert_eq!((stripe.asked().len(), told(&stripe, "runs")), (2, 1));
    host.stop().await;
}

/// A key that is refused is refused to everybody, and stands nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_told_to_nobody() {
    let (host, stripe, client) = charging().await;
    reports(&host).await;
    uses(&client).await;
    stripe.order(&[How::Unauthorized]);
    reports(&host).await;
    let said: String = sqlx::query_scalar("select said from billing_rows")
        .fetch_one(host.db())
        .await
        .unwrap();
    assert!(said.starts_with("401: Invalid API Key provided"), "{said}");
    for form in [KEY.to_owned(), hex::encode(KEY)] {
        assert!(!said.contains(&form), "{said}");
    }
    let config = format!("{:?}", host.host().app.config.billing);
    assert!(!config.contains(KEY) && !config.contains(super::SECRET));
    reports(&host).await;
    assert_eq!(told(&stripe, "runs"), 1);
    host.stop().await;
}
