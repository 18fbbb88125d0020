//! `Idempotency-Key`: a repeat does nothing twice and is told what the first was told, whatever became of the first.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use bulkhead_tests::client::{Answer, send, stop_reason, text};
use bulkhead_tests::host::eventually;
use bulkhead_tests::{Client, TestHost};
use reqwest::Method;
use serde_json::{Value, json};

use crate::guests;

async fn post(client: &Client, path: &str, key: &str, body: &Value) -> Answer {
    send(
        client
            .request(Method::POST, path)
            .header("idempotency-key", key)
            .json(body),
    )
    .await
}

fn replayed(answer: &Answer) -> bool {
    answer
        .headers
        .get("idempotency-replayed")
        .is_some_and(|value| value == "true")
}

async fn count(host: &TestHost, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(host.db()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_answered_as_the_first_was() {
    let host = TestHost::start().await;
    host.deploy("acme", "echo", &guests::ECHO).await;
    let client = host.client("acme").await;
    let (runs, body) = ("/agents/echo/runs", json!({ "input": "once" }));
    let first = post(&client, runs, "k", &body).await;
    assert_eq!(
        (first.status.as_u16(), replayed(&first)),
        (202, false),
        "{}",
        first.text
    );
    for _ in 0..2 {
        let again = post(&client, runs, "k", &body).await;
        assert_eq!(
            (again.status, &again.text, replayed(&again)),
            (first.status, &first.text, true)
        );
        assert_eq!(again.headers["location"], first.headers["location"]);
        assert_eq!(again.headers["content-type"], "application/json");
        assert_ne!(again.headers["x-request-id"], first.headers["x-request-id"]);
    }
    assert_eq!(count(&host, "select count(*) from runs").await, 1);

    let other = post(&client, runs, "k", &json!({ "input": "twice" })).await;
    assert_eq!(other.refusal(), (422, "idempotency_mismatch".to_owned()));
    assert_eq!(count(&host, "select count(*) from runs").await, 1);

    // A refusal is an answer too.
    let refused = post(&client, runs, "r", &json!({ "input": "" })).await;
    let again = post(&client, runs, "r", &json!({ "input": "" })).await;
    assert_eq!(
        (again.refusal(), replayed(&again)),
        (refused.refusal(), true)
    );
    assert_eq!(again.text, refused.text);

    for bad in ["", &"k".repeat(256)] {
        assert_eq!(
            post(&client, runs, bad, &body).await.refusal(),
            (400, "invalid_request".to_owned())
        );
    }
    // Where nothing is made there is nothing to repeat.
    let read = send(
        client
            .request(Method::GET, "/agents")
            .header("idempotency-key", "k"),
    )
    .await;
    assert_eq!((read.status.as_u16(), replayed(&read)), (200, false));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_other_callers_and_routes_are_other_keys() {
    let host = TestHost::start().await;
    let (acme, globex) = (host.client("acme").await, host.client("globex").await);
    let body = json!({ "name": "n", "scopes": ["admin"] });
    let first = post(&acme, "/keys", "k", &body).await;
    assert_eq!(first.status, 201);
    let second = acme.with_key(first.json()["secret"].as_str().unwrap());
    for client in [&second, &globex] {
        let answer = post(client, "/keys", "k", &body).await;
        assert_eq!((answer.status.as_u16(), replayed(&answer)), (201, false));
    }
    let elsewhere = post(
        &acme,
        "/knowledge/entries",
        "k",
        &json!({ "content": "words" }),
    )
    .await;
    assert_eq!(
        (elsewhere.status.as_u16(), replayed(&elsewhere)),
        (201, false),
        "{}",
        elsewhere.text
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_answer_is_shown_to_its_caller_only() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let admin = client
        .post("/keys", &json!({ "name": "a", "scopes": ["admin"] }))
        .await
        .json();
    let caller = client.with_key(admin["secret"].as_str().unwrap());
    let body = json!({ "name": "n", "scopes": ["read"] });
    let made = post(&caller, "/keys", "k", &body).await;
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    assert_eq!(post(&caller, "/keys", "k", &body).await.text, made.text);

    // At rest the answer is sealed: the database alone does not give a key away.
    let rows: Vec<Vec<u8>> =
        sqlx::query_scalar("select answer from idempotency_keys where answer is not null")
            .fetch_all(host.db())
            .await
            .unwrap();
    assert_eq!(rows.len(), 1);
    let shown = rows.iter().any(|row| {
        row.windows(16)
            .any(|part| secret.as_bytes().windows(16).any(|s| s == part))
    });
    assert!(!shown, "the key's secret is in the database");

    // A revoked key is shown nothing, and leaves no row.
    client
        .delete(&format!("/keys/{}", admin["id"].as_str().unwrap()))
        .await;
    for key in ["k", "new"] {
        assert_eq!(
            post(&caller, "/keys", key, &body).await.refusal(),
            (401, "revoked_key".to_owned())
        );
    }
    assert_eq!(
        count(&host, "select count(*) from idempotency_keys").await,
        1
    );
    host.stop().await;
}

/// Waits until the one run of this host is a fact.
async fn at_work(host: &TestHost, client: &Client) {
    eventually("the first is at work", async || {
        let Some(live) = host.host().app.runs.registry().all().pop() else {
            return false;
        };
        client.show("sleep", &live.run.to_string()).await["state"] == "running"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_in_flight_is_told_to_wait() {
    let host = TestHost::start().await;
    host.deploy("acme", "sleep", &guests::SLEEP).await;
    let client = host.client("acme").await;
    let (path, body) = ("/agents/sleep/runs?wait=30", json!({ "input": "60000" }));
    let first = {
        let (client, body) = (client.clone(), body.clone());
        async move { post(&client, path, "k", &body).await }
    };
    let meanwhile = async {
        at_work(&host, &client).await;
        let second = post(&client, path, "k", &body).await;
        assert_eq!(second.refusal(), (409, "idempotency_in_flight".to_owned()));
        host.host().app.runs.registry().all()[0].run.to_string()
    };
    let cancel = async {
        let run = meanwhile.await;
        client.cancel("sleep", &run).await
    };
    let (first, cancelled) = tokio::join!(first, cancel);
    assert_eq!(cancelled.status, 202, "{}", cancelled.text);
    assert_eq!(
        (first.status.as_u16(), first.json()["state"].clone()),
        (200, json!("cancelled"))
    );
    assert_eq!(post(&client, path, "k", &body).await.text, first.text);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_at_once_one_does_the_work() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let body = json!({ "name": "n", "scopes": ["read"] });
    let answers =
        futures_util::future::join_all((0..20).map(|_| post(&client, "/keys", "k", &body))).await;
    for answer in &answers {
        assert!(
            [201, 409].contains(&answer.status.as_u16()),
            "{}",
            answer.text
        );
    }
    assert_eq!(
        count(&host, "select count(*) from api_keys where name = 'n'").await,
        1
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_went_away_finds_its_answer() {
    let host = TestHost::start().await;
    host.deploy("acme", "sleep", &guests::SLEEP).await;
    let client = host.client("acme").await;
    let (path, body) = ("/agents/sleep/runs?wait=30", json!({ "input": "60000" }));
    {
        let first = post(&client, path, "k", &body);
        let gone = async {
            at_work(&host, &client).await;
        };
        tokio::select! {
            answer = first => panic!("it answered: {}", answer.text),
            () = gone => {}
        }
    }
    let run = host.host().app.runs.registry().all()[0].run.to_string();
    client.cancel("sleep", &run).await;
    let mut answer = post(&client, path, "k", &body).await;
    eventually("the answer is kept", async || {
        answer = post(&client, path, "k", &body).await;
        answer.status == 200
    })
    .await;
    assert_eq!(answer.json()["id"], json!(run));
    assert_eq!(count(&host, "select count(*) from runs").await, 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_claim_is_taken_over_and_finds_what_it_made() {
    let host = TestHost::start().await;
    host.deploy("acme", "echo", &guests::ECHO).await;
    let client = host.client("acme").await;
    let (path, body) = ("/agents/echo/runs?wait=30", json!({ "input": "once" }));
    let first = post(&client, path, "k", &body).await.json();
    // As if the host had died between the run and its answer.
    sqlx::query("update idempotency_keys set status = null, headers = null, answer = null")
        .execute(host.db())
        .await
        .unwrap();
    assert_eq!(
        post(&client, path, "k", &body).await.refusal(),
        (409, "idempotency_in_flight".to_owned())
    );
    host.clock().advance(Duration::from_secs(31));
    let again = post(&client, path, "k", &body).await;
    assert_eq!(
        (again.status.as_u16(), replayed(&again)),
        (200, false),
        "{}",
        again.text
    );
    assert_eq!(again.json()["id"], first["id"]);
    assert!(
        again.headers["location"]
            .to_str()
            .unwrap()
            .ends_with(first["id"].as_str().unwrap())
    );
    assert!(replayed(&post(&client, path, "k", &body).await));
    assert_eq!(count(&host, "select count(*) from runs").await, 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_renewed_while_somebody_is_at_work() {
    let host = TestHost::start_with(|config| config.idempotency_claim_ms = 300).await;
    host.deploy("acme", "sleep", &guests::SLEEP).await;
    let client = host.client("acme").await;
    let (path, body) = ("/agents/sleep/runs?wait=30", json!({ "input": "60000" }));
    let first = {
        let (client, body) = (client.clone(), body.clone());
        async move { post(&client, path, "k", &body).await }
    };
    let meanwhile = async {
        at_work(&host, &client).await;
        for _ in 0..3 {
            host.clock().advance(Duration::from_millis(250));
            let now = host.clock().now();
            eventually("the claim is renewed", async || {
                let at: time::OffsetDateTime =
                    sqlx::query_scalar("select claimed_at from idempotency_keys")
                        .fetch_one(host.db())
                        .await
                        .unwrap();
                at >= now - Duration::from_millis(1)
            })
            .await;
        }
        // Longer ago than a claim that nobody renews would hold.
        let second = post(&client, path, "k", &body).await;
        assert_eq!(second.refusal(), (409, "idempotency_in_flight".to_owned()));
        let run = host.host().app.runs.registry().all()[0].run.to_string();
        client.cancel("sleep", &run).await
    };
    let (first, cancelled) = tokio::join!(first, meanwhile);
    assert_eq!(cancelled.status, 202, "{}", cancelled.text);
    assert_eq!(first.json()["state"], "cancelled");
    assert_eq!(count(&host, "select count(*) from runs").await, 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_forgotten_after_a_day() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let body = json!({ "name": "n", "scopes": ["read"] });
    let first = post(&client, "/keys", "k", &body).await;
    host.clock().advance(Duration::from_secs(86_000));
    host.run_jobs().await;
    assert!(replayed(&post(&client, "/keys", "k", &body).await));
    host.clock().advance(Duration::from_secs(401));
    let later = post(
        &client,
        "/keys",
        "k",
        &json!({ "name": "other", "scopes": ["read"] }),
    )
    .await;
    assert_eq!((later.status.as_u16(), replayed(&later)), (201, false));
    assert_ne!(later.json()["id"], first.json()["id"]);
    host.clock().advance(Duration::from_secs(86_401));
    host.run_jobs().await;
    assert_eq!(
        count(&host, "select count(*) from idempotency_keys").await,
        0
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_done_may_be_tried_again() {
    let host = TestHost::start_with(|config| {
        config.runs.concurrent = 1;
        config.runs.queued = 0;
    })
    .await;
    host.deploy("acme", "sleep", &guests::SLEEP).await;
    host.deploy("acme", "echo", &guests::ECHO).await;
    let client = host.client("acme").await;
    let busy = client.start("sleep", &json!({ "input": "60000" })).await;
    let (path, body) = ("/agents/echo/runs?wait=30", json!({ "input": "x" }));
    let full = post(&client, path, "k", &body).await;
    assert_eq!(full.refusal(), (429, "queue_full".to_owned()));
    assert_eq!(full.headers["retry-after"], "1");
    client.cancel("sleep", &busy).await;
    let mut answer = full;
    eventually("there is a place", async || {
        answer = post(&client, path, "k", &body).await;
        answer.status != 429
    })
    .await;
    assert_eq!(
        (answer.status.as_u16(), replayed(&answer)),
        (200, false),
        "{}",
        answer.text
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_streamed_again() {
    let host = TestHost::start().await;
    host.deploy("acme", "echo", &guests::ECHO).await;
    let client = host.client("acme").await;
    let stream = async |input: &str| {
        let request = client
            .request(Method::POST, "/agents/echo/runs")
            .header("accept", "text/event-stream");
        send(
            request
                .header("idempotency-key", "k")
                .json(&json!({ "input": input })),
        )
        .await
    };
    let first = stream("once").await;
    let again = stream("once").await;
    assert_eq!((again.status.as_u16(), &again.text), (200, &first.text));
    assert_eq!(again.headers["location"], first.headers["location"]);
    assert_eq!((replayed(&first), replayed(&again)), (false, true));
    assert_eq!(
        stream("twice").await.refusal(),
        (422, "idempotency_mismatch".to_owned())
    );
    let run = first.headers["location"]
        .to_str()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned();
    let events = client.resume("echo", &run, 0).await.rest().await;
    assert_eq!(
        (text(&events).as_str(), stop_reason(&events)),
        ("once", "end_turn")
    );
    assert_eq!(count(&host, "select count(*) from runs").await, 1);
    host.stop().await;
}
