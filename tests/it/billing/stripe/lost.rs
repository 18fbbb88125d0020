//! A host that dies in the middle of a POST: the attempt was written before it was sent, so another host knows that it
//! may have arrived, and sends it again under the same identifier.

use std::time::Duration;

use bulkhead_tests::host::eventually;
use bulkhead_tests::stripe::How;

use super::{charging_within, count, reports, to_reconcile, told, uses};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_dies_in_a_post_charges_once() {
    for (how, arrived) in [(How::Hang, 0), (How::DoAndHang, 1)] {
        let (first, stripe, client) = charging_within(50_000).await;
        reports(&first).await;
        let second = first.join().await;
        let client = client.at(&second.url());
        uses(&client).await;
        stripe.order(&[how]);
        let billing = first.host().app.billing.clone();
        billing.fold().await.unwrap();
        let sent = eventually("it is sent", async || {
            stripe.asked().len() == 1 && (arrived == 0 || told(&stripe, "runs") == 1)
        });
        // Killed: nothing of it runs any more, and nothing was given back.
        tokio::select! {
            ended = billing.export() => panic!("it waits for an answer: {ended:?}"),
            () = sent => {}
        }
        let gone = first.abandon().await;
        let attempted = "billing_rows where state = 'attempted' and attempts = 1 and first_attempt_at is not null";
        assert_eq!(
            count(&second, attempted).await,
            1,
            "written before it was sent"
        );
        // While the lease stands nobody else sends it.
        reports(&second).await;
        assert_eq!(stripe.asked().len(), 1);
        second.clock().advance(Duration::from_secs(60));
        reports(&second).await;
        let asked = stripe.asked();
        assert_eq!(
            (asked.len(), &asked[0]),
            (2, &asked[1]),
            "under its identifier"
        );
        assert_eq!(told(&stripe, "runs"), 1, "{how:?}");
        assert_eq!(
            count(&second, "billing_rows where state = 'exported'").await,
            1
        );
        stripe.assert_well_used();
        second.stop().await;
        drop(gone);
    }
}

/// A host that hears after its lease was lost: what the next one wrote meanwhile stands.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_late_takes_nothing_back() {
    let (first, stripe, client) = charging_within(50_000).await;
    reports(&first).await;
    let second = first.join().await;
    uses(&client).await;
    stripe.order(&[How::SlowLate, How::DoAndReset]);
    let billing = first.host().app.billing.clone();
    billing.fold().await.unwrap();
    let meanwhile = async {
        eventually("it is sent", async || stripe.asked().len() == 1).await;
        first.clock().advance(Duration::from_secs(121));
        second.host().app.billing.export().await.unwrap();
        assert_eq!((stripe.asked().len(), told(&stripe, "runs")), (2, 1));
        // Nothing of the first attempt arrived; of the second nobody knows.
        stripe.let_go();
    };
    let (silent, ()) = tokio::join!(billing.export(), meanwhile);
    silent.unwrap();
    let unknown =
        "billing_rows where state = 'attempted' and attempts = 2 and first_attempt_at is not null";
    assert_eq!(count(&second, unknown).await, 1);
    first.clock().advance(Duration::from_secs(24 * 3_600));
    reports(&second).await;
    assert_eq!(to_reconcile(&second).await[0].reason, "outcome_unknown");
    assert_eq!(stripe.asked().len(), 2, "never blindly");
    stripe.assert_well_used();
    second.stop().await;
    // A host waits for whoever may still write.
    drop(billing);
    first.stop().await;
}
