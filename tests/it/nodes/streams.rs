//! A run's events, read on a node that does not run it.

use std::time::{Duration, Instant};

use bulkhead_tests::client::{Event, stop_reason};
use bulkhead_tests::host::eventually;
use futures_util::future::join_all;
use serde_json::json;
use sqlx::postgres::PgListener;

use super::{Two, figures};

fn numbers(events: &[Event]) -> Vec<i32> {
    events.iter().map(|event| event.id).collect()
}

/// The run writes as fast as it can while twenty read it elsewhere, from different places.
async fn read_while_it_writes(two: &Two) {
    let slow = json!({ "input": "3000 64" });
    let here = two.here.stream("chatter", &slow).await;
    let run = here.run();
    let elsewhere = (0..20).map(|n| {
        let (client, run) = (two.there.clone(), run.clone());
        async move {
            let events = client.resume("chatter", &run, n % 2).await.rest().await;
            (n % 2, events)
        }
    });
    let (whole, read) = tokio::join!(here.rest(), join_all(elsewhere));
    assert_eq!(whole.len(), 3_002);
    for (after, events) in read {
        assert_eq!(numbers(&events), numbers(&whole[after as usize..]));
        assert_eq!(events[..], whole[after as usize..]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_its_node_writes_fast() {
    let two = Two::new().await;
    read_while_it_writes(&two).await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_poll_alone() {
    let two = Two::with(|config| config.runs.notifications = false).await;
    read_while_it_writes(&two).await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_connections_that_hear_are_cut() {
    let two = Two::new().await;
    let cuts = async {
        for _ in 0..5 {
            two.deafen().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::join!(read_while_it_writes(&two), cuts);
    two.hears_again().await;
    read_while_it_writes(&two).await;
    two.stop().await;
}

/// What is said is seen on the other node at once, without anybody asking for it.
#[tokio::test(flavor = "multi_thread")]
async fn at_once() {
    let two = Two::new().await;
    let mut took = Vec::new();
    for _ in 0..20 {
        let here = two.here.stream("sleep", &json!({ "input": "40" })).await;
        let run = here.run();
        let (mut seen, mut here) = (two.there.resume("sleep", &run, 0).await, here);
        let one = async {
            here.next_of("done").await;
            Instant::now()
        };
        let other = async {
            seen.next_of("done").await;
            Instant::now()
        };
        let (one, other) = tokio::join!(one, other);
        took.push(other.saturating_duration_since(one).as_secs_f64() * 1_000.0);
    }
    figures("an event is seen elsewhere after", took);
    two.stop().await;
}

/// A run that nobody reads elsewhere tells nothing: its commits do not queue behind one another's messages.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_watches_tells_nothing() {
    let two = Two::new().await;
    let mut spy = PgListener::connect(two.first.database_url()).await.unwrap();
    spy.listen("bulkhead_events").await.unwrap();
    let body = json!({ "input": "2000 10" });
    let events = two.here.run("chatter", &body).await;
    assert_eq!(stop_reason(&events), "end_turn");
    let run = two.here.stream("sleep", &json!({ "input": "60000" })).await;
    // A reader of its own node is nobody else.
    let mut own = two.here.resume("sleep", &run.run(), 0).await;
    own.next_of("text").await;
    let mut elsewhere = two.there.resume("sleep", &run.run(), 1).await;
    elsewhere.next_of("text").await;
    two.there.cancel("sleep", &run.run()).await;
    assert_eq!(stop_reason(&elsewhere.rest().await), "cancelled");
    let mut told = Vec::new();
    eventually("the watched run is told of", async || {
        while let Ok(message) = tokio::time::timeout(Duration::from_millis(20), spy.recv()).await {
            told.push(message.unwrap().payload().to_owned());
        }
        !told.is_empty()
    })
    .await;
    told.retain(|told| *told != run.run());
    assert!(
        told.is_empty(),
        "runs nobody watched were told of: {told:?}"
    );
    drop((own, run));
    two.stop().await;
}

/// A hundred readers that begin at once are announced together, and each gets everything.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_runs_at_once() {
    let two = Two::with(|config| {
        config.sandbox.guests = 128;
        config.runs.concurrent = 128;
        config.runs.concurrent_per_org = 128;
    })
    .await;
    let body = json!({ "input": "1000" });
    let runs = join_all((0..100).map(|_| two.here.start("sleep", &body))).await;
    let readers = runs.iter().map(|run| async {
        let mut events = two.there.resume("sleep", run, 0).await;
        let first = events.next().await.unwrap();
        assert_eq!(first.kind, "started");
        events.rest().await
    });
    for rest in join_all(readers).await {
        assert_eq!(numbers(&rest), [2, 3, 4]);
        assert_eq!(stop_reason(&rest), "end_turn");
    }
    two.stop().await;
}
