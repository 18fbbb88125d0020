//! A run that goes on elsewhere stays in its trace.

use bulkhead_tests::TestHost;
use bulkhead_tests::host::eventually;
use bulkhead_tests::logs;
use bulkhead_tests::provider::{Answer, How};
use serde_json::json;

use super::{START, Traced};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_moves_stays_in_its_trace() {
    logs::expect_errors("a run's write failed");
    let traced = Traced::start(|config| {
        config.runs.notifications = false;
        config.models.idle_ms = 60_000;
        config.models.total_ms = 120_000;
    })
    .await;
    let Traced {
        host: first,
        collector,
        provider,
        client,
    } = traced;
    let half = Answer::pieces(&["half ", "more"]).how(How::HangAfter(450));
    provider.script(vec![half, Answer::text("whole ")]);
    let second = first.join().await;
    let mut events = client
        .stream("journey", &json!({ "input": "ask b?" }))
        .await;
    events.next_of("text").await;
    let run = events.run();
    silent(&second, first.host().app.runs.node().0).await;
    second.run_jobs().await;
    let client = client.at(&second.url());
    client.resume("journey", &run, 0).await.rest().await;
    // The first host was only slow: it finds that its run is another's.
    for live in first.host().app.runs.registry().all() {
        live.stop(
            bulkhead::runs::log::StopCause::Deadline,
            first.clock().now(),
        );
    }
    eventually("both lives are told", async || {
        collector.named("invoke_agent journey").len() == 2
    })
    .await;
    let request = collector.one(START).await;
    let lives = collector.named("invoke_agent journey");
    for life in &lives {
        assert_eq!(
            (&life.trace, &life.parent),
            (&request.trace, &request.id),
            "{life:?}"
        );
        assert_eq!(life.get("bulkhead.run.id"), json!(run));
    }
    let node = |host: &TestHost| json!(host.host().app.runs.node().to_string());
    let at = |node| {
        let mut lives = lives.iter();
        lives.find(|life| life.get("bulkhead.node.id") == node)
    };
    let (one, other) = (at(node(&first)), at(node(&second)));
    let (one, other) = one.zip(other).expect("each host has told its life");
    assert_eq!(other.get("bulkhead.run.state"), "completed");
    // What the first made of it counts for nothing.
    assert_eq!(one.get("bulkhead.run.state"), serde_json::Value::Null);
    assert_eq!(one.get("bulkhead.run.left"), "lost");
    // Each life made its generation, and the second one's is under the second.
    let chats = collector.named("chat scripted");
    assert_eq!(
        chats.iter().filter(|chat| chat.parent == other.id).count(),
        1,
        "{chats:#?}"
    );
    second.stop().await;
    first.stop().await;
}

/// As if a node had said nothing for a minute.
async fn silent(host: &TestHost, node: uuid::Uuid) {
    sqlx::query("update nodes set heartbeat_at = heartbeat_at - interval '1 minute' where id = $1")
        .bind(node)
        .execute(host.db())
        .await
        .expect("a node can be changed by hand");
}
