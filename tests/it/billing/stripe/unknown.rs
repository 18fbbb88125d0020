//! What nobody knows is told and not guessed: the 23 hours, the window of the provider, and what a person does then.

use std::time::Duration;

use bulkhead::billing::charge::{Reconciliation, SettleAs};
use bulkhead_tests::stripe::{How, Stripe};
use serde_json::json;

use super::{charging, count, do_sql, reports, to_reconcile, told, uses};

const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

fn asked(stripe: &Stripe, row: &str) -> usize {
    let asked = stripe.asked();
    asked.iter().filter(|asked| *asked == row).count()
}

/// Stripe forgets an identifier after a day: up to 23 hours a row is sent again, then a person is told.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_knows_is_not_guessed() {
    let (host, stripe, client) = charging().await;
    reports(&host).await;
    uses(&client).await;
    stripe.order(&[How::DoAndReset]);
    reports(&host).await;
    let row = stripe.asked()[0].clone();
    host.clock()
        .advance(Duration::from_secs(23 * HOUR - MINUTE - 1));
    stripe.order(&[How::Fail]);
    host.host().app.billing.export().await.unwrap();
    assert_eq!(asked(&stripe, &row), 2, "a second before it is sent again");
    assert!(to_reconcile(&host).await.is_empty());
    host.clock().advance(Duration::from_secs(1));
    for _ in 0..3 {
        reports(&host).await;
        host.clock().advance(Duration::from_secs(HOUR));
    }
    assert_eq!(asked(&stripe, &row), 2, "never blindly");
    let unknown = to_reconcile(&host).await;
    assert_eq!((unknown.len(), unknown[0].id.to_string()), (1, row.clone()));
    let facts = (
        unknown[0].reason.as_str(),
        unknown[0].meter.as_str(),
        unknown[0].value,
        unknown[0].attempts,
    );
    assert_eq!(facts, ("outcome_unknown", "runs", 1, 2));
    assert!(unknown[0].first_attempt_at.is_some());
    // Later rows are not held up.
    uses(&client).await;
    reports(&host).await;
    assert_eq!(told(&stripe, "runs"), 2, "the first had arrived");
    stripe.assert_well_used();
    host.stop().await;
}

/// 35 days back to the second, and not beyond; what is of a day that is over is reported of that day.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_is_told_to_a_person() {
    let (host, stripe, client) = charging().await;
    reports(&host).await;
    uses(&client).await;
    host.host().app.billing.fold().await.unwrap();
    // The day's last second is reported; 35 days after it less one second it still goes.
    let end = time::macros::datetime!(2026-11-20 23:59:59 UTC);
    let last = end + time::Duration::days(35) - time::Duration::SECOND;
    let wait = last - host.clock().now();
    host.clock().advance(wait.try_into().unwrap());
    reports(&host).await;
    let taken = stripe.metered();
    assert_eq!((taken.len(), taken[0].at), (1, end));
    // The same a second later.
    uses(&client).await;
    host.host().app.billing.fold().await.unwrap();
    let day_end = host
        .clock()
        .now()
        .replace_time(time::macros::time!(23:59:59));
    let wait = day_end + time::Duration::days(35) - host.clock().now();
    host.clock().advance(wait.try_into().unwrap());
    reports(&host).await;
    reports(&host).await;
    let old = to_reconcile(&host).await;
    assert_eq!(
        (old.len(), old[0].reason.as_str(), old[0].attempts),
        (1, "too_old", 0)
    );
    assert_eq!(stripe.asked().len(), 1, "it was not even sent");
    stripe.assert_well_used();
    host.stop().await;
}

/// A row of the future, by a clock that is put right: it goes when it is within five minutes.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_early_waits() {
    let (host, stripe, client) = charging().await;
    reports(&host).await;
    uses(&client).await;
    host.host().app.billing.fold().await.unwrap();
    stripe.order(&[How::Slow(1)]);
    host.host().app.billing.export().await.unwrap();
    do_sql(
        &host,
        "update billing_rows set at = at + interval '8 minutes'",
    )
    .await;
    for asked in [1, 1, 2] {
        host.clock().advance(Duration::from_secs(MINUTE));
        host.host().app.billing.export().await.unwrap();
        assert_eq!(stripe.asked().len(), asked);
    }
    assert_eq!(told(&stripe, "runs"), 1);
    assert!(to_reconcile(&host).await.is_empty());
    stripe.assert_well_used();
    host.stop().await;
}

/// What a person says is written, binds once, and stands in the log.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_settles_what_is_unknown() {
    let (host, stripe, client) = charging().await;
    reports(&host).await;
    for how in [How::DoAndReset, How::Reset] {
        uses(&client).await;
        stripe.order(&[how]);
        reports(&host).await;
        host.clock().advance(Duration::from_secs(DAY));
        reports(&host).await;
    }
    let page = client.get("/usage/reconciliation").await.json();
    let listed = page["data"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0]["reason"], "outcome_unknown");
    let other = host.client("globex").await;
    let theirs = other.get("/usage/reconciliation").await.json();
    assert_eq!(theirs, json!({ "data": [] }));
    let page = client.get("/usage/reconciliation?limit=1").await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = client
        .get(&format!("/usage/reconciliation?limit=1&cursor={cursor}"))
        .await
        .json();
    assert_eq!(rest["data"][0]["id"], listed[1]["id"]);

    let room = Reconciliation::new(host.db().clone(), host.clock().clone());
    let rows = to_reconcile(&host).await;
    let (arrived, lost) = (rows[0].id, rows[1].id);
    room.settle(arrived, SettleAs::Exported).await.unwrap();
    room.settle(lost, SettleAs::Again).await.unwrap();
    let twice = room.settle(lost, SettleAs::Again).await.unwrap_err();
    assert_eq!(twice.code.code, "conflict");
    reports(&host).await;
    assert_eq!(told(&stripe, "runs"), 2);
    assert!(to_reconcile(&host).await.is_empty());
    let twice = room.settle(lost, SettleAs::Exported).await.unwrap_err();
    assert_eq!(twice.code.code, "conflict");
    let nothing = uuid::Uuid::nil().into();
    let nothing = room.settle(nothing, SettleAs::Again).await.unwrap_err();
    assert_eq!(nothing.code.code, "not_found");
    let acts = client
        .get("/audit/actions?action=billing_row.settled")
        .await;
    let acts = acts.json();
    let acts: Vec<_> = acts["data"].as_array().unwrap().iter().collect();
    let said: Vec<_> = acts
        .iter()
        .map(|row| (row["target"]["id"].clone(), row["detail"]["as"].clone()))
        .collect();
    let id = |row: &dyn ToString| json!(row.to_string());
    assert_eq!(
        said,
        [
            (id(&lost), json!("again")),
            (id(&arrived), json!("exported"))
        ],
        "newest first"
    );
    assert_eq!(acts[0]["actor"]["kind"], "operator");
    assert_eq!(
        count(&host, "billing_rows where state = 'exported'").await,
        2
    );
    host.stop().await;
}

/// A refusal says nothing of the attempt before it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_after_an_unknown_outcome_is_unknown() {
    let (host, stripe, client) = charging().await;
    reports(&host).await;
    for orders in [&[How::DoAndReset, How::Refuse][..], &[How::Refuse]] {
        uses(&client).await;
        stripe.order(orders);
        for _ in 0..3 {
            reports(&host).await;
        }
    }
    let rows = to_reconcile(&host).await;
    let mut facts: Vec<_> = rows
        .iter()
        .map(|row| (row.reason.as_str(), row.attempts, row.said.as_deref()))
        .collect();
    facts.sort_unstable();
    let said = Some("400: No such meter.");
    assert_eq!(facts, [("outcome_unknown", 2, said), ("refused", 1, said)]);
    assert_eq!(told(&stripe, "runs"), 1, "the first had arrived");
    stripe.assert_well_used();
    host.stop().await;
}
