//! Runs that move from one host to another while they are read, and a host that takes no more of them.

use std::time::{Duration, Instant};

use bulkhead_tests::client::{Event, text};
use bulkhead_tests::host::eventually;
use bulkhead_tests::{Client, TestHost, logs};
use futures_util::future::join;
use reqwest::header::RETRY_AFTER;
use serde_json::{Value, json};

use super::figures;
use crate::guests;

/// Three hosts; runs begin on the first.
async fn three() -> [Box<TestHost>; 3] {
    let first = TestHost::start_with(|config| config.shutdown_grace_ms = 200).await;
    first.deploy("acme", "journey", &guests::JOURNEY).await;
    let (second, third) = (first.join().await, first.join().await);
    [Box::new(first), Box::new(second), Box::new(third)]
}

fn input(instructions: &str) -> Value {
    json!({ "input": instructions })
}

fn whole(events: &[Event]) {
    let ids: Vec<i32> = events.iter().map(|event| event.id).collect();
    let expected: Vec<i32> = (1..).take(ids.len()).collect();
    assert_eq!(ids, expected);
    assert_eq!(events.last().unwrap().kind, "done");
}

/// The run from its beginning to its end.
async fn read(client: Client, run: &str) -> Vec<Event> {
    client.resume("journey", run, 0).await.rest().await
}

/// As if the host had said nothing for a minute, seen from another.
async fn silence(host: &TestHost, other: &TestHost) {
    sqlx::query("update nodes set heartbeat_at = heartbeat_at - interval '1 minute' where id = $1")
        .bind(host.host().app.runs.node().0)
        .execute(other.db())
        .await
        .unwrap();
}

/// The host drains: whoever reads elsewhere reads on, and nobody had to look for the run.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_elsewhere_reads_on_when_the_host_drains() {
    let [first, second, third] = three().await;
    let client = first.client("acme").await;
    let body = input("say a \nsleep 700\nsay b");
    let mut begun = client.stream("journey", &body).await;
    let run = begun.run();
    begun.next_of("text").await;
    let others = [&second, &third].map(|host| host.host().app.runs.node().0);
    let db = second.db().clone();
    let moves = async {
        let left = Instant::now();
        first.stop().await;
        eventually("another host took the run", async || {
            let owner: uuid::Uuid = sqlx::query_scalar("select node_id from runs")
                .fetch_one(&db)
                .await
                .unwrap();
            others.contains(&owner)
        })
        .await;
        left.elapsed().as_secs_f64() * 1_000.0
    };
    let readers = join(
        read(client.at(&second.url()), &run),
        read(client.at(&third.url()), &run),
    );
    let (took, (one, other)) = Box::pin(join(moves, readers)).await;
    figures(
        "a drained run has a host again, a grace of 200 ms included, after",
        vec![took],
    );
    whole(&one);
    assert_eq!(text(&one), "a b");
    assert_eq!(one, other);
    second.stop().await;
    third.stop().await;
}

/// The host dies without a word: a reader on a third host reads on from the second.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_elsewhere_reads_on_when_the_host_dies() {
    logs::expect_errors("a run's write failed");
    let [first, second, third] = three().await;
    let client = first.client("acme").await;
    let body = input("say a \nsleep 1500\nsay b");
    let mut begun = client.stream("journey", &body).await;
    let run = begun.run();
    begun.next_of("text").await;
    let dies = async {
        silence(&first, &second).await;
        second.run_jobs().await;
    };
    let (events, ()) = join(read(client.at(&third.url()), &run), dies).await;
    whole(&events);
    assert_eq!(text(&events), "a b");
    // Whoever reads where it was reads the same.
    assert_eq!(read(client, &run).await, events);
    for host in [third, second, first] {
        host.stop().await;
    }
}

/// A node that was silent, and whose runs others took, lets go of them as soon as it speaks again.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_speaks_again_lets_go_of_what_was_taken() {
    let [first, second, third] = three().await;
    let client = first.client("acme").await;
    let body = input("say a \nsleep 60000");
    let mut taken = client.stream("journey", &body).await;
    taken.next_of("text").await;
    silence(&first, &second).await;
    second.run_jobs().await;
    let kept = client.start("journey", &body).await;
    let here = first.host().app.runs.clone();
    assert_eq!((here.registry().len(), here.lease_lost()), (2, false));
    first.clock().advance(Duration::from_secs(16));
    assert!(here.lease_lost());
    first.run_jobs().await;
    assert!(!here.lease_lost());
    eventually("what was taken is gone from here", async || {
        here.registry().len() == 1
    })
    .await;
    drop(here);
    assert_eq!(client.show("journey", &kept).await["state"], "running");
    let there = client.at(&second.url());
    for run in [taken.run(), kept] {
        let answer = there.cancel("journey", &run).await;
        assert_eq!(answer.json()["state"], "cancelled", "{}", answer.text);
    }
    for host in [third, second, first] {
        host.stop().await;
    }
}

/// A host that drains answers everything but new runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_drains_takes_no_runs() {
    let first = TestHost::start_with(|config| config.shutdown_grace_ms = 10_000).await;
    first.deploy("acme", "journey", &guests::JOURNEY).await;
    let second = first.join().await;
    let client = first.client("acme").await;
    let other = client.at(&second.url());
    let mut long = client
        .stream("journey", &input("say a \nsleep 60000"))
        .await;
    long.next_of("text").await;
    let run = long.run();
    let while_it_drains = async {
        eventually("it drains", async || {
            client.get("/readyz").await.status == 503
        })
        .await;
        eventually("it takes no runs", async || {
            let refused = client.post("/agents/journey/runs", &input("say a ")).await;
            refused.status == 503 && refused.headers.contains_key(RETRY_AFTER)
        })
        .await;
        assert_eq!(client.get("/livez").await.status, 200);
        assert_eq!(client.show("journey", &run).await["state"], "running");
        let taken = other.run("journey", &input("say a ")).await;
        whole(&taken);
        let cancelled = other.cancel("journey", &run).await;
        assert_eq!(cancelled.json()["state"], "cancelled");
    };
    Box::pin(join(first.stop(), while_it_drains)).await;
    Box::pin(second.stop()).await;
}
