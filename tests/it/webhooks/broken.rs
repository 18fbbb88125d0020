//! Receivers that are slow, silent, huge or elsewhere: each fails in its own time, and nobody else waits for it.

use std::time::{Duration, Instant};

use bulkhead_tests::host::eventually;
use bulkhead_tests::receiver::{How, Receiver};
use serde_json::{Value, json};

use super::{Endpoint, world_with};

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_be_broken_is_a_failure_with_its_reason() {
    let (host, client, receiver) = world_with(500).await;
    let elsewhere = Receiver::start().await;
    let closed = Receiver::start().await;
    let nobody = closed.url("/");
    drop(closed);
    let endpoint = Endpoint::make(&client, &receiver.url("/"), &["*"]).await;
    for (how, status, error) in [
        (How::Status(404), json!(404), "it answered 404"),
        (How::Status(500), json!(500), "it answered 500"),
        (
            How::With(302, "location", elsewhere.url("/")),
            json!(302),
            "it answered with a redirect, which is not followed",
        ),
        (How::Silent, Value::Null, "no answer within 0.5 s"),
        (
            How::After(Duration::from_secs(5), 200),
            Value::Null,
            "no answer within 0.5 s",
        ),
        (
            How::Closes,
            Value::Null,
            "the connection broke off before an answer",
        ),
        (
            How::Garbage,
            Value::Null,
            "the connection broke off before an answer",
        ),
    ] {
        receiver.script([how.clone()]);
        let event = endpoint.test().await;
        host.run_jobs().await;
        let delivery = endpoint.tried(&host, &event, 1).await;
        assert_eq!(delivery["state"], "waiting", "{how:?}");
        assert_eq!(delivery["last_attempt"]["status"], status, "{how:?}");
        assert_eq!(delivery["last_attempt"]["error"], error, "{how:?}");
    }
    assert_eq!(elsewhere.got().len(), 0, "no redirect is followed");
    endpoint.change(&json!({ "url": nobody })).await;
    let event = endpoint.test().await;
    host.run_jobs().await;
    let delivery = endpoint.tried(&host, &event, 1).await;
    assert_eq!(delivery["last_attempt"]["error"], "could not connect");
    host.stop().await;
}

#[expect(clippy::print_stdout, reason = "a figure that is not asserted")]
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_end_is_cut() {
    let (host, client, receiver) = world_with(15_000).await;
    let gigabyte = 1 << 30;
    receiver.script([
        How::Endless(gigabyte),
        How::Saying(200, ".\0".repeat(20_000)),
    ]);
    let endpoint = Endpoint::make(&client, &receiver.url("/"), &["*"]).await;
    for _ in 0..2 {
        let event = endpoint.test().await;
        let began = Instant::now();
        host.run_jobs().await;
        let delivery = endpoint.tried(&host, &event, 1).await;
        assert_eq!(delivery["state"], "delivered", "{delivery}");
        let reply = delivery["last_attempt"]["reply"].as_str().unwrap();
        assert_eq!(reply.chars().count(), 8 << 10);
        assert!(!reply.contains('\0'));
        println!("cut after {:?}", began.elapsed());
    }
    // What buffers between the two hold, and no more.
    assert!(
        receiver.taken() < 64 << 20,
        "{} bytes were taken",
        receiver.taken()
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_hang_delay_nobody() {
    let host = bulkhead_tests::TestHost::start_with(|config| {
        config.webhooks.timeout_ms = 60_000;
        config.webhooks.endpoints_per_org = 1_000;
        config.webhooks.places = 4;
        config.webhooks.places_new = 4;
        config.webhooks.places_failing = 4;
        config.webhooks.places_slow = 400;
        config.webhooks.slow_after_ms = 20;
    })
    .await;
    let (bad, good) = (host.client("bad").await, host.client("good").await);
    let (silent, healthy) = (Receiver::start().await, Receiver::start().await);
    silent.always(How::Silent);
    let mut hanging = Vec::new();
    for n in 0..300 {
        let endpoint = Endpoint::make(&bad, &silent.url(&format!("/{n}")), &["*"]).await;
        endpoint.test().await;
        hanging.push(endpoint);
    }
    host.run_jobs().await;
    silent.arrived(4).await;
    // It is new, and behind 300 others; whoever hangs makes room.
    let endpoint = Endpoint::make(&good, &healthy.url("/"), &["*"]).await;
    endpoint.test().await;
    eventually("the healthy one is delivered to", async || {
        host.run_jobs().await;
        healthy.got().len() == 1
    })
    .await;
    // It is known to work from now on: nobody stands before it.
    endpoint.free(&host).await;
    let event = endpoint.test().await;
    host.run_jobs().await;
    healthy.arrived(2).await;
    endpoint.tried(&host, &event, 1).await;
    assert!(silent.got().len() <= 300);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_works_is_sent_several_at_one_time() {
    let (host, client, receiver) = world_with(30_000).await;
    let endpoint = Endpoint::make(&client, &receiver.url("/"), &["*"]).await;
    let event = endpoint.test().await;
    host.run_jobs().await;
    endpoint.tried(&host, &event, 1).await;
    receiver.always(How::Silent);
    for _ in 0..10 {
        endpoint.test().await;
    }
    host.run_jobs().await;
    receiver.arrived(5).await;
    host.run_jobs().await;
    host.run_jobs().await;
    assert_eq!(
        receiver.got().len(),
        5,
        "four at one time, whoever asks for more"
    );
    host.stop().await;
}
