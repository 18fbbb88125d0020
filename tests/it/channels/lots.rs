//! Who takes the canary: a share of conversations and of runs of none, always the same ones, until they are repinned.

use std::time::Duration;

use bulkhead_tests::TestHost;
use bulkhead_tests::host::eventually;
use serde_json::json;

use super::{answers, channels, taken, verb, versions};

const CONVERSATIONS: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_draws_once_and_stays() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let other = host.join().await;
    versions(&client, "echo", 3).await;
    let canary = verb(
        &client,
        "echo",
        "canary",
        json!({"version": 2, "weight": 0.5}),
    )
    .await;
    assert_eq!(canary.status, 200, "{}", canary.text);
    let mut drawn = Vec::new();
    for _ in 0..CONVERSATIONS {
        let conversation = client.converse("echo").await;
        let (version, channel) = answers(&client, "echo", &conversation).await;
        let fits = if version == 2 { "canary" } else { "stable" };
        assert_eq!(channel, json!(fits));
        drawn.push((conversation, version));
    }
    let canaries = drawn.iter().filter(|(_, version)| *version == 2).count();
    println!("{canaries} of {CONVERSATIONS} conversations took a canary of 0.5");
    assert!(
        (10..=50).contains(&canaries),
        "{canaries} of {CONVERSATIONS}"
    );
    // The statement that repins draws as the host does: nothing moves.
    let again = verb(
        &client,
        "echo",
        "canary",
        json!({"version": 2, "weight": 0.5, "repin": true}),
    )
    .await;
    assert_eq!(again.json()["repinned"], json!(0), "{}", again.text);
    // Whatever becomes of the channels, each stays, on every host.
    verb(&client, "echo", "promote", json!({"version": 3})).await;
    let elsewhere = client.at(&other.url());
    for (conversation, version) in &drawn {
        assert_eq!(answers(&elsewhere, "echo", conversation).await.0, *version);
    }
    // A larger share keeps those that a smaller one had.
    verb(
        &client,
        "echo",
        "canary",
        json!({"version": 2, "weight": 0.75, "repin": true}),
    )
    .await;
    for (conversation, version) in &drawn {
        let (now, _) = answers(&client, "echo", conversation).await;
        assert!(
            *version != 2 || now == 2,
            "{conversation} was a canary and is on {now}"
        );
        assert_ne!(now, 1, "{conversation} did not choose again");
    }
    let ended = verb(
        &client,
        "echo",
        "rollback",
        json!({"channel": "canary", "repin": true}),
    )
    .await;
    assert!(ended.json()["repinned"].as_i64().unwrap() >= i64::try_from(canaries).unwrap());
    for (conversation, _) in &drawn {
        assert_eq!(
            answers(&client, "echo", conversation).await,
            (3, json!("stable"))
        );
    }
    other.stop().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_no_conversation_draw_by_their_ids() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    versions(&client, "echo", 2).await;
    verb(
        &client,
        "echo",
        "canary",
        json!({"version": 2, "weight": 0.5}),
    )
    .await;
    let mut canaries = 0;
    for _ in 0..CONVERSATIONS {
        let (version, _) = taken(&client, "echo", json!({"input": "x"})).await;
        canaries += usize::from(version == 2);
    }
    assert!(
        (10..=50).contains(&canaries),
        "{canaries} of {CONVERSATIONS}"
    );
    let named = taken(&client, "echo", json!({"input": "x", "channel": "canary"})).await;
    assert_eq!(named, (2, json!("canary")));
    let whole = verb(
        &client,
        "echo",
        "canary",
        json!({"version": 2, "weight": 1}),
    )
    .await;
    assert_eq!(whole.status, 200, "{}", whole.text);
    for _ in 0..10 {
        assert_eq!(taken(&client, "echo", json!({"input": "x"})).await.0, 2);
    }
    // Who named a version stays on it, whoever repins.
    let conversation = client.converse("echo").await;
    let body = json!({"input": "x", "conversation_id": conversation, "version": 1});
    assert_eq!(taken(&client, "echo", body).await.0, 1);
    verb(
        &client,
        "echo",
        "promote",
        json!({"version": 2, "repin": true}),
    )
    .await;
    assert_eq!(answers(&client, "echo", &conversation).await.0, 1);
    host.stop().await;
}

/// Conversations as runs leave them that took a channel.
async fn plant(host: &TestHost, count: i32, version: i32, channel: &str) {
    let planted = sqlx::query(
        "insert into conversations (org_id, id, agent_id, key_id, version, channel, created_at)
         select a.org_id, gen_random_uuid(), a.id, gen_random_uuid(), $2, $3, now() from agents a, generate_series(1, $1)",
    );
    let planted = planted.bind(count).bind(version).bind(channel);
    planted.execute(host.db()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repin_that_broke_off_goes_on_when_it_is_asked_again() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    versions(&client, "echo", 2).await;
    plant(&host, 1_200, 1, "stable").await;
    let body = json!({"version": 2, "repin": true});
    let first = verb(&client, "echo", "promote", body.clone()).await;
    assert_eq!(first.json()["repinned"], json!(1_200), "{}", first.text);
    let undone = sqlx::query(
        "update conversations set version = 1 where id in (select id from conversations order by id desc limit 700)",
    );
    undone.execute(host.db()).await.unwrap();
    let again = verb(&client, "echo", "promote", body).await;
    assert_eq!(again.json()["repinned"], json!(700), "{}", again.text);
    let others: i64 = sqlx::query_scalar("select count(*) from conversations where version <> 2")
        .fetch_one(host.db())
        .await
        .unwrap();
    assert_eq!(others, 0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repin_waits_for_those_that_change_and_the_move_for_none() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    versions(&client, "echo", 2).await;
    plant(&host, 1, 2, "canary").await;
    let body = json!({"version": 2, "repin": true});
    let mut held = host.db().begin().await.unwrap();
    let hold = sqlx::query("select from conversations where version = $1 for update");
    hold.bind(2).execute(&mut *held).await.unwrap();
    let promoted = verb(&client, "echo", "promote", body);
    // A hang is told.
    let promoted = tokio::time::timeout(Duration::from_secs(60), promoted).await;
    let promoted = promoted.expect("who does not change is not waited for");
    assert_eq!(promoted.json()["repinned"], json!(0), "{}", promoted.text);
    held.rollback().await.unwrap();
    plant(&host, 1, 2, "stable").await;
    let mut held = host.db().begin().await.unwrap();
    let hold = sqlx::query("select from conversations where channel = $1 for update");
    hold.bind("stable").execute(&mut *held).await.unwrap();
    let back = verb(&client, "echo", "rollback", json!({"repin": true}));
    let (back, ()) = futures_util::join!(back, async {
        eventually("it has moved", async || {
            channels(&client, "echo").await.0 == json!(1)
        })
        .await;
        held.rollback().await.unwrap();
    });
    assert_eq!(back.json()["repinned"], json!(2), "{}", back.text);
    host.stop().await;
}
