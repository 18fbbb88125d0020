//! The outbox: events are written with what they state, once, for organizations that have an endpoint.

use bulkhead::kit::OrgId;
use bulkhead::ledger::outbox::{EventId, Notice, Topic, announce};
use bulkhead_tests::host::eventually;
use bulkhead_tests::provider::{Answer, How, Provider};
use bulkhead_tests::{TestHost, logs};
use serde_json::{Value, json};
use sqlx::types::JsonValue;
use time::macros::datetime;
use uuid::Uuid;

use crate::guests;

/// From here on the events of an organization are kept.
async fn listens(host: &TestHost, org: &str) {
    host.client(org).await;
    sqlx::query(
        "insert into webhook_endpoints (org_id, id, url, description, events, signature, secret_sealed, created_at,
           created_by, updated_at)
         select id, gen_random_uuid(), 'https://example.com', '', '{*}', 'standard', '', now(), id, now()
         from organizations where slug = $1",
    )
    .bind(org)
    .execute(host.db())
    .await
    .unwrap();
}

/// Topic, seq and data of every event that is kept, in order.
async fn kept(host: &TestHost) -> Vec<(String, Option<i32>, Value)> {
    sqlx::query_as::<_, (String, Option<i32>, JsonValue)>(
        "select topic, seq, data::jsonb from outbox order by at, seq nulls first",
    )
    .fetch_all(host.db())
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_kept_from_the_first_endpoint_on() {
    let host = TestHost::start().await;
    host.deploy("acme", "echo", &guests::ECHO).await;
    let client = host.client("acme").await;
    client.run("echo", &json!({ "input": "a" })).await;
    assert_eq!(kept(&host).await, []);
    listens(&host, "other").await;
    client.run("echo", &json!({ "input": "b" })).await;
    assert_eq!(kept(&host).await, [], "another organization's endpoint");
    listens(&host, "acme").await;
    let events = client.run("echo", &json!({ "input": "c" })).await;
    let told = kept(&host).await;
    let topics: Vec<_> = told
        .iter()
        .map(|(topic, seq, _)| (topic.as_str(), *seq))
        .collect();
    let last = events.last().unwrap();
    assert_eq!(
        topics,
        [
            ("agent_run.started", Some(1)),
            ("agent_run.completed", Some(last.id))
        ]
    );
    let data = &told[1].2;
    assert_eq!(data["agent"], "echo");
    assert_eq!(data["run"], events[0].data["run"]);
    assert_eq!(data["stop_reason"], "end_turn");
    assert_eq!(data["usage"], last.data["usage"]);
    assert!(!told[1].2.to_string().contains("\"c\""), "no output in it");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_and_deployments_are_told_by_their_names() {
    let host = TestHost::start().await;
    listens(&host, "acme").await;
    let client = host.client("acme").await;
    host.deploy("acme", "sleep", &guests::SLEEP).await;
    // The same bytes again are no new version.
    client.upload("sleep", &guests::SLEEP.bytes()).await;
    host.deploy("acme", "panic", &guests::PANIC).await;
    let mut events = client.stream("sleep", &json!({ "input": "600000" })).await;
    events.next_of("text").await;
    assert_eq!(client.cancel("sleep", &events.run()).await.status, 202);
    events.rest().await;
    client.run("panic", &json!({ "input": "now" })).await;
    let mut told = kept(&host).await;
    told.sort_by(|a, b| a.0.cmp(&b.0));
    let topics: Vec<_> = told.iter().map(|(topic, _, _)| topic.as_str()).collect();
    assert_eq!(
        topics,
        [
            "agent_channel.promoted",
            "agent_channel.promoted",
            "agent_run.cancelled",
            "agent_run.failed",
            "agent_run.started",
            "agent_run.started",
            "agent_version.created",
            "agent_version.created",
        ]
    );
    assert_eq!(told[0].2["channel"], "stable");
    assert_eq!(told[0].2["previous"], Value::Null);
    assert_eq!(told[3].2["stop_reason"], "trap");
    assert_eq!(told[6].2["version"], 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_taken_over_is_told_once() {
    logs::expect_errors("a run's write failed");
    let first = TestHost::start_with(|config| config.runs.notifications = false).await;
    listens(&first, "acme").await;
    let provider = Provider::start().await;
    let client = first.client("acme").await;
    let connection = json!({
        "kind": "openai", "base_url": provider.base_url(), "api_key": "sk-test", "default_model": "m"
    });
    client.put("/model-connections/default", &connection).await;
    first.deploy("acme", "journey", &guests::JOURNEY).await;
    provider.script(vec![
        Answer::pieces(&["half ", "more"]).how(How::HangAfter(450)),
        Answer::text("whole"),
    ]);
    let second = first.join().await;
    let mut events = client
        .stream("journey", &json!({ "input": "say a\nask b?" }))
        .await;
    events.next_of("text").await;
    events.next_of("text").await;
    let run = events.run();
    sqlx::query("update nodes set heartbeat_at = heartbeat_at - interval '1 minute' where id = $1")
        .bind(first.host().app.runs.node().0)
        .execute(first.db())
        .await
        .unwrap();
    second.run_jobs().await;
    let client = client.at(&second.url());
    client.resume("journey", &run, 0).await.rest().await;
    let registry = first.host().app.runs.registry();
    for live in registry.all() {
        live.stop(
            bulkhead::runs::log::StopCause::Deadline,
            first.clock().now(),
        );
    }
    eventually("the first host is done with it", async || {
        registry.is_empty()
    })
    .await;
    let topics: Vec<_> = kept(&first)
        .await
        .into_iter()
        .map(|(topic, _, _)| topic)
        .collect();
    let of_runs: Vec<_> = topics
        .iter()
        .filter(|topic| topic.starts_with("agent_run"))
        .collect();
    assert_eq!(of_runs, ["agent_run.started", "agent_run.completed"]);
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_event_said_again_is_one() {
    let host = TestHost::start().await;
    listens(&host, "acme").await;
    let org: OrgId =
        sqlx::query_scalar::<_, Uuid>("select id from organizations where slug = 'acme'")
            .fetch_one(host.db())
            .await
            .unwrap()
            .into();
    let at = datetime!(2026-11-20 09:00 UTC);
    let run = Uuid::from_u128(7);
    let of = |topic, seq| {
        let id = EventId(Uuid::from_u128(seq as u128));
        Notice::new(id, org, topic, at, &json!({})).of_run(run, seq)
    };
    // Made anew each time, as by a request that is repeated.
    for _ in 0..2 {
        let said = [
            of(Topic::RunStarted, 1),
            of(Topic::RunFailed, 2),
            of(Topic::AuditFlagged, 2),
        ];
        let mut tx = host.db().begin().await.unwrap();
        announce(&mut tx, &said).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(kept(&host).await.len(), 3);
    let mut tx = host.db().begin().await.unwrap();
    announce(&mut tx, &[of(Topic::RunStarted, 9)])
        .await
        .unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(
        kept(&host).await.len(),
        3,
        "what did not happen is not told"
    );
    host.stop().await;
}

#[test]
fn the_catalogue_is_closed() {
    for topic in Topic::ALL {
        assert_eq!(Topic::named(topic.name()), Some(topic));
        assert!(topic.about().ends_with('.'), "{topic:?}");
    }
    assert_eq!(Topic::named("agent_run.exploded"), None);
    assert_eq!(Topic::of_end("running"), None);
}
