//! Labels, deletion, and what is collected: never what is in use.

use std::time::Duration;

use bulkhead_tests::host::eventually;
use bulkhead_tests::{Client, TestHost};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{answers, taken, variant, verb, versions};
use crate::guests::{ECHO, SPIN};
use crate::signed::behind_the_agents_lock;

async fn label(client: &Client, number: i64, label: Value) -> bulkhead_tests::client::Answer {
    let path = format!("/agents/echo/versions/{number}");
    let request = client.request(reqwest::Method::PATCH, &path);
    bulkhead_tests::client::send(request.json(&json!({ "label": label }))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_is_one_versions_at_a_time() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    versions(&client, "echo", 2).await;
    let labelled = label(&client, 1, json!("v1.0")).await;
    assert_eq!(
        (&labelled.json()["number"], &labelled.json()["label"]),
        (&json!(1), &json!("v1.0"))
    );
    let taken = label(&client, 2, json!("v1.0")).await;
    assert_eq!(taken.refusal(), (409, "label_taken".to_owned()));
    assert_eq!(taken.json()["version"], json!(1));
    assert_eq!(
        label(&client, 1, json!("v1.0")).await.status,
        200,
        "its own"
    );
    for bad in ["", "1", "-a", "a b", "ä", &"a".repeat(64)] {
        let refused = label(&client, 2, json!(bad)).await;
        assert_eq!(
            refused.refusal(),
            (422, "unprocessable".to_owned()),
            "{bad}"
        );
        assert_eq!(refused.json()["errors"][0]["pointer"], json!("/label"));
    }
    assert_eq!(
        label(&client, 9, json!("v9")).await.refusal(),
        (404, "not_found".to_owned())
    );
    assert_eq!(
        label(&client, 1, Value::Null).await.json()["label"],
        Value::Null
    );
    assert_eq!(
        label(&client, 2, json!("v1.0")).await.status,
        200,
        "it is free"
    );
    host.stop().await;
}

/// Two versions whose labels are swapped at one time: one clear answer each, and no knot.
#[tokio::test(flavor = "multi_thread")]
async fn two_who_swap_labels_take_turns() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    versions(&client, "echo", 2).await;
    for (number, to) in [(1, "a"), (2, "b")] {
        assert_eq!(label(&client, number, json!(to)).await.status, 200);
    }
    let swap = async { tokio::join!(label(&client, 1, json!("b")), label(&client, 2, json!("a"))) };
    let both = behind_the_agents_lock(&host, 2, swap).await;
    let taken = (409, "label_taken".to_owned());
    assert_eq!((both.0.refusal(), both.1.refusal()), (taken.clone(), taken));
    host.stop().await;
}

async fn delete(client: &Client, number: i64) -> bulkhead_tests::client::Answer {
    client
        .delete(&format!("/agents/echo/versions/{number}"))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_use_is_not_deleted() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    versions(&client, "echo", 4).await;
    let conversation = client.converse("echo").await;
    let body = json!({"input": "x", "conversation_id": conversation, "version": 4});
    assert_eq!(taken(&client, "echo", body).await.0, 4);
    verb(&client, "echo", "promote", json!({"version": 2})).await;
    verb(
        &client,
        "echo",
        "canary",
        json!({"version": 3, "weight": 0.5}),
    )
    .await;
    for (number, user) in [
        (1, "the rollback of `stable`"),
        (2, "the channel `stable`"),
        (3, "the channel `canary`"),
        (4, "1 open conversations"),
    ] {
        let refused = delete(&client, number).await;
        assert_eq!(
            refused.refusal(),
            (409, "version_in_use".to_owned()),
            "{number}"
        );
        assert_eq!(refused.json()["users"], json!([user]));
    }
    client
        .delete(&format!("/agents/echo/conversations/{conversation}"))
        .await;
    label(&client, 4, json!("old")).await;
    assert_eq!(delete(&client, 4).await.status, 204);
    let not_found = (404, "not_found".to_owned());
    assert_eq!(delete(&client, 4).await.refusal(), not_found);
    assert_eq!(
        client.get("/agents/echo/versions/4").await.refusal(),
        not_found
    );
    let run = client
        .post("/agents/echo/runs", &json!({"input": "x", "version": 4}))
        .await;
    assert_eq!(run.refusal(), not_found);
    assert_eq!(
        verb(&client, "echo", "promote", json!({"version": 4}))
            .await
            .refusal(),
        not_found
    );
    assert_eq!(
        label(&client, 1, json!("old")).await.status,
        200,
        "its label is free"
    );
    let listed = client.get("/agents/echo/versions").await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 3);
    // What it did is still there to be read.
    let runs = client.get("/agents/echo/runs").await.json();
    assert_eq!(runs["data"][0]["version"], json!(4));
    // Its number is not given to another; the same bytes are this version again.
    let next = client.upload("echo", &variant(&ECHO.bytes(), 5)).await;
    assert_eq!(next.json()["number"], json!(5));
    let again = client.upload("echo", &variant(&ECHO.bytes(), 4)).await;
    assert_eq!(
        (again.status.as_u16(), &again.json()["number"]),
        (201, &json!(4))
    );
    assert_eq!(
        taken(&client, "echo", json!({"input": "x", "version": 4}))
            .await
            .0,
        4
    );
    host.stop().await;
}

/// How many bytes of a component are kept, and whether an artifact of it is.
async fn kept(host: &TestHost, bytes: &[u8]) -> (usize, bool) {
    let digest = Sha256::digest(bytes);
    let kept: Vec<u8> = sqlx::query_scalar("select bytes from components where digest = $1")
        .bind(&digest[..])
        .fetch_one(host.db())
        .await
        .unwrap();
    let name = hex::encode(digest);
    let mut files = std::fs::read_dir(host.data().join("artifacts")).unwrap();
    let is_kept = files.any(|file| {
        let file = file.unwrap().file_name().into_string().unwrap();
        file.starts_with(&name) && file.ends_with(".cwasm")
    });
    (kept.len(), is_kept)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_needs_is_collected_and_nothing_else() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    // Of this test alone: artifacts are shared with the others.
    let (old, spin, shared) = (
        variant(&ECHO.bytes(), b'o'),
        variant(&SPIN.bytes(), b's'),
        variant(&ECHO.bytes(), b'g'),
    );
    client.deploy("echo", &ECHO.bytes()).await;
    for bytes in [&old, &spin, &shared] {
        assert_eq!(client.upload("echo", bytes).await.status, 201);
    }
    let foreign = host.client("globex").await;
    foreign.deploy("theirs", &shared).await;
    let open = client
        .start("echo", &json!({"input": "x", "version": 3}))
        .await;
    eventually("it spins", async || host.host().app.scheduler.alive() == 1).await;
    for number in 2..=4 {
        assert_eq!(delete(&client, number).await.status, 204);
    }
    host.run_jobs().await;
    assert_eq!(
        kept(&host, &old).await,
        (old.len(), true),
        "not before its time"
    );
    host.clock().advance(Duration::from_secs(3_601));
    host.run_jobs().await;
    assert_eq!(kept(&host, &old).await, (0, false));
    assert_eq!(
        kept(&host, &spin).await,
        (spin.len(), true),
        "a run is on it"
    );
    assert_eq!(
        kept(&host, &shared).await,
        (shared.len(), true),
        "another organization's"
    );
    assert_eq!(kept(&host, &ECHO.bytes()).await.0, ECHO.bytes().len());
    assert_eq!(client.cancel("echo", &open).await.status, 202);
    host.run_jobs().await;
    assert_eq!(kept(&host, &spin).await, (0, false));
    let replayed = client
        .post(&format!("/agents/echo/runs/{open}/steps"), &json!({}))
        .await;
    assert_eq!(replayed.status, 405);
    assert_eq!(
        client
            .get(&format!("/agents/echo/runs/{open}/steps"))
            .await
            .status,
        200
    );
    // The same bytes bring it back.
    let again = client.upload("echo", &old).await;
    assert_eq!(
        (again.status.as_u16(), &again.json()["number"]),
        (201, &json!(2))
    );
    assert_eq!(kept(&host, &old).await, (old.len(), true));
    let conversation = client.converse("echo").await;
    assert_eq!(answers(&client, "echo", &conversation).await.0, 1);
    assert_eq!(
        taken(&client, "echo", json!({"input": "x", "version": 2}))
            .await
            .0,
        2
    );
    host.stop().await;
}
