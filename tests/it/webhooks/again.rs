//! Sending on demand: a delivery again, everything since a time; what is old is forgotten.

use bulkhead_tests::receiver::How;
use serde_json::json;
use time::format_description::well_known::Rfc3339;

use super::{Endpoint, seconds, world};
use crate::guests;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_told_and_told_again() {
    let (host, client, receiver) = world().await;
    host.deploy("acme", "echo", &guests::ECHO).await;
    let events = ["agent_run.started", "agent_run.completed"];
    let endpoint = Endpoint::make(&client, &receiver.url("/"), &events).await;
    let run = client.run("echo", &json!({ "input": "x" })).await;
    host.run_jobs().await;
    receiver.arrived(2).await;
    let got = receiver.got();
    let mut told: Vec<_> = got
        .iter()
        .map(|one| (one.topic(), one.json()["seq"].clone()))
        .collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    let last = json!(run.last().unwrap().id);
    assert_eq!(
        told,
        [
            ("agent_run.completed".to_owned(), last),
            ("agent_run.started".to_owned(), json!(1))
        ]
    );
    let event = got[0].id();
    endpoint.tried(&host, &event, 1).await;
    let again = endpoint
        .post(&format!("/deliveries/{event}/redeliver"), &json!({}))
        .await;
    assert_eq!(again.status, 202, "{}", again.text);
    assert_eq!(again.json()["state"], "waiting");
    host.run_jobs().await;
    let delivery = endpoint.tried(&host, &event, 2).await;
    assert_eq!(delivery["state"], "delivered");
    let got = receiver.got();
    assert_eq!((got.len(), got[2].id()), (3, event), "the same id");
    assert_eq!(got[2].body, got[0].body);
    let unknown = format!("/deliveries/evt_{}/redeliver", "0".repeat(32));
    assert_eq!(endpoint.post(&unknown, &json!({})).await.status, 404);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_sends_what_was_missed() {
    let (host, client, receiver) = world().await;
    host.deploy("acme", "echo", &guests::ECHO).await;
    let endpoint = Endpoint::make(&client, &receiver.url("/"), &["agent_run.completed"]).await;
    client.run("echo", &json!({ "input": "delivered" })).await;
    host.run_jobs().await;
    receiver.arrived(1).await;
    endpoint.tried(&host, &receiver.got()[0].id(), 1).await;
    endpoint.change(&json!({ "enabled": false })).await;
    host.clock().advance(seconds(60));
    for input in ["missed", "missed too"] {
        client.run("echo", &json!({ "input": input })).await;
    }
    host.run_jobs().await;
    assert_eq!(
        receiver.got().len(),
        1,
        "nothing is sent while it is disabled"
    );
    let since = (host.clock().now() - seconds(3_600))
        .format(&Rfc3339)
        .unwrap();
    let body = json!({ "since": since });
    assert_eq!(endpoint.post("/replay", &body).await.status, 409);
    endpoint.change(&json!({ "enabled": true })).await;
    let replayed = endpoint.post("/replay", &body).await;
    assert_eq!(
        (replayed.status.as_u16(), replayed.json()),
        (202, json!({ "events": 2 }))
    );
    host.run_jobs().await;
    receiver.arrived(3).await;
    endpoint.free(&host).await;
    let all = endpoint
        .post("/replay", &json!({ "since": since, "delivered": true }))
        .await;
    assert_eq!(all.json(), json!({ "events": 3 }), "{}", all.text);
    host.run_jobs().await;
    receiver.arrived(6).await;
    let ids: std::collections::BTreeSet<_> = receiver.got().iter().map(|got| got.id()).collect();
    assert_eq!(ids.len(), 3, "a receiver knows what it had");
    for (since, pointer) in [
        (host.clock().now() - seconds(31 * 86_400), "/since"),
        (host.clock().now() + seconds(1), "/since"),
    ] {
        let body = json!({ "since": since.format(&Rfc3339).unwrap() });
        let refused = endpoint.post("/replay", &body).await;
        assert_eq!(refused.status, 422, "{}", refused.text);
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer);
    }
    endpoint.free(&host).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_too_much_is_refused_whole() {
    let (host, client, receiver) = world().await;
    let small = host
        .join_with(|config| config.webhooks.replay_max = 1)
        .await;
    host.deploy("acme", "echo", &guests::ECHO).await;
    let endpoint = Endpoint::make(&client, &receiver.url("/"), &["agent_run.completed"]).await;
    for input in ["a", "b"] {
        client.run("echo", &json!({ "input": input })).await;
    }
    let since = (host.clock().now() - seconds(60)).format(&Rfc3339).unwrap();
    let refused = endpoint
        .client
        .at(&small.url())
        .post(&endpoint.path("/replay"), &json!({ "since": since }))
        .await;
    assert_eq!(refused.refusal(), (422, "replay_too_large".to_owned()));
    assert_eq!(
        endpoint.deliveries().await.len(),
        0,
        "nothing of it was done"
    );
    small.stop().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_is_forgotten_but_what_waits() {
    let (host, client, receiver) = world().await;
    let endpoint = Endpoint::make(&client, &receiver.url("/"), &["*"]).await;
    let old = endpoint.test().await;
    host.run_jobs().await;
    endpoint.tried(&host, &old, 1).await;
    host.clock().advance(seconds(30 * 86_400 - 60));
    let young = endpoint.test().await;
    receiver.always(How::Status(500));
    host.run_jobs().await;
    endpoint.tried(&host, &young, 1).await;
    host.clock().advance(seconds(120));
    host.run_jobs().await;
    endpoint.tried(&host, &young, 2).await;
    let left: Vec<_> = endpoint
        .deliveries()
        .await
        .iter()
        .map(|d| d["event"].clone())
        .collect();
    assert_eq!(left, [json!(young)]);
    let events: i64 = sqlx::query_scalar("select count(*) from outbox")
        .fetch_one(host.db())
        .await
        .unwrap();
    assert_eq!(events, 1);
    host.stop().await;
}
