//! An organization becomes one customer, whatever becomes of the answers.

use std::time::Duration;

use bulkhead_tests::stripe::How;

use super::{charging, count, org_of, reports, told, uses};

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_made_once() {
    for disorder in [
        [How::DoAndReset, How::Reset],
        [How::DoAndFail, How::Fail],
        [How::DoAndBreakOff, How::Slow(1)],
        [How::Fail, How::Fail],
        [How::Reset, How::Hang],
    ] {
        let (host, stripe, client) = charging().await;
        let second = host.join().await;
        stripe.order(&disorder);
        uses(&client).await;
        for _ in 0..40 {
            reports(&host).await;
            reports(&second).await;
        }
        let org = org_of(&host, "acme").await.to_string();
        let customers: Vec<_> = stripe.customers().into_iter().collect();
        assert_eq!(customers, [("cus_1".to_owned(), org)], "{disorder:?}");
        assert_eq!(told(&stripe, "runs"), 1, "{disorder:?}");
        stripe.assert_well_used();
        second.stop().await;
        host.stop().await;
    }
}

/// The answer was lost, and the host was away for longer than anybody remembers its key: it is looked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_customer_that_was_made_long_ago_is_found() {
    let (host, stripe, client) = charging().await;
    stripe.order(&[How::DoAndReset]);
    reports(&host).await;
    assert_eq!(
        count(&host, "billing_customers where customer is null").await,
        1
    );
    host.clock().advance(Duration::from_secs(3 * 24 * 3_600));
    uses(&client).await;
    reports(&host).await;
    assert_eq!((stripe.customers().len(), told(&stripe, "runs")), (1, 1));
    host.stop().await;
}
