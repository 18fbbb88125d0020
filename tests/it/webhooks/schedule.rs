//! When deliveries are tried, on the clock: the whole schedule, its jitter, `Retry-After`, and when an endpoint is given
//! up.

use std::time::Duration;

use bulkhead::webhooks::schedule::{JITTER, SCHEDULE};
use bulkhead_tests::receiver::How;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Endpoint, seconds, world};

fn next(delivery: &Value) -> OffsetDateTime {
    let text = delivery["next_attempt_at"].as_str();
    OffsetDateTime::parse(text.expect("it is tried again"), &Rfc3339).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_tried_ten_times_on_the_schedule() {
    let (host, client, receiver) = world().await;
    receiver.always(How::Status(500));
    let endpoint = Endpoint::make(&client, &receiver.url("/"), &["*"]).await;
    let event = endpoint.test().await;
    for attempt in 1..=10 {
        host.run_jobs().await;
        let delivery = endpoint.tried(&host, &event, attempt).await;
        assert_eq!(delivery["last_attempt"]["status"], 500);
        if attempt == 10 {
            assert_eq!(delivery["state"], "failed");
            assert_eq!(delivery["next_attempt_at"], Value::Null);
            break;
        }
        assert_eq!(delivery["state"], "waiting");
        let wait: Duration = (next(&delivery) - host.clock().now()).try_into().unwrap();
        let planned = SCHEDULE[usize::try_from(attempt).unwrap()];
        let (least, most) = (planned.mul_f64(1.0 - JITTER), planned.mul_f64(1.0 + JITTER));
        assert!(
            least <= wait && wait <= most,
            "attempt {attempt}: {wait:?} of {planned:?}"
        );
        // Not before its time.
        host.clock().advance(wait - Duration::from_millis(1));
        host.run_jobs().await;
        endpoint.free(&host).await;
        assert_eq!(receiver.got().len(), usize::try_from(attempt).unwrap());
        host.clock().advance(Duration::from_millis(1));
    }
    host.clock().advance(seconds(30 * 3_600));
    host.run_jobs().await;
    let got = receiver.got();
    assert_eq!(got.len(), 10);
    assert!(
        got.iter().all(|one| one.id() == event),
        "one id over all attempts"
    );
    assert!(
        got.iter().all(|one| one.body == got[0].body),
        "the same bytes"
    );
    let times: std::collections::BTreeSet<_> = got
        .iter()
        .map(|one| one.header("webhook-timestamp"))
        .collect();
    assert_eq!(times.len(), 10, "each is signed at its own time");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_time_gets_it() {
    let (host, client, receiver) = world().await;
    let at = host.clock().now() + seconds(7_200);
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let hour = seconds(3_600);
    for (asked, least, most) in [
        ("3600".to_owned(), hour, hour),
        (at.format(format).unwrap(), 2 * hour, 2 * hour),
        // A year is more than it gets.
        ("31536000".to_owned(), 24 * hour, 24 * hour),
        ("-1".to_owned(), seconds(4), seconds(6)),
        ("soon".to_owned(), seconds(4), seconds(6)),
    ] {
        receiver.script([How::With(429, "retry-after", asked.clone())]);
        let endpoint = Endpoint::make(&client, &receiver.url("/"), &["*"]).await;
        let event = endpoint.test().await;
        host.run_jobs().await;
        let delivery = endpoint.tried(&host, &event, 1).await;
        let wait: Duration = (next(&delivery) - host.clock().now()).try_into().unwrap();
        assert!(least <= wait && wait <= most, "{asked}: {wait:?}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_disables_at_once_and_others_are_told() {
    let (host, client, receiver) = world().await;
    let gone = Endpoint::make(&client, &receiver.url("/gone"), &["*"]).await;
    receiver.script([How::Status(410)]);
    let (first, second) = (gone.test().await, gone.test().await);
    host.run_jobs().await;
    // One at a time, as long as it has taken nothing.
    let delivery = gone.tried(&host, &first, 1).await;
    assert_eq!(delivery["state"], "failed");
    assert_eq!(gone.delivery(&second).await["state"], "dropped");
    let shown = gone.show().await;
    assert_eq!(shown["enabled"], false);
    assert_eq!(shown["disabled_reason"], "gone");
    host.clock().advance(seconds(1));
    let told = Endpoint::make(
        &client,
        &receiver.url("/told"),
        &["webhook_endpoint.disabled"],
    )
    .await;
    host.run_jobs().await;
    assert_eq!(receiver.got().len(), 1, "it was made after that");
    gone.change(&json!({ "enabled": true })).await;
    receiver.script([How::Status(410)]);
    let third = gone.test().await;
    host.run_jobs().await;
    gone.tried(&host, &third, 1).await;
    host.run_jobs().await;
    receiver.arrived(3).await;
    let got = receiver.got().remove(2);
    assert_eq!(
        (got.path.as_str(), got.topic().as_str()),
        ("/told", "webhook_endpoint.disabled")
    );
    assert_eq!(
        got.json()["data"],
        json!({ "endpoint": gone.id, "reason": "gone" })
    );
    told.tried(&host, &got.id(), 1).await;
    assert_eq!(audited(&host, "webhook_endpoint.disabled").await, 2);
    assert_eq!(audited(&host, "webhook_delivery.attempted").await, 3);
    let refused = gone.client.post(&gone.path("/test"), &json!({})).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    host.stop().await;
}

/// Rows of the audit log with this action.
async fn audited(host: &bulkhead_tests::TestHost, action: &str) -> i64 {
    sqlx::query_scalar("select count(*) from audit_entries where action = $1")
        .bind(action)
        .fetch_one(host.db())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn five_days_without_success_disable() {
    let (host, client, receiver) = world().await;
    let day = seconds(24 * 3_600);
    receiver.always(How::Status(503));
    let endpoint = Endpoint::make(&client, &receiver.url("/"), &["*"]).await;
    let event = endpoint.test().await;
    host.run_jobs().await;
    endpoint.tried(&host, &event, 1).await;
    // A success on the way begins the days anew.
    host.clock().advance(4 * day);
    receiver.script([How::Status(204)]);
    host.run_jobs().await;
    endpoint.tried(&host, &event, 2).await;
    assert_eq!(endpoint.show().await["failing_since"], Value::Null);
    let event = endpoint.test().await;
    host.run_jobs().await;
    endpoint.tried(&host, &event, 1).await;
    host.clock().advance(5 * day - seconds(1));
    host.run_jobs().await;
    endpoint.tried(&host, &event, 2).await;
    assert_eq!(endpoint.show().await["enabled"], true);
    // Nothing needs to be due for it.
    host.clock().advance(seconds(1));
    host.run_jobs().await;
    endpoint.free(&host).await;
    let shown = endpoint.show().await;
    assert_eq!(
        (&shown["enabled"], &shown["disabled_reason"]),
        (&json!(false), &json!("failing"))
    );
    assert_eq!(endpoint.delivery(&event).await["state"], "dropped");
    assert_eq!(audited(&host, "webhook_endpoint.disabled").await, 1);
    let again = endpoint.change(&json!({ "enabled": true })).await;
    assert_eq!(again.json()["enabled"], true);
    assert_eq!(again.json()["failing_since"], Value::Null);
    host.run_jobs().await;
    assert_eq!(
        endpoint.show().await["enabled"],
        true,
        "it has its days again"
    );
    host.stop().await;
}
