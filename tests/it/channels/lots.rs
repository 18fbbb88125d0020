//! Who takes the canary: a share of conversations and of runs of none, always the same ones, until they are repinned.

use bulkhead_tests::TestHost;
use serde_json::json;

use super::{answers, taken, verb, versions};

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
