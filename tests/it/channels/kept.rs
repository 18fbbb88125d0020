//! Labels, deletion, and what is collected: never what is in use.

use std::time::Duration;

use bulkhead_tests::host::eventually;
use bulkhead_tests::{Client, TestHost};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{answers, taken, variant, verb, versions};
use crate::audit::key;
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

#[tokio::test(flavor = "multi_thread")]
async fn conversations_of_keys_that_are_gone_keep_nothing_in_use() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    // Of this test alone: artifacts are shared with the others.
    let unneeded = [b'k', b'l'].map(|n| variant(&ECHO.bytes(), n));
    client.deploy("echo", &ECHO.bytes()).await;
    for bytes in &unneeded {
        assert_eq!(client.upload("echo", bytes).await.status, 201);
    }
    let mut made = Vec::new();
    for number in [2, 3] {
        let (colleague, id) = key(&client, &["read", "run"]).await;
        let conversation = colleague.converse("echo").await;
        let body = json!({"input": "x", "conversation_id": conversation, "version": number});
        assert_eq!(taken(&colleague, "echo", body).await.0, number);
        let refused = delete(&client, number).await;
        assert_eq!(refused.json()["users"], json!(["1 open conversations"]));
        made.push((colleague, id, conversation));
    }
    let revoked = client.delete(&format!("/keys/{}", made[0].1)).await;
    assert!(revoked.status.is_success(), "{}", revoked.text);
    let expired = sqlx::query("update api_keys set expires_at = created_at where id = $1::uuid")
        .bind(made[1].1.trim_start_matches("key_"))
        .execute(host.db());
    assert_eq!(expired.await.unwrap().rows_affected(), 1);
    for number in [2, 3] {
        assert_eq!(delete(&client, number).await.status, 204, "{number}");
    }
    host.clock().advance(Duration::from_secs(3_601));
    host.run_jobs().await;
    for bytes in &unneeded {
        assert_eq!(kept(&host, bytes).await, (0, false));
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_use_keeps_nothing_else_from_being_collected() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    // Of this test alone: artifacts are shared with the others.
    let unneeded = variant(&ECHO.bytes(), b'u');
    client.deploy("echo", &ECHO.bytes()).await;
    assert_eq!(client.upload("echo", &unneeded).await.status, 201);
    // As many as a round takes, before all others in its order, deleted and each with an open conversation.
    for plant in [
        "insert into components (digest, bytes, created_at)
         select decode(lpad(to_hex(n), 64, '0'), 'hex'), 'x', now() from generate_series(1, 100) n",
        "insert into agent_versions
           (org_id, agent_id, number, digest, manifest, imports, size_bytes, compile_ms, created_at, deleted_at)
         select org_id, agent_id, 1000 + n, decode(lpad(to_hex(n), 64, '0'), 'hex'), manifest, imports, size_bytes,
           compile_ms, created_at, created_at
         from agent_versions, generate_series(1, 100) n where number = 1",
        "insert into conversations (org_id, id, agent_id, key_id, version, created_at)
         select v.org_id, gen_random_uuid(), v.agent_id, (select k.id from api_keys k where k.org_id = v.org_id limit 1),
           v.number, v.created_at
         from agent_versions v where v.number > 1000",
    ] {
        let planted = sqlx::query(plant).execute(host.db()).await;
        assert_eq!(planted.unwrap().rows_affected(), 100);
    }
    assert_eq!(delete(&client, 2).await.status, 204);
    host.clock().advance(Duration::from_secs(3_601));
    host.run_jobs().await;
    assert_eq!(kept(&host, &unneeded).await, (0, false));
    let all = "select count(*) from components where collected_at is not null";
    let collected: i64 = sqlx::query_scalar(all).fetch_one(host.db()).await.unwrap();
    assert_eq!(collected, 1, "what is in use is there");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_run_begins_on_a_version_deleted_since_it_was_looked_up() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    versions(&client, "echo", 2).await;
    let conversation = client.converse("echo").await;
    let body = json!({"input": "x", "conversation_id": conversation, "version": 2});
    assert_eq!(taken(&client, "echo", body).await.0, 2);
    let named = json!({"input": "x", "version": 2});
    assert_eq!(taken(&client, "echo", named.clone()).await.0, 2);
    // As another host does it: this one knows the version for a moment yet.
    let deleted = sqlx::query("update agent_versions set deleted_at = now() where number = 2");
    deleted.execute(host.db()).await.unwrap();
    let in_it = json!({"input": "y", "conversation_id": conversation});
    let (run, turn) = futures_util::join!(
        client.post("/agents/echo/runs", &named),
        client.post("/agents/echo/runs", &in_it)
    );
    assert_eq!(run.refusal(), (404, "not_found".to_owned()));
    if turn.status != 202 {
        assert_eq!(turn.refusal(), (409, "conversation_busy".to_owned()));
    }
    eventually("it takes another version", async || {
        let turn = client.post("/agents/echo/runs", &in_it).await;
        turn.status == 202
    })
    .await;
    let on: i64 = sqlx::query_scalar("select count(*) from runs where version = 2")
        .fetch_one(host.db())
        .await
        .unwrap();
    assert_eq!(on, 2, "those from before");
    host.stop().await;
}
